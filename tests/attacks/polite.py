"""A polite client: a call each 20 ms, on a new connection each second."""

import time

import messages

INTERVAL = 0.02
CALLS_PER_CONNECTION = 50
TIMEOUT = 2


def measure(port, seconds, certificate, token):
    """Calls for some seconds; the latencies of what was answered, in ms, and the number of calls."""
    import grpc

    request = messages.predict(1)
    metadata = [("authorization", f"Bearer {token}")] if token else None
    latencies, calls, channel, method = [], 0, None, None
    begin = time.monotonic()
    while (due := begin + calls * INTERVAL) < begin + seconds:
        time.sleep(max(0, due - time.monotonic()))
        if calls % CALLS_PER_CONNECTION == 0:
            if channel:
                channel.close()
            channel = connect(grpc, port, certificate)
            method = channel.unary_unary(messages.PREDICT)
        calls += 1
        started = time.monotonic()
        try:
            method(request, timeout=TIMEOUT, metadata=metadata)
            latencies.append(1_000 * (time.monotonic() - started))
        except grpc.RpcError:
            pass
        # A client that is late skips the calls that it has missed.
        missed = int((time.monotonic() - begin) / INTERVAL) - calls
        calls += max(0, missed)
    return sorted(latencies), calls


def connect(grpc, port, certificate):
    options = [("grpc.use_local_subchannel_pool", 1)]
    if not certificate:
        return grpc.insecure_channel(f"127.0.0.1:{port}", options=options)
    with open(certificate, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    return grpc.secure_channel(f"localhost:{port}", credentials, options=options)
