"""Runs servers as processes on a core of their own, checks their answers and measures their use of the core."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

import grpc

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "proto"))
messages, services = grpc.protos_and_services("digits/v1/inference.proto")

PREDICT = "digits.v1.InferenceService/Predict"
STREAM = "digits.v1.InferenceService/PredictStream"
ECHO_METHOD = "bench.Echo/Echo"
OURS, ECHO, PYTHON = "ours", "tonic echo", "grpcio + onnxruntime"
# How long a server may take to answer.
PATIENCE = 60


class Server:
    """A process pinned to a core; its methods are called by the driver's own gRPC client, outside the measurement."""

    def __init__(self, name, core, command, probe):
        self.name, self.folder = name, tempfile.TemporaryDirectory()
        self.ready = Path(self.folder.name) / "ready"
        self.log = (Path(self.folder.name) / "log").open("w+")
        pinned = ["taskset", "-c", str(core), *map(str, command(self.ready))]
        begun = time.perf_counter()
        # taskset becomes the server, so the process is the server's.
        self.process = subprocess.Popen(pinned, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.listening = self.addresses()
        self.address = self.listening["grpc"]
        self.channel = grpc.insecure_channel(self.address)
        self.first_answer(probe)
        self.cold_start = time.perf_counter() - begun
        self.memory_at_start = self.memory("VmRSS")

    def addresses(self):
        raise NotImplementedError

    def fail(self, why):
        self.log.seek(0)
        sys.exit(f"{self.name} {why}\n{self.log.read()}")

    def first_answer(self, probe):
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                return probe(self)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE or time.monotonic() > give_up:
                    self.fail(f"does not answer: {error}")
            time.sleep(0.0005)

    def call(self, method, request):
        """Bytes in, bytes out."""
        return self.channel.unary_unary(f"/{method}")(request, timeout=PATIENCE)

    def memory(self, field):
        """MB of the process, by a field of its status."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split(f"{field}:")[1].split()[0]) * 1024 / 1e6

    def cpu(self):
        """Seconds of processor that it has taken."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def failed(self):
        """What else than successes it counted; none but ours counts."""
        return 0

    def close(self):
        self.channel.close()
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.folder.cleanup()


class Printed(Server):
    """One that prints its address once it listens."""

    def addresses(self):
        line = self.process.stdout.readline()
        if not line:
            self.fail("ended")
        return json.loads(line)


class Ours(Server):
    """The inference service, which writes its addresses into a file."""

    def addresses(self):
        give_up = time.monotonic() + PATIENCE
        while not self.ready.exists():
            if self.process.poll() is not None or time.monotonic() > give_up:
                self.fail("did not come up")
            time.sleep(0.0005)
        return json.loads(self.ready.read_text())

    def failed(self):
        """Requests that it refused or failed since its start. What the load's end cuts off is CANCELLED, or UNKNOWN in the midst of a
        message."""
        text = urlopen(f"http://{self.listening['admin']}/metrics", timeout=PATIENCE).read().decode()
        lines = [line for line in text.splitlines() if line.startswith("digits_inference_grpc_requests_total{")]
        bad = [line for line in lines if not re.search('code="(OK|CANCELLED|UNKNOWN)"', line)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in bad)


def ours(name, core, binary, storage, probe, *flags):
    local = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
    return Ours(name, core, lambda ready: [binary, "--storage", storage, "--ready-file", ready, *local, *flags], probe)


def python(core, model, probe):
    return Printed(PYTHON, core, lambda _: [sys.executable, HERE / "contender.py", model], probe)


def echo(core, tool, answer_bytes, probe):
    return Printed(ECHO, core, lambda _: [tool, "echo", answer_bytes], probe)


def predictions(server, pixels):
    """Predictions of a server."""
    answer = server.call(PREDICT, messages.PredictRequest(pixels=pixels).SerializeToString())
    return answer, messages.PredictResponse.FromString(answer).predictions


def same(one, other):
    """Whether two servers give the same predictions."""
    if len(one) != len(other):
        return False
    return all(
        abs(x - y) < 1e-4 and a.verdict == b.verdict == messages.VERDICT_LABEL
        for a, b in zip(one, other)
        for x, y in zip(a.probabilities, b.probabilities, strict=True)
    )
