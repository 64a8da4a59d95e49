"""Reference training in plain PyTorch (autograd, torch.optim, random_split, DataLoader) that the trainer must equal.

Usage: reference_training.py FOLDER…

Each FOLDER holds a data set under MNIST's file names, raw or gzipped, and spec.json: {"seed", "generator_skip", "split": [counts or
fractions], "split_seed" or null, "hidden": [widths], "activation": a name in ACTIVATIONS, "negative_slope" or null, "mean", "std",
"batch_size", "evaluation_batch_size", "epochs", "every_steps", "learning_rate", "label_smoothing", "max_gradient_norm",
"ema_decay" (each of the three 0 for none), "optimizer": the arguments of torch.optim.SGD without the rate, or, with "betas", of
AdamW without weight decay of biases, "schedule": {"step": …} | {"cosine": …} | {"one_cycle": …} with the fields of the job spec,
or null}. "start_from" names a file in the folder with all parameters as float32 in the module's order; they are loaded as a state
dict into the network once it is built.

Writes into the folder, in the machine's byte order: train.u32 and validation.u32 (the split), initial.f32 and final.f32 (all
parameters in the module's order), orders.u32 (indices into the training part, epoch by epoch), rows.json (one
entry per validation) and summary.json.
"""

import gzip
import json
import struct
import sys
from pathlib import Path

import numpy
import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, TensorDataset, random_split


def read_idx(folder, name):
    """An IDX file of bytes as an array."""
    raw = folder / name
    content = raw.read_bytes() if raw.exists() else gzip.decompress((folder / (name + ".gz")).read_bytes())
    dimensions = content[3]
    shape = struct.unpack(">" + "I" * dimensions, content[4 : 4 + 4 * dimensions])
    return numpy.frombuffer(content, numpy.uint8, offset=4 + 4 * dimensions).reshape(shape).copy()


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
    """Flatten, then linear layers with an activation between them."""

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


def data_set(folder, part, spec):
    """Scaled images, labels, and each image's number in the file."""
    pixels = torch.from_numpy(read_idx(folder, f"{part}-images-idx3-ubyte"))
    labels = torch.from_numpy(read_idx(folder, f"{part}-labels-idx1-ubyte"))
    # As torchvision's ToTensor and Normalize.
    values = pixels.float().div(255).sub_(torch.tensor(spec["mean"])).div_(torch.tensor(spec["std"]))
    return TensorDataset(values, labels.long(), torch.arange(len(labels)))


@torch.no_grad()
def evaluate(model, loader):
    """Mean of the batch losses, and the number of correct predictions."""
    losses, right = [], 0
    for values, labels, _ in loader:
        outputs = model(values)
        losses.append(nn.functional.cross_entropy(outputs, labels).item())
        right += (outputs.argmax(1) == labels).sum().item()
    return sum(losses) / len(losses), right


def parameters(model):
    return numpy.concatenate([p.detach().numpy().reshape(-1) for p in model.parameters()])


def start_from(model, numbers):
    """Loads all parameters as a state dict."""
    state, at = {}, 0
    for name, values in model.state_dict().items():
        state[name] = torch.from_numpy(numbers[at : at + values.numel()]).reshape(values.shape)
        at += values.numel()
    model.load_state_dict(state, strict=True)


def skip_words(count):
    """Discards words of the generator: uniform_ takes one for each float32."""
    if count:
        torch.empty(count).uniform_()


def make_optimizer(model, spec):
    """The optimizer of the spec."""
    terms = spec["optimizer"]
    if "betas" not in terms:
        return torch.optim.SGD(model.parameters(), lr=spec["learning_rate"], **terms)
    weights = [values for values in model.parameters() if values.dim() > 1]
    biases = [values for values in model.parameters() if values.dim() == 1]
    groups = [{"params": weights}, {"params": biases, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=spec["learning_rate"], **terms)


def make_schedule(optimizer, spec, steps_per_epoch):
    """The learning rate schedule of the spec from PyTorch's classes; None for a constant rate."""
    rate, steps = spec["learning_rate"], steps_per_epoch * spec["epochs"]
    for name, terms in (spec["schedule"] or {}).items():
        if name == "step":
            return lr_scheduler.StepLR(optimizer, terms["every_epochs"], terms["factor"])
        if name == "one_cycle":
            return lr_scheduler.OneCycleLR(
                optimizer,
                rate,
                total_steps=steps,
                pct_start=terms["up"],
                cycle_momentum=False,
                div_factor=1 / terms["initial_factor"],
                final_div_factor=terms["initial_factor"] / terms["final_factor"],
            )
        warmup = round(terms["warmup"] * steps)
        cosine = lr_scheduler.CosineAnnealingLR(optimizer, steps - warmup - 1, rate * terms["final_factor"])
        if not warmup:
            return cosine
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        linear = lr_scheduler.LinearLR(optimizer, 1 / warmup, total_iters=warmup - 1)
        return lr_scheduler.SequentialLR(optimizer, [linear, cosine], [warmup])
    return None


def train_as_told(folder):
    """Carries out a folder's spec.json."""
    spec = json.loads((folder / "spec.json").read_text())
    images = data_set(folder, "train", spec)
    classes = int(images.tensors[1].max()) + 1
    test = data_set(folder, "t10k", spec)

    torch.manual_seed(spec["seed"])
    own = spec["split_seed"]
    train, validation, *_ = (
        random_split(images, spec["split"])
        if own is None
        else random_split(images, spec["split"], torch.Generator().manual_seed(own))
    )
    skip_words(spec["generator_skip"])
    model = MLPNetwork([images.tensors[0][0].numel(), *spec["hidden"], classes], spec["activation"], spec["negative_slope"])
    if spec.get("start_from"):
        start_from(model, numpy.fromfile(folder / spec["start_from"], numpy.float32))
    initial = parameters(model)
    optimizer = make_optimizer(model, spec)
    train_loader = DataLoader(train, batch_size=spec["batch_size"], shuffle=True)
    validation_loader = DataLoader(validation, batch_size=spec["evaluation_batch_size"])
    schedule = make_schedule(optimizer, spec, len(train_loader))
    average = None
    if spec["ema_decay"]:
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(spec["ema_decay"]))
    shown = average.module if average else model
    rows, order = [], []
    for epoch in range(spec["epochs"]):
        for step, (values, labels, numbers) in enumerate(train_loader):
            order.append(numbers)
            loss = nn.functional.cross_entropy(model(values), labels, label_smoothing=spec["label_smoothing"])
            optimizer.zero_grad()
            loss.backward()
            if spec["max_gradient_norm"]:
                nn.utils.clip_grad_norm_(model.parameters(), spec["max_gradient_norm"])
            rate = optimizer.param_groups[0]["lr"]
            optimizer.step()
            if average:
                average.update_parameters(model)
            if schedule and not isinstance(schedule, lr_scheduler.StepLR):
                schedule.step()
            if step % spec["every_steps"] == 0:
                mean, right = evaluate(shown, validation_loader)
                rows.append(
                    {
                        "epoch": epoch + 1,
                        "step_in_epoch": step + 1,
                        "train_loss": loss.item(),
                        "learning_rate": rate,
                        "loss_batch_mean": mean,
                        "correct": right,
                    }
                )
        if isinstance(schedule, lr_scheduler.StepLR):
            schedule.step()
    mean, right = evaluate(shown, DataLoader(test, batch_size=spec["evaluation_batch_size"]))

    numpy.asarray(train.indices, numpy.uint32).tofile(folder / "train.u32")
    numpy.asarray(validation.indices, numpy.uint32).tofile(folder / "validation.u32")
    torch.cat(order).numpy().astype(numpy.uint32).tofile(folder / "orders.u32")
    initial.tofile(folder / "initial.f32")
    parameters(shown).tofile(folder / "final.f32")
    (folder / "rows.json").write_text(json.dumps(rows))
    summary = {"torch": torch.__version__, "test": {"loss_batch_mean": mean, "correct": right}}
    (folder / "summary.json").write_text(json.dumps(summary))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    for argument in sys.argv[1:]:
        train_as_told(Path(argument))
