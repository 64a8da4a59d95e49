"""Compares serving with a minimal tonic server and with grpcio and onnxruntime, in one run, and prints ratios.

Usage: compare.py [--quick] [--against OTHER-INFERENCE-BINARY] FOLDER TOOL INFERENCE-BINARY, where
TOOL is the compiled main.rs of this folder, and networks are kept in FOLDER.

Every server is a process on the first core; the load is generated on the second. All servers of a
network run at once and are measured in turn, so that other load on the machine affects all alike,
and medians are compared. CPU time is printed next to wall time, because it varies less on a shared
machine.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
from dataclasses import replace
from pathlib import Path

import load
import pictures
import servers
from load import Load
from servers import ECHO, OURS, PREDICT, PYTHON, STREAM, messages

NETS = {
    "784-10-10": [10],
    "784-128-10": [128],
    "784-800-10": [800],
    "784-2500-2000-1500-1000-500-10": [2500, 2000, 1500, 1000, 500],
}
SMALL, MIDDLE, BIG = "784-10-10", "784-128-10", list(NETS)[-1]
PIXELS, IMAGES, SWAPS = 784, 64, 200
ALONE = Load("unary, 1 in flight", PREDICT, 1)
MANY = Load("unary, 32 in flight", PREDICT, 32)
BATCH = Load("batches of 64, 4 in flight", PREDICT, 4, images=IMAGES)


def stream(net):
    """About as long for every network: whole streams are counted."""
    return Load("one stream", STREAM, 1, messages=64 if net == BIG else 1024)


def flop(net):
    """Of an image: two for each weight."""
    widths = [PIXELS, *NETS[net], 10]
    return 2 * sum(a * b for a, b in zip(widths, widths[1:]))


class Images:
    """The drawn digits as requests."""

    def __init__(self, pixels):
        self.pixels = pixels
        self.each = [pixels[at : at + PIXELS] for at in range(0, len(pixels), PIXELS)]
        # The one with as much ink as most have.
        self.typical = sorted(self.each, key=lambda image: sum(map(bool, image)))[IMAGES // 2]

    def picture(self, kind):
        """A request with one picture."""
        encoded = messages.EncodedPictures(encoded=[pictures.encode(self.typical, kind)])
        return load.frame(messages.PredictRequest(pictures=encoded).SerializeToString())

    def body(self, which):
        if which.method == STREAM:
            requests = [messages.PredictRequest(pixels=self.each[at % IMAGES]) for at in range(which.messages)]
            requests = [messages.PredictStreamRequest(request=request) for request in requests]
        else:
            requests = [messages.PredictRequest(pixels=self.typical if which.images == 1 else self.pixels)]
        return b"".join(load.frame(message.SerializeToString()) for message in requests)


class Bench:
    def __init__(self, arguments):
        self.folder, self.tool, self.binary = arguments.folder, arguments.tool, arguments.binary
        self.against = arguments.against
        self.seconds, self.rounds, self.swap_rounds = (0.7, 2, 1) if arguments.quick else (3.0, 7, 5)
        self.server_core, self.load_core = sorted(os.sched_getaffinity(0))[:2]
        os.sched_setaffinity(0, {self.load_core})
        self.aims = []

    def run_tool(self, core, *arguments):
        command = ["taskset", "-c", str(core), self.tool, *map(str, arguments)]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)

    def net(self, net):
        """The folder of a network, made when it is not there yet."""
        folder = self.folder / net
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            self.run_tool(self.load_core, "store", folder, ",".join(map(str, NETS[net])))
            (folder / "made").touch()
        return folder, Images((folder / "images").read_bytes())

    def interleaved(self, contenders, loads, images):
        """Medians of every load on every server that takes it; of latencies as well."""
        found = {}
        for _ in range(self.rounds):
            for which in loads:
                for server in contenders:
                    if which.method == STREAM and not isinstance(server, servers.Ours):
                        continue
                    requests = replace(which, method=servers.ECHO_METHOD) if server.name == ECHO else which
                    one = load.run(self.load_core, server, requests, images.body(which), self.seconds)
                    found.setdefault((server.name, which.name), []).append(one)
        return {key: load.median(all_of_it) for key, all_of_it in found.items()}

    def aim(self, text, reached, value):
        self.aims.append(f"  {'reached' if reached else 'MISSED '}  {text}: {value}")

    def measure(self, net):
        """All servers of one network; returns what was found and, by name, what they take."""
        folder, images = self.net(net)
        loads = [ALONE, MANY, BATCH, stream(net)]
        predict = lambda server: servers.predictions(server, images.typical)
        core, storage = self.server_core, folder / "storage"
        up = [servers.ours(OURS, core, self.binary, storage, predict)]
        if self.against:
            up.append(servers.ours("ours, the other binary", core, self.against, storage, predict))
        up.append(servers.python(core, folder / "model.onnx", predict))
        try:
            _, expected = servers.predictions(up[-1], images.pixels)
            answers = [servers.predictions(server, images.pixels) for server in up]
            for server, (_, predicted) in zip(up, answers):
                if not servers.same(predicted, expected):
                    server.fail("answers otherwise than onnxruntime")
            if net == SMALL:
                answer = servers.predictions(up[0], images.typical)[0]
                request = messages.PredictRequest(pixels=images.typical).SerializeToString()
                up.insert(0, servers.echo(core, self.tool, len(answer), lambda server: server.call(servers.ECHO_METHOD, request)))
            before = [server.failed() for server in up]
            found = self.interleaved(up, loads, images)
            for server, failures in zip(up, before):
                if server.failed() != failures:
                    server.fail(f"failed {server.failed() - failures:.0f} requests")
            takes = {server.name: (server.cold_start, server.memory_at_start, server.memory("VmHWM")) for server in up}
        finally:
            for server in up:
                server.close()
        self.table(net, loads, found)
        return found, takes

    def table(self, net, loads, found):
        print(f"\n{net}")
        print(f"  {'':<28}{'':<24}{'requests/s':>12}{'images/s':>12}{'p50 µs':>10}{'p99 µs':>10}{'CPU µs/image':>14}")
        for which in loads:
            for (name, loaded), one in found.items():
                if loaded != which.name:
                    continue
                times = "".join(f"{time:>10.0f}" if which.method != STREAM else f"{'':>10}" for time in (one.p50, one.p99))
                print(f"  {loaded:<28}{name:<24}{one.requests:>12.0f}{one.images:>12.0f}{times}{one.cpu:>14.1f}")

    def swaps(self):
        """The small network under full load, without and with swaps, in turns; medians of the rounds."""
        folder, images = self.net(SMALL)
        body, core = images.body(MANY), self.server_core
        predict = lambda server: servers.predictions(server, images.typical)
        # A copy: the records of the swaps stay in it.
        copy = self.folder / "swapped"
        shutil.rmtree(copy, ignore_errors=True)
        storage = shutil.copytree(folder / "storage", copy)
        server = servers.ours(OURS, core, self.binary, storage, predict, "--poll-interval", "50ms")
        swapped = []
        swap = lambda: swapped.append(self.run_tool(self.load_core, "swap", storage, server.address, SWAPS)["seconds"])
        try:
            before = server.failed()
            still, moving = [load.run(self.load_core, server, MANY, body, 5)], []
            for _ in range(self.swap_rounds):
                moving.append(load.run(self.load_core, server, MANY, body, 40, meanwhile=swap))
                still.append(load.run(self.load_core, server, MANY, body, 5))
            failed = server.failed() - before
        finally:
            server.close()
        took = statistics.median(swapped)
        print(f"\nswaps under full load: {SWAPS} hot loads in {took:.1f} s, in each of {len(moving)} rounds, {failed:.0f} requests failed")
        for name, several in (("without", still), ("with", moving)):
            one, each = load.median(several), ", ".join(f"{it.p99:.0f}" for it in several)
            print(f"  {name:<18}{one.requests:>10.0f} requests/s, p50 {one.p50:.0f} µs, p99 {one.p99:.0f} µs ({each})")
        ratio = load.median(moving).p99 / load.median(still).p99
        self.aim(f"{SWAPS} hot loads: none failed, p99 at most 1.2x", failed == 0 and ratio <= 1.2, f"{failed:.0f}, {ratio:.2f}x")


    def pictures(self):
        """Pictures instead of pixels, from small to large, on the small network; the memory is the most until then."""
        folder, images = self.net(SMALL)
        predict = lambda server: servers.predictions(server, images.typical)
        server = servers.ours(OURS, self.server_core, self.binary, folder / "storage", predict)
        bodies = {kind: images.picture(kind) for kind in pictures.KINDS}
        print(f"\npictures, {SMALL}")
        print(f"  {'':<28}{'pictures/s':>12}{'p50 ms':>10}{'p99 ms':>10}{'CPU ms/picture':>16}{'MB at most':>12}")
        try:
            for kind, body in bodies.items():
                for which in (ALONE, replace(ALONE, name="8 in flight", concurrency=8)):
                    several = [load.run(self.load_core, server, which, body, self.seconds) for _ in range(self.rounds)]
                    one, most = load.median(several), server.memory("VmHWM")
                    times = "".join(f"{time / 1e3:>10.2f}" for time in (one.p50, one.p99))
                    name = f"{kind}, {which.concurrency} in flight"
                    print(f"  {name:<28}{one.images:>12.0f}{times}{one.cpu / 1e3:>16.2f}{most:>12.1f}")
        finally:
            server.close()


def footprints(bench, takes):
    size = bench.binary.stat().st_size / 1e6
    print(f"\nwhat they take; the inference binary has {size:.1f} MB, S3 in it")
    print(f"  {'':<32}{'':<24}{'cold start ms':>14}{'MB then':>10}{'MB at most':>12}")
    for net, by_name in takes.items():
        for name, (cold, first, most) in by_name.items():
            print(f"  {net:<32}{name:<24}{cold * 1e3:>14.0f}{first:>10.1f}{most:>12.1f}")
    cold, first, most = takes[SMALL][OURS]
    bench.aim(f"{SMALL}: cold start at most 50 ms", cold <= 0.050, f"{cold * 1e3:.0f} ms")
    bench.aim(f"{SMALL}: at most 30 MB resident", most <= 30, f"{first:.1f} MB at first, {most:.1f} MB at most")
    bench.aim("binary at most 15 MB with S3 in it", size <= 15, f"{size:.1f} MB")


def check_aims(bench, found):
    small, big = found[SMALL], found[BIG]
    rate = lambda results, server, which: results[server, which.name]
    for which in (ALONE, MANY):
        mine, bare = rate(small, OURS, which), rate(small, ECHO, which)
        share, cpu, late = mine.requests / bare.requests, bare.cpu / mine.cpu, mine.p50 / bare.p50
        bench.aim(f"{SMALL}, {which.name}: at least 0.8x the echo", share >= 0.8, f"{share:.2f}x (by CPU {cpu:.2f}x)")
        bench.aim(f"{SMALL}, {which.name}: p50 at most 1.1x the echo's", late <= 1.1, f"{late:.2f}x")
    for net, results in found.items():
        # With one in flight both wait for the load and the kernel most of the time; the table has
        # it.
        mine, other = rate(results, OURS, MANY), rate(results, PYTHON, MANY)
        share, text = mine.images / other.images, f"{other.cpu / mine.cpu:.1f}x"
        bench.aim(f"{net}, {MANY.name}: at least 10x grpcio + onnxruntime", share >= 10, f"{share:.1f}x (by CPU {text})")
    product = bench.run_tool(bench.server_core, "product", IMAGES, f"{PIXELS},128,10")["flops"]
    one = rate(found[MIDDLE], OURS, BATCH)
    through, by_cpu = one.images * flop(MIDDLE), flop(MIDDLE) / (one.cpu / 1e6)
    text = f"{through / product:.2f}x (by CPU {by_cpu / product:.2f}x of {product / 1e9:.1f} GFLOP/s)"
    bench.aim(f"{MIDDLE}, batches of 64: at least 0.6x the bare product", through >= 0.6 * product, text)
    streamed = rate(small, OURS, stream(SMALL)).images / rate(small, OURS, MANY).images
    bench.aim(f"{SMALL}, one stream: at least 2x unary, 32 in flight", streamed >= 2, f"{streamed:.2f}x")
    batched = rate(big, OURS, MANY).images / rate(big, OURS, ALONE).images
    bench.aim(f"{BIG}: together at 32 in flight at least 4x one at a time", batched >= 4, f"{batched:.2f}x")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--against", type=Path)
    for name in ("folder", "tool", "binary"):
        parser.add_argument(name, type=Path)
    bench = Bench(parser.parse_args())
    print(f"servers on core {bench.server_core}, load on core {bench.load_core}; medians of {bench.rounds} runs of {bench.seconds:.1f} s")
    found, takes = {}, {}
    for net in NETS:
        found[net], takes[net] = bench.measure(net)
    bench.pictures()
    bench.swaps()
    check_aims(bench, found)
    footprints(bench, takes)
    print("\naims")
    print("\n".join(bench.aims))


main()
