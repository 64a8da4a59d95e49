"""Trains in PyTorch, one line of JSON per run on standard input, and prints the time of each run.

Usage: contender.py KIND FOLDER, with MNIST's four files in FOLDER/MNIST/raw, unpacked.

KIND: notebook  the teaching notebook's loop: torchvision's MNIST with ToTensor for every image, DataLoader, loss.item()
                at every step;
      resident  PyTorch written well: scaled images in memory, index_select, the fused optimizer, no synchronization
                but at a row;
      transforms  augmentation by torchvision's transforms for every image, in a DataLoader; else as `resident`;
      batchwise  augmentation of the whole batch at once, by affine_grid and grid_sample; else as `resident`;
      machine   no training: the ceilings of this machine.

A run is {"hidden": [widths], "epochs": n, "threads": n or 0 for PyTorch's own choice}; the answer
{"seconds", "cpu_seconds", "steps", "accuracy"}: from the first step to the last, with a validation of all 6,000 images
after step 1, 101, 201, … of each epoch, as the notebook has it. With augmentation it is {…, "augmentation": "affine" or
"elastic", "batches": n, "warm_up": n}: that many steps, after some that do not count, and no validation.
"""

import json
import math
import sys
import time
import warnings

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, random_split

BATCH, EVERY, TRAIN, VALIDATION = 64, 100, 54_000, 6_000
RATE, MOMENTUM = 1e-3, 0.9
# The ranges of the augmentation; sizes are factors, lengths pixels.
ROTATION, SHEAR, SMALLEST, LARGEST, SHIFT = 15.0, 15.0, 0.85, 1.15, 2.0
ALPHA, SIGMA, SIDE = 36.0, 5.0, 28
warnings.filterwarnings("ignore")


class MLPNetwork(nn.Module):
    """Flatten, then linear layers with ReLU between them."""

    def __init__(self, widths):
        super().__init__()
        layers = [nn.Flatten()]
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.ModuleList(layers[:-1])

    def forward(self, values):
        for layer in self.layers:
            values = layer(values)
        return values


def clock():
    """Wall and CPU time of this process."""
    return time.perf_counter(), time.process_time()


def answer(began, steps, accuracy):
    wall, cpu = clock()
    return {"seconds": wall - began[0], "cpu_seconds": cpu - began[1], "steps": steps, "accuracy": accuracy}


class Notebook:
    """The notebook's loop, unchanged."""

    def __init__(self, folder):
        from torchvision import datasets, transforms

        data = datasets.MNIST(folder, train=True, transform=transforms.ToTensor())
        self.train, self.validation = random_split(
            data, [TRAIN, VALIDATION], torch.Generator().manual_seed(17)
        )

    def run(self, widths, request):
        epochs = request["epochs"]
        network = MLPNetwork(widths)
        loss_of = nn.CrossEntropyLoss()
        optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM)
        train = DataLoader(self.train, batch_size=BATCH, shuffle=True)
        validation = DataLoader(self.validation, batch_size=BATCH, shuffle=False)
        began, steps, accuracy, losses = clock(), 0, 0.0, []
        for _ in range(epochs):
            for number, (images, labels) in enumerate(train):
                network.train()
                optimizer.zero_grad()
                loss = loss_of(network(images), labels)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                steps += 1
                if number % EVERY == 0:
                    accuracy = self.validate(network, validation, loss_of)
        return answer(began, steps, accuracy)

    @staticmethod
    def validate(network, validation, loss_of):
        network.eval()
        right, losses = 0, []
        with torch.no_grad():
            for images, labels in validation:
                logits = network(images)
                losses.append(loss_of(logits, labels).item())
                right += (logits.argmax(1) == labels).sum().item()
        return right / VALIDATION


class Resident:
    """An optimized PyTorch loop."""

    def __init__(self, folder):
        from torchvision import datasets

        data = datasets.MNIST(folder, train=True)
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(17))
        pixels = (data.data.reshape(-1, 784).float() / 255)[order]
        labels = data.targets[order]
        self.images, self.labels = pixels[:TRAIN].contiguous(), labels[:TRAIN].contiguous()
        self.validation = pixels[TRAIN:].contiguous(), labels[TRAIN:].contiguous()

    def run(self, widths, request):
        epochs = request["epochs"]
        network = MLPNetwork(widths)
        optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM, fused=True)
        began, steps, accuracy = clock(), 0, 0.0
        for _ in range(epochs):
            for number, batch in enumerate(torch.randperm(TRAIN).split(BATCH)):
                images, labels = self.images.index_select(0, batch), self.labels.index_select(0, batch)
                loss = functional.cross_entropy(network(images), labels)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                steps += 1
                if number % EVERY == 0:
                    with torch.inference_mode():
                        logits = network(self.validation[0])
                        validation_loss = functional.cross_entropy(logits, self.validation[1])
                        accuracy = (logits.argmax(1) == self.validation[1]).float().mean().item()
                        validation_loss.item(), loss.item()
        return answer(began, steps, accuracy)


def augmented(batches, widths, request):
    """Trains on what `batches` gives, (images [n, 784], labels); the steps of the warm-up are not timed."""
    network = MLPNetwork(widths)
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM, fused=True)
    began = clock()
    for number in range(request["warm_up"] + request["batches"]):
        if number == request["warm_up"]:
            began = clock()
        images, labels = next(batches)
        logits = network(images)
        loss = functional.cross_entropy(logits, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return answer(began, request["batches"], (logits.argmax(1) == labels).float().mean().item())


class Transforms:
    """Augmentation by torchvision's transforms, in the order that is the fastest: geometry on the picture, the elastic
    field on the tensor."""

    def __init__(self, folder):
        self.folder = folder

    def run(self, widths, request):
        from torchvision import datasets, transforms

        shift = SHIFT / SIDE
        steps = [
            transforms.RandomAffine(
                ROTATION,
                translate=(shift, shift),
                scale=(SMALLEST, LARGEST),
                shear=SHEAR,
                interpolation=transforms.InterpolationMode.BILINEAR,
            ),
            transforms.ToTensor(),
        ]
        if request["augmentation"] == "elastic":
            steps.append(transforms.ElasticTransform(alpha=ALPHA, sigma=SIGMA))
        data = datasets.MNIST(self.folder, train=True, transform=transforms.Compose(steps))
        return augmented(iter(DataLoader(data, batch_size=BATCH, shuffle=True)), widths, request)


class Batchwise:
    """Optimized augmentation: one grid for the whole batch, one sampling, the blur as two products."""

    def __init__(self, folder):
        from torchvision import datasets

        data = datasets.MNIST(folder, train=True)
        self.images = data.data.unsqueeze(1).float() / 255
        self.labels = data.targets
        places = torch.arange(SIDE, dtype=torch.float32)
        kernel = torch.exp(-(((places - places[:, None]) / SIGMA) ** 2) / 2)
        self.blur = kernel / kernel.sum(1, keepdim=True)

    def run(self, widths, request):
        return augmented(self.batches(request["augmentation"] == "elastic"), widths, request)

    def batches(self, elastic):
        while True:
            for batch in torch.randperm(len(self.labels)).split(BATCH):
                images = self.images.index_select(0, batch)
                grid = functional.affine_grid(self.matrices(len(batch)), images.shape, align_corners=False)
                if elastic:
                    noise = torch.empty(len(batch), 2, SIDE, SIDE).uniform_(-1, 1)
                    field = (self.blur @ noise @ self.blur.T) * (2 * ALPHA / SIDE)
                    grid += field.permute(0, 2, 3, 1)
                moved = functional.grid_sample(images, grid, align_corners=False)
                yield moved.flatten(1), self.labels.index_select(0, batch)

    @staticmethod
    def matrices(count):
        def uniform(low, high, *size):
            return torch.empty(count, *size).uniform_(low, high)

        turn = uniform(-math.radians(ROTATION), math.radians(ROTATION))
        slant = uniform(-math.radians(SHEAR), math.radians(SHEAR)).tan()
        across, down = 1 / uniform(SMALLEST, LARGEST), 1 / uniform(SMALLEST, LARGEST)
        shift = uniform(-SHIFT, SHIFT, 2) * (2 / SIDE)
        cos, sin = turn.cos(), turn.sin()
        rows = [across * cos, down * (slant * cos - sin), shift[:, 0], across * sin, down * (slant * sin + cos), shift[:, 1]]
        return torch.stack(rows, 1).view(count, 2, 3)


class Machine:
    """Peak rates of one core: multiply-adds of a large product, bytes of a large copy."""

    def __init__(self, _folder):
        pass

    def run(self, _widths, _request):
        def fastest(operation, runs):
            times = []
            for _ in range(runs):
                began = time.perf_counter()
                operation()
                times.append(time.perf_counter() - began)
            return min(times)

        side = 1024
        left, right, out = torch.rand(side, side), torch.rand(side, side), torch.empty(side, side)
        product = fastest(lambda: torch.mm(left, right, out=out), 10)
        floats = 64 << 20
        source, target = torch.rand(floats), torch.empty(floats)
        copy = fastest(lambda: target.copy_(source), 5)
        return {"flops": 2 * side**3 / product, "bytes_per_second": 2 * 4 * floats / copy}


KINDS = {
    "notebook": Notebook,
    "resident": Resident,
    "transforms": Transforms,
    "batchwise": Batchwise,
    "machine": Machine,
}


def main():
    kind, folder = sys.argv[1:3]
    contender = KINDS[kind](folder)
    own_choice = torch.get_num_threads()
    print(json.dumps({"ready": kind, "torch": torch.__version__, "threads": own_choice}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        torch.set_num_threads(request["threads"] or own_choice)
        print(json.dumps(contender.run([784, *request["hidden"], 10], request)), flush=True)


main()
