"""Calls a running inference service with Triton's clients, over gRPC and over HTTP.

Usage: open_inference.py HOST:PORT IDX_IMAGES COUNT

Prints one line of JSON: the labels, the version that answered, and which of the checks of the protocol were made. Every
check that does not hold ends the program with an error.
"""

import gzip
import json
import sys

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException


def read_images(path, count):
    opened = gzip.open(path) if path.endswith(".gz") else open(path, "rb")
    with opened as file:
        header = file.read(16)
        height = int.from_bytes(header[8:12], "big")
        width = int.from_bytes(header[12:16], "big")
        pixels = np.frombuffer(file.read(count * height * width), dtype=np.uint8)
    return pixels.reshape(count, height, width)


def infer(triton, client, values, datatype, **more):
    tensor = triton.InferInput("pixels", list(values.shape), datatype)
    tensor.set_data_from_numpy(values)
    return client.infer("digits", [tensor], **more)


def refused(call, words):
    try:
        call()
    except InferenceServerException as error:
        assert words in error.message(), error
        return
    raise AssertionError(f"not refused: {words}")


def check_client(triton, address, images):
    """Everything that the protocol has, by one client; the logits, labels and version."""
    client = triton.InferenceServerClient(address)
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("digits")
    assert not client.is_model_ready("digits", "999999")
    bytes_answer = infer(triton, client, images, "UINT8", request_id="r-1")
    logits = bytes_answer.as_numpy("logits")
    probabilities = bytes_answer.as_numpy("probabilities")
    labels = [label.decode() for label in bytes_answer.as_numpy("label")]
    assert logits.dtype == np.float32 and logits.shape == (len(images), 10)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert labels == [str(label) for label in logits.argmax(axis=1)]

    # Floats as ToTensor gives them have the same bits as the bytes; in every shape.
    floats = images.astype(np.float32) / np.float32(255)
    for shape in [(-1, 784), (-1, 28, 28), (-1, 1, 28, 28)]:
        answer = infer(triton, client, floats.reshape(shape), "FP32")
        assert np.array_equal(answer.as_numpy("logits"), logits), shape

    only = [triton.InferRequestedOutput("label")]
    answer = infer(triton, client, images, "UINT8", outputs=only)
    assert answer.as_numpy("logits") is None
    assert [label.decode() for label in answer.as_numpy("label")] == labels

    # Compressed requests, and responses where the protocol has them.
    option = "compression_algorithm" if triton is triton_grpc else "request_compression_algorithm"
    for algorithm in ["gzip", "deflate"]:
        answer = infer(triton, client, images, "UINT8", **{option: algorithm})
        assert np.array_equal(answer.as_numpy("logits"), logits), algorithm

    refused(lambda: infer(triton, client, floats * 255, "FP32"), "from 0 to 1")
    refused(lambda: infer(triton, client, images[:, :27], "UINT8"), "inputs[0].shape")
    refused(lambda: infer(triton, client, images, "UINT8", model_version="999999"), "is not served")
    return client, bytes_answer, logits, labels


def main():
    address, path, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    images = read_images(path, count)

    client, answer, logits, labels = check_client(triton_grpc, address, images)
    response = answer.get_response()
    assert response.id == "r-1" and response.model_name == "digits"
    version = response.model_version
    metadata = client.get_model_metadata("digits")
    assert list(metadata.versions) == [version]
    assert metadata.inputs[0].name == "pixels" and list(metadata.inputs[0].shape) == [-1, 28, 28]
    assert client.get_server_metadata().name == "digits-inference"
    client.close()

    # Triton's HTTP client sends and takes binary tensors unless configured otherwise.
    client, answer, over_http, same = check_client(triton_http, address, images)
    assert np.array_equal(over_http, logits) and same == labels
    response = answer.get_response()
    assert response["id"] == "r-1" and response["model_version"] == version
    assert client.get_model_metadata("digits")["versions"] == [version]
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    tensor = triton_http.InferInput("pixels", list(images.shape), "UINT8")
    tensor.set_data_from_numpy(images, binary_data=False)
    output = triton_http.InferRequestedOutput("logits", binary_data=False)
    as_json = client.infer("digits", [tensor], outputs=[output]).as_numpy("logits")
    assert np.array_equal(as_json, logits)
    client.close()

    print(json.dumps({"labels": labels, "version": version, "clients": ["grpc", "http"]}))


if __name__ == "__main__":
    main()
