"""Checks a folder of `digits export --hub` against the exam of its checkpoint, with the libraries of its users.

Usage: hub_exam.py FOLDER CHECKPOINT_FOLDER

Loads the network by the folder's own load.py in PyTorch, runs its ONNX model in onnxruntime, and reads its card with
huggingface_hub. Prints JSON: the largest differences of a probability from the softmax of the recorded logits over the
temperature, and what the hub would show of the card.
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy
import onnxruntime
import torch
from huggingface_hub import ModelCard
from safetensors.numpy import load_file


def softmax(logits):
    powers = numpy.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def main(folder, checkpoint):
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    exam = load_file(checkpoint / "exam.safetensors")
    spec = manifest["input"]
    pixels = exam["inputs"].reshape(-1, spec["height"], spec["width"]).copy()
    expected = softmax(exam["logits"].astype(numpy.float64) / manifest["temperature"])
    module = importlib.util.spec_from_file_location("load", folder / "load.py")
    loader = importlib.util.module_from_spec(module)
    module.loader.exec_module(loader)
    loaded = loader.predict(torch.from_numpy(pixels)).numpy()
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    (computed,) = session.run(["probabilities"], {"pixels": pixels})
    card = ModelCard.load(folder / "README.md")
    results = {(result.dataset_split, result.metric_type): result.metric_value for result in card.data.eval_results or []}
    print(
        json.dumps(
            {
                "torch_difference": float(numpy.abs(loaded - expected).max()),
                "onnx_difference": float(numpy.abs(computed - expected).max()),
                "pipeline_tag": card.data.pipeline_tag,
                "test_accuracy": results.get(("test", "accuracy")),
                "labels": list(loader.config["id2label"].values()),
            }
        )
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
