"""Loads a gRPC server with h2load, with requests encoded in advance, and parses its report."""

import re
import statistics
import struct
import subprocess
import tempfile
import time
from dataclasses import astuple, dataclass
from pathlib import Path

# Warm-up, not measured: opens connections and fills caches.
WARM_UP = 0.3
HEADERS = ("content-type: application/grpc", "te: trailers", "grpc-timeout: 30S")


@dataclass(frozen=True)
class Load:
    """A load on a server."""

    name: str
    method: str
    # Requests in flight, on one connection.
    concurrency: int
    # Images in a message, and messages in a request: more than one makes a stream.
    images: int = 1
    messages: int = 1


@dataclass(frozen=True)
class Found:
    """What came of it, per second and in microseconds."""

    requests: float
    images: float
    p50: float
    p99: float
    # Of the server's processor, for each image.
    cpu: float


def frame(message):
    """A message as gRPC sends it: uncompressed, its length before it."""
    return struct.pack(">BI", 0, len(message)) + message


def run(core, server, load, body, seconds, meanwhile=None):
    """Loads a server, whose answers must all succeed. `meanwhile` is called once the load is there, and ends before it: then only
    what fell into its time is counted."""
    with tempfile.TemporaryDirectory() as folder:
        data, log = Path(folder) / "body", Path(folder) / "log"
        data.write_bytes(body)
        command = ["taskset", "-c", str(core), "h2load", "-c", "1", "-m", str(load.concurrency)]
        command += ["-D", f"{seconds * 1000:.0f}ms", "--warm-up-time", f"{WARM_UP * 1000:.0f}ms"]
        command += ["-d", str(data), f"--log-file={log}"]
        for header in HEADERS:
            command += ["-H", header]
        taken = server.cpu()
        with subprocess.Popen([*command, f"http://{server.address}/{load.method}"], stdout=subprocess.PIPE, text=True) as loading:
            window = None
            if meanwhile:
                time.sleep(WARM_UP + 0.2)
                begun = time.time()
                meanwhile()
                window = begun, time.time()
                if loading.poll() is not None:
                    server.fail("was not loaded for as long as it should have been")
            report = loading.communicate()[0]
        taken = server.cpu() - taken
        # Start in microseconds of the epoch, HTTP's status, microseconds until the end.
        rows = [tuple(map(int, line.split("\t"))) for line in log.read_text().splitlines()]
    counts = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", report)
    if not rows or not counts or any(map(int, counts.groups()[1:])):
        server.fail(f"failed under load:\n{report}")
    images = load.images * load.messages
    cpu = taken / (len(rows) * (1 + WARM_UP / seconds) * images)
    if window:
        begin, end = (at * 1e6 for at in window)
        rows, seconds = [row for row in rows if begin <= row[0] <= end], window[1] - window[0]
    times = sorted(row[2] for row in rows)
    rate = len(times) / seconds
    return Found(rate, rate * images, times[len(times) // 2], times[len(times) * 99 // 100], cpu * 1e6)


def median(several):
    """Of each figure by itself."""
    return Found(*map(statistics.median, zip(*map(astuple, several))))
