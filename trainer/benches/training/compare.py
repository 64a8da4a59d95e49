"""Times the trainer and PyTorch in alternation on this machine and prints ratios.

Usage: compare.py [--quick] MNIST-FOLDER COMMAND…, where COMMAND starts benches/training.rs.

Every contender is a process of its own. Runs are interleaved, so that other load on the machine
affects all contenders alike, and medians are compared. CPU time is printed next to wall time,
because it varies less on a shared machine.
"""

import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
NETS = {"784-10-10": [10], "784-128-10": [128], "784-800-10": [800]}
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
TRAIN, VALIDATION, BATCH, ROWS = 54_000, 6_000, 64, 9
# Augmentation is timed over some batches: an epoch of torchvision's transforms takes minutes.
AUGMENTED, WARM_UP = "784-800-10", 3
# Name and number of timed batches: torchvision's elastic fields of one batch take half a second.
AUGMENTATIONS = {
    "affine": ("turned, slanted, sized, shifted", 100),
    "elastic": ("and pulled about by an elastic field", 20),
}
TRANSFORMS, BATCHWISE = "torchvision's transforms per image", "PyTorch, affine_grid on the batch"


class Contender:
    """A process that trains on request, always with its own settings."""

    def __init__(self, name, command, threads, environment=(), **settings):
        self.name, self.settings = name, {"threads": threads, **settings}
        # The thread settings of the calling shell must not apply.
        own = {key: value for key, value in os.environ.items() if key not in THREADS}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**own, **dict(environment)}
        )
        self.ready = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended with {self.process.wait()}")
        return json.loads(line)

    def run(self, hidden, epochs, **more):
        request = {"hidden": hidden, "epochs": epochs, **self.settings, **more}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def unpacked(folder, into):
    """MNIST's files where torchvision expects them."""
    raw = into / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"):
            name = f"{part}-{kind}"
            plain = folder / name
            content = plain.read_bytes() if plain.exists() else gzip.decompress((folder / f"{name}.gz").read_bytes())
            (raw / name).write_bytes(content)


def floor(widths, epochs, machine):
    """Lower bound in seconds on this machine: multiply-adds at the speed of a large product, or bytes at the speed of a
    large copy, whichever is slower. Images are read once, as bytes; weights, gradients and momenta stay in caches."""
    layers = list(zip(widths, widths[1:]))
    products = [inputs * outputs for inputs, outputs in layers]
    # Forward, weights' gradients, and gradients by the inputs of all layers but the first.
    training = 2 * TRAIN * (2 * sum(products) + sum(products[1:]))
    validation = 2 * VALIDATION * ROWS * sum(products)
    flops = epochs * (training + validation) / machine["flops"]
    data = epochs * (TRAIN + ROWS * VALIDATION) * widths[0] / machine["bytes_per_second"]
    return max(flops, data), epochs * (training + validation)


def interleaved(contenders, hidden, epochs, rounds, **more):
    """Medians of every contender, without the first run of each."""
    found = {one.name: [] for one in contenders}
    for turn in range(rounds + 1):
        for one in contenders:
            answer = one.run(hidden, epochs, **more)
            if turn:
                found[one.name].append(answer)
    median = lambda name, key: statistics.median(answer[key] for answer in found[name])
    return {name: {key: median(name, key) for key in ("seconds", "cpu_seconds")} for name in found}


def table(title, times, ours, base, machine_floor=None):
    print(f"\n{title}")
    print(f"  {'':<34}{'wall s':>9}{'CPU s':>9}{'x ours, wall':>14}{'x ours, CPU':>13}")
    for name, time in times.items():
        wall, cpu = time["seconds"] / ours["seconds"], time["cpu_seconds"] / ours["cpu_seconds"]
        print(f"  {name:<34}{time['seconds']:>9.3f}{time['cpu_seconds']:>9.3f}{wall:>14.2f}{cpu:>13.2f}")
    if machine_floor:
        print(f"  {'floor of this machine':<34}{machine_floor:>9.3f}{'':>9}{machine_floor / ours['seconds']:>14.2f}")


def augmented(contenders, quick):
    """Times training with augmentation, one thread each; returns the targets."""
    rounds = 3 if quick else 5
    aims = []
    for kind, (words, batches) in AUGMENTATIONS.items():
        batches = batches // 4 if quick else batches
        times = interleaved(contenders, NETS[AUGMENTED], 1, rounds, augmentation=kind, batches=batches, warm_up=WARM_UP)
        ours, theirs = times["ours"], times[TRANSFORMS]
        table(f"{AUGMENTED}, {batches} batches of {BATCH}, {words} ({rounds} runs)", times, ours, TRANSFORMS)
        speeds = (f"{name} {batches * BATCH / time['seconds']:,.0f}" for name, time in times.items())
        print(f"  images a second: {'; '.join(speeds)}")
        wall, cpu = theirs["seconds"] / ours["seconds"], theirs["cpu_seconds"] / ours["cpu_seconds"]
        aims.append((f"{AUGMENTED}, {kind}: at least 3x torchvision's transforms", cpu >= 3, f"{wall:.2f}x wall, {cpu:.2f}x CPU"))
    return aims


def aim(text, reached, value):
    print(f"  {'reached' if reached else 'MISSED '}  {text}: {value}")


def main():
    arguments = sys.argv[1:]
    quick = "--quick" in arguments
    if quick:
        arguments.remove("--quick")
    folder, ours_command = Path(arguments[0]).resolve(), arguments[1:]
    rounds, notebook_rounds = (3, 1) if quick else (9, 3)
    one_core = dict.fromkeys(THREADS, "1")
    with tempfile.TemporaryDirectory() as scratch:
        unpacked(folder, Path(scratch))
        script = lambda kind: [sys.executable, str(HERE / "contender.py"), kind, scratch]
        machine_process = Contender("machine", script("machine"), 1, one_core.items())
        our_environment = {**one_core, "DIGITS_MNIST_DIR": str(folder)}.items()
        ours = Contender("ours", ours_command, 1, our_environment)
        rounded = Contender("ours, products in bfloat16", ours_command, 1, our_environment, precision="bfloat16")
        well = Contender("PyTorch written well, 1 thread", script("resident"), 1, one_core.items())
        threads = Contender("PyTorch written well", script("resident"), 0)
        threads.name = f"PyTorch written well, its choice: {threads.ready['threads']}"
        notebook = Contender("the notebook as written", script("notebook"), 0)
        transforms = Contender(TRANSFORMS, script("transforms"), 1, one_core.items())
        batchwise = Contender(BATCHWISE, script("batchwise"), 1, one_core.items())
        machine = machine_process.run([], 0)
        print(
            f"torch {well.ready['torch']}, {os.cpu_count()} cores; one core's peak in a product of 1024x1024: "
            f"{machine['flops'] / 1e9:.1f} GFLOP/s, in a copy: {machine['bytes_per_second'] / 1e9:.1f} GB/s"
        )
        print(f"medians of {rounds} interleaved runs ({notebook_rounds} of the notebook, one epoch of it times the epochs)")
        aims = []
        for net, hidden in NETS.items():
            epochs = 5 if net == "784-10-10" and not quick else 1
            also = [rounded] if net == "784-800-10" else []
            times = interleaved([ours, well, threads, *also], hidden, epochs, rounds)
            if net == "784-10-10":
                once = interleaved([notebook], hidden, 1, notebook_rounds)["the notebook as written"]
                times["the notebook as written"] = {key: value * epochs for key, value in once.items()}
            least, flops = floor([784, *hidden, 10], epochs, machine)
            table(f"{net}, {epochs} epoch{'s' * (epochs > 1)} with validations", times, times["ours"], well.name, least)
            mine, theirs = times["ours"], times[well.name]
            ratio = f"{theirs['seconds'] / mine['seconds']:.2f}x wall, {theirs['cpu_seconds'] / mine['cpu_seconds']:.2f}x CPU"
            if net == "784-10-10":
                five = mine["seconds"] * 5 / epochs
                aims.append(("the notebook's five epochs in under a second", five < 1, f"{five:.3f} s"))
                aims.append((f"{net}: at least 3x PyTorch written well", theirs["cpu_seconds"] >= 3 * mine["cpu_seconds"], ratio))
            if net == "784-800-10":
                aims.append((f"{net}: at least 1.0x", theirs["cpu_seconds"] >= mine["cpu_seconds"], ratio))
                share = flops / mine["cpu_seconds"] / machine["flops"]
                print(f"  ours computes at {flops / mine['cpu_seconds'] / 1e9:.1f} GFLOP/s, {share:.0%} of the peak")
        aims += augmented([ours, batchwise, transforms], quick)
        print("\naims, by CPU time where ratios are meant (the machine may be shared)")
        for text, reached, value in aims:
            aim(text, reached, value)
        for one in (machine_process, ours, rounded, well, threads, notebook, transforms, batchwise):
            one.close()


main()
