"""Loads the network beside this file in PyTorch; it needs torch, numpy and safetensors."""
import json, pathlib, torch
from safetensors import safe_open

folder = pathlib.Path(__file__).parent
config = json.loads((folder / "config.json").read_text())
activation = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "gelu": torch.nn.functional.gelu,
              "scaled_tanh": lambda x: 1.7159 * torch.tanh(x * (2 / 3)),
              "leaky_relu": lambda x: torch.nn.functional.leaky_relu(x, config["negative_slope"])}[config["activation"]]
with safe_open(folder / "model.safetensors", "pt") as file:
    layers = [[file.get_tensor(f"layers.{2 * index + 1}.{name}") for name in ("weight", "bias")]
              for index in range(len(config["hidden"]) + 1)]

@torch.no_grad()
def predict(images):
    """Probabilities, [n, classes], of raw grey images, [n, height, width] from 0 to 255, light on dark."""
    x = (images.float().flatten(1) / config["scale"] - config["mean"]) / config["std"]
    for index, (weight, bias) in enumerate(layers):
        x = torch.nn.functional.linear(activation(x) if index else x, weight, bias)
    return torch.softmax(x / config["temperature"], 1)
