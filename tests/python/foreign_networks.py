"""Networks as PyTorch scripts save them, for the test of imports.

Usage: foreign_networks.py FOLDER [CHECKPOINT ...]

Without checkpoints it writes one safetensors file for each network and some files of other formats into FOLDER, and
prints them as JSON: of each network its name, the flags of its import and a part of the notes; of each other file its
name, a part of the refusal and whether the refusal says how to convert it. With the folders of the imported
checkpoints, in the order of the networks, it compares PyTorch's logits with those of the exams, and exits with 1 where
one is off by more than the exam's tolerance.
"""

import json
import sys
from collections import OrderedDict
from pathlib import Path

import numpy
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file
from torch import nn

TOLERANCE = 1e-4


def named(activation, **modules):
    """Flatten, then the modules under their own names, an activation after each `fc`, `hidden` or `bn`."""
    layers = [("flatten", nn.Flatten())]
    for index, (name, module) in enumerate(modules.items()):
        layers.append((name, module))
        last = index + 1 == len(modules)
        normalized = not last and list(modules)[index + 1].startswith("bn")
        if not last and not normalized:
            layers.append((f"act_{index}", activation))
    return nn.Sequential(OrderedDict(layers))


def networks():
    """(name, network, flags, part of the notes); the same ones in every run."""
    torch.manual_seed(5)
    linear, norm = nn.Linear, nn.BatchNorm1d
    normalized = ["--mean", "0.1307", "--std", "0.3081"]
    made = [
        (
            "fc",
            named(nn.Tanh(), fc1=linear(784, 40), fc2=linear(40, 10)),
            ["--activation", "tanh", *normalized],
            "",
        ),
        (
            "hidden_output",
            named(nn.Sigmoid(), hidden=linear(784, 30), output=linear(30, 10)),
            ["--activation", "sigmoid", "--mean", "0.5", "--std", "0.5"],
            "`hidden`, `output`",
        ),
        (
            "no_bias",
            named(nn.LeakyReLU(0.2), fc1=linear(784, 20, bias=False), fc2=linear(20, 10, bias=False)),
            ["--activation", "leaky-relu", "--negative-slope", "0.2"],
            "without a bias",
        ),
        (
            "norm_before",
            nn.Sequential(
                nn.Flatten(), linear(784, 32), norm(32), nn.ReLU(), linear(32, 32), norm(32), nn.ReLU(), linear(32, 10)
            ),
            [],
            "before the activation",
        ),
        (
            "norm_after",
            nn.Sequential(
                nn.Flatten(), norm(784, affine=False), linear(784, 32), nn.ReLU(), nn.Dropout(), norm(32), linear(32, 10)
            ),
            [],
            "after the activation",
        ),
        (
            "norm_named",
            named(nn.GELU(), fc1=linear(784, 24), bn1=norm(24), fc2=linear(24, 16), bn2=norm(16), fc3=linear(16, 10)),
            ["--activation", "gelu"],
            "`bn2` was folded into `fc2`",
        ),
        (
            "bfloat16",
            named(nn.ReLU(), l1=linear(784, 20), l2=linear(20, 10)).bfloat16(),
            [],
            "from bfloat16",
        ),
        ("float16", named(nn.ReLU(), l1=linear(784, 20), l2=linear(20, 10)).half(), [], "from float16"),
        ("float64", named(nn.ReLU(), l1=linear(784, 20), l2=linear(20, 10)).double(), [], ""),
    ]
    for _, network, _, _ in made:
        for module in network.modules():
            if isinstance(module, norm):
                module.running_mean.uniform_(-1, 1)
                module.running_var.uniform_(0.1, 3)
                if module.affine:
                    nn.init.uniform_(module.weight, -2, 2)
                    nn.init.uniform_(module.bias, -1, 1)
        network.eval()
    return made


def write(folder):
    made = networks()
    for name, network, _, _ in made:
        save_file(network.state_dict(), folder / f"{name}.safetensors")
    network = made[0][1]
    state = network.state_dict()
    torch.save(state, folder / "zip.pth")
    torch.save(state, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.jit.trace(network, torch.zeros(1, 28, 28)).save(folder / "script.pt")
    numpy.savez(folder / "arrays.npz", **{name: tensor.numpy() for name, tensor in state.items()})
    return {
        "networks": [{"name": name, "flags": flags, "note": note} for name, _, flags, note in made],
        "foreign": [
            {"name": "zip.pth", "part": "is a PyTorch file (.pth, .pt)", "converts": True},
            {"name": "legacy.pth", "part": "is a pickle", "converts": True},
            {"name": "script.pt", "part": "is TorchScript", "converts": True},
            {"name": "arrays.npz", "part": "is a NumPy archive", "converts": True},
        ],
    }


@torch.no_grad()
def compare(checkpoints):
    worst = {}
    for (name, network, _, _), folder in zip(networks(), checkpoints, strict=True):
        exam = load_file(folder / "exam.safetensors")
        recipe = json.loads((folder / "manifest.json").read_text())["input"]
        values = (exam["inputs"].astype(numpy.float64) / recipe["scale"] - recipe["mean"]) / recipe["std"]
        logits = network.double()(torch.from_numpy(values)).numpy()
        allowed = 1 + numpy.abs(logits).max(1, keepdims=True)
        worst[name] = float((numpy.abs(logits - exam["logits"]) / allowed).max())
    return worst


def main(folder, checkpoints):
    if not checkpoints:
        print(json.dumps(write(folder)))
        return 0
    worst = compare(checkpoints)
    print(json.dumps(worst))
    # Written so that NaN fails too.
    return 0 if all(difference <= TOLERANCE for difference in worst.values()) else 1


if __name__ == "__main__":
    paths = [Path(argument) for argument in sys.argv[1:]]
    if not paths:
        sys.exit(__doc__)
    sys.exit(main(paths[0], paths[1:]))
