"""Classifies a few images with a running inference service, as an application would.

Usage: client.py HOST:PORT IDX_IMAGES [COUNT]

Prints one line of JSON: the labels, and the version that answered. The messages are compiled from the protos of
this project on the fly; an application would keep the compiled modules.
"""

import gzip
import json
import sys
from pathlib import Path

import grpc

PROTO = Path(__file__).resolve().parents[2] / "proto"
sys.path.insert(0, str(PROTO))
messages, services = grpc.protos_and_services("digits/v1/inference.proto")


def read_images(path, count):
    opened = gzip.open(path) if path.endswith(".gz") else open(path, "rb")
    with opened as file:
        header = file.read(16)
        height = int.from_bytes(header[8:12], "big")
        width = int.from_bytes(header[12:16], "big")
        return file.read(count * height * width)


def main():
    address, path, *rest = sys.argv[1:]
    count = int(rest[0]) if rest else 1
    with grpc.insecure_channel(address) as channel:
        client = services.InferenceServiceStub(channel)
        answer = client.Predict(messages.PredictRequest(pixels=read_images(path, count)), timeout=5)
    labels = [prediction.label for prediction in answer.predictions]
    print(json.dumps({"labels": labels, "sequence": answer.served_by.sequence}))


if __name__ == "__main__":
    main()
