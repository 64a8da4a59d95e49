"""Loads a published checkpoint into the notebook's network in PyTorch with strict=True, and checks it.

Usage: load_checkpoint.py CHECKPOINT [--mnist DIR]

CHECKPOINT is the folder of one checkpoint (model.safetensors, exam.safetensors, manifest.json) or a
model.safetensors alone. DIR holds MNIST's test files, raw or gzipped; DIGITS_MNIST_DIR by default. Prints one line of
JSON: images, correct, accuracy, loss (mean over images), loss_batch_mean (mean over batches of 64, as the notebook
computes it), and of the exam the number of images and the largest |difference| / (1 + max |logit|). Exits with 1 where
the exam is not passed.
"""

import argparse
import gzip
import json
import os
import struct
import sys
from pathlib import Path

import numpy
import torch
from safetensors.numpy import load_file
from torch import nn

TOLERANCE = 1e-4
BATCH = 64


class ScaledTanh(nn.Module):
    """1.7159 tanh(2x/3)."""

    def forward(self, values):
        return 1.7159 * torch.tanh(values * (2 / 3))


ACTIVATIONS = {
    "relu": nn.ReLU,
    "scaled_tanh": ScaledTanh,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "leaky_relu": nn.LeakyReLU,
}


class MLPNetwork(nn.Module):
    """The notebook's: flatten, then linear layers with an activation between them."""

    def __init__(self, widths, activation, negative_slope=None):
        super().__init__()
        layers = [nn.Flatten()]
        options = [] if negative_slope is None else [negative_slope]
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), ACTIVATIONS[activation](*options)]
        self.layers = nn.ModuleList(layers[:-1])

    def forward(self, values):
        for layer in self.layers:
            values = layer(values)
        return values


def read_idx(folder, name):
    """An IDX file of bytes as an array."""
    raw = folder / name
    content = raw.read_bytes() if raw.exists() else gzip.decompress((folder / (name + ".gz")).read_bytes())
    dimensions = content[3]
    shape = struct.unpack(">" + "I" * dimensions, content[4 : 4 + 4 * dimensions])
    return numpy.frombuffer(content, numpy.uint8, offset=4 + 4 * dimensions).reshape(shape).copy()


def tensors(file):
    """A safetensors file as tensors. (safetensors.torch would do it too, but needs one more package.)"""
    return {name: torch.from_numpy(values.copy()) for name, values in load_file(file).items()}


def build(state, manifest):
    """The network of a state dict."""
    numbers = sorted({int(key.split(".")[1]) for key in state})
    weights = [state[f"layers.{number}.weight"] for number in numbers]
    widths = [weights[0].shape[1], *(weight.shape[0] for weight in weights)]
    architecture = manifest.get("architecture", {})
    model = MLPNetwork(widths, architecture.get("activation", "relu"), architecture.get("negative_slope"))
    model.load_state_dict(state, strict=True)
    return model.eval()


def scaled(pixels, manifest):
    """Raw pixels scaled to inputs of the network."""
    recipe = {"scale": 255.0, "mean": 0.0, "std": 1.0, **manifest.get("input", {})}
    values = pixels.float().div_(torch.tensor(recipe["scale"]))
    return values.sub_(torch.tensor(recipe["mean"])).div_(torch.tensor(recipe["std"]))


@torch.no_grad()
def evaluate(model, manifest, folder):
    """Loss and accuracy on MNIST's test set."""
    pixels = torch.from_numpy(read_idx(folder, "t10k-images-idx3-ubyte"))
    labels = torch.from_numpy(read_idx(folder, "t10k-labels-idx1-ubyte")).long()
    total, means, correct = 0.0, [], 0
    for first in range(0, len(labels), BATCH):
        logits = model(scaled(pixels[first : first + BATCH], manifest))
        wanted = labels[first : first + BATCH]
        loss = nn.functional.cross_entropy(logits, wanted).item()
        means.append(loss)
        total += loss * len(wanted)
        correct += (logits.argmax(1) == wanted).sum().item()
    return {
        "images": len(labels),
        "correct": correct,
        "accuracy": correct / len(labels),
        "loss": total / len(labels),
        "loss_batch_mean": sum(means) / len(means),
    }


@torch.no_grad()
def examine(model, manifest, exam):
    """Largest relative difference from the exam's recorded logits."""
    logits = model(scaled(exam["inputs"], manifest))
    recorded = exam["logits"]
    return ((logits - recorded).abs().max() / (1 + recorded.abs().max())).item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--mnist", type=Path, default=os.environ.get("DIGITS_MNIST_DIR"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = arguments.checkpoint
    file = folder / "model.safetensors" if folder.is_dir() else folder
    manifest_file = file.with_name("manifest.json")
    manifest = json.loads(manifest_file.read_text()) if manifest_file.exists() else {}
    model = build(tensors(file), manifest)
    answer = {"torch": torch.__version__}
    if arguments.mnist:
        answer |= evaluate(model, manifest, Path(arguments.mnist))
    exam_file = file.with_name("exam.safetensors")
    if exam_file.exists():
        exam = tensors(exam_file)
        answer["exam_images"] = len(exam["inputs"])
        answer["exam_difference"] = examine(model, manifest, exam)
    print(json.dumps(answer))
    # Written so that NaN fails too.
    return 0 if not exam_file.exists() or answer["exam_difference"] <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
