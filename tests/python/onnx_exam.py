"""Runs an exported ONNX model with onnxruntime on the inputs of a checkpoint's exam, and compares its answers.

Usage: onnx_exam.py MODEL.onnx CHECKPOINT_FOLDER

Prints JSON: the largest difference of a logit as a share of 1 + the largest logit of its image, that of a probability from the
softmax of the recorded logits over the temperature, and the model's labels. Exits with 1 when a logit is off by more than the
tolerance of the exam.
"""

import json
import sys
from pathlib import Path

import numpy
import onnxruntime
from safetensors.numpy import load_file

TOLERANCE = 1e-4


def softmax(logits):
    powers = numpy.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def main(model, folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    exam = load_file(folder / "exam.safetensors")
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    kind = {"tensor(uint8)": numpy.uint8, "tensor(float)": numpy.float32}[entry.type]
    spec = manifest["input"]
    pixels = exam["inputs"].astype(kind).reshape(-1, spec["height"], spec["width"])
    logits, probabilities = session.run(["logits", "probabilities"], {"pixels": pixels})
    recorded = exam["logits"]
    allowed = 1 + numpy.abs(recorded).max(1, keepdims=True)
    difference = float((numpy.abs(logits - recorded) / allowed).max())
    expected = softmax(recorded.astype(numpy.float64) / manifest["temperature"])
    properties = session.get_modelmeta().custom_metadata_map
    print(
        json.dumps(
            {
                "onnxruntime": onnxruntime.__version__,
                "images": len(pixels),
                "input": entry.type,
                "logit_difference": difference,
                "probability_difference": float(numpy.abs(probabilities - expected).max()),
                "labels": json.loads(properties["labels"]),
                "weights_sha256": properties["weights_sha256"],
            }
        )
    )
    # Written so that NaN fails too.
    return 0 if difference <= TOLERANCE else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
