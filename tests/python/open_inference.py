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
    assert bytes_answer.as_numpy("text") is None

    # Floats as ToTensor gives them have the same bits as the bytes; in every shape.
    floats = images.astype(np.float32) / np.float32(255)
    for shape in [(-1, 784), (-1, 28, 28), (-1, 1, 28, 28)]:
        answer = infer(triton, client, floats.reshape(shape), "FP32")
        assert np.array_equal(answer.as_numpy("logits"), logits), shape

    # Every numeric type that holds grey values.
    for datatype, kind in [("INT16", np.int16), ("UINT32", np.uint32), ("INT64", np.int64)]:
        answer = infer(triton, client, images.astype(kind), datatype)
        assert np.array_equal(answer.as_numpy("logits"), logits), datatype
    answer = infer(triton, client, floats.astype(np.float64), "FP64")
    assert np.array_equal(answer.as_numpy("logits"), logits)
    answer = infer(triton, client, floats.astype(np.float16), "FP16")
    assert np.allclose(answer.as_numpy("logits"), logits, atol=0.1)

    only = [triton.InferRequestedOutput("label")]
    answer = infer(triton, client, images, "UINT8", outputs=only)
    assert answer.as_numpy("logits") is None
    assert [label.decode() for label in answer.as_numpy("label")] == labels
    text = infer(triton, client, images, "UINT8", outputs=[triton.InferRequestedOutput("text")])
    assert [text.decode() for text in text.as_numpy("text")] == labels

    # Compressed requests, and responses where the protocol has them.
    option = "compression_algorithm" if triton is triton_grpc else "request_compression_algorithm"
    for algorithm in ["gzip", "deflate"]:
        answer = infer(triton, client, images, "UINT8", **{option: algorithm})
        assert np.array_equal(answer.as_numpy("logits"), logits), algorithm

    refused(lambda: infer(triton, client, floats * 255, "FP32"), "from 0 to 1")
    refused(lambda: infer(triton, client, images[:, :27], "UINT8"), "inputs[0].shape")
    refused(lambda: infer(triton, client, images, "UINT8", model_version="999999"), "is not served")
    return client, bytes_answer, logits, labels


def check_statistics(read, client, triton, images):
    """The counters grow by what was sent in between, as perf_analyzer computes it."""
    before = read()
    infer(triton, client, images, "UINT8")
    after = read()
    grown = lambda name: int(after[name]) - int(before.get(name, 0))
    assert grown("inference_count") == len(images) and grown("execution_count") == 1, after
    count = lambda all, name: int(all["inference_stats"][name]["count"])
    for name in ["success", "compute_infer"]:
        assert count(after, name) - count(before, name) == 1, after
    assert int(after["inference_stats"]["success"]["ns"]) > int(before["inference_stats"]["success"]["ns"])
    assert int(after["last_inference"]) > 1.7e12


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
    config = client.get_model_config("digits").config
    assert config.max_batch_size > 0 and list(config.input[0].dims) == [28, 28], config
    as_json = lambda: client.get_inference_statistics("digits", as_json=True)["model_stats"][0]
    check_statistics(as_json, client, triton_grpc, images)
    refused(client.get_model_repository_index, "offers no method \"RepositoryIndex\"")
    client.close()

    # Triton's HTTP client sends and takes binary tensors unless configured otherwise.
    client, answer, over_http, same = check_client(triton_http, address, images)
    assert np.array_equal(over_http, logits) and same == labels
    response = answer.get_response()
    assert response["id"] == "r-1" and response["model_version"] == version
    assert client.get_model_metadata("digits")["versions"] == [version]
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data", "model_configuration", "statistics"]
    config = client.get_model_config("digits")
    assert config["max_batch_size"] > 0 and config["input"][0]["dims"] == [28, 28], config
    assert config["input"][0]["data_type"] == "TYPE_UINT8" and config["output"][0]["dims"] == [10], config
    check_statistics(lambda: client.get_inference_statistics("digits")["model_stats"][0], client, triton_http, images)
    refused(client.get_model_repository_index, "does not offer")
    tensor = triton_http.InferInput("pixels", list(images.shape), "UINT8")
    tensor.set_data_from_numpy(images, binary_data=False)
    output = triton_http.InferRequestedOutput("logits", binary_data=False)
    as_json = client.infer("digits", [tensor], outputs=[output]).as_numpy("logits")
    assert np.array_equal(as_json, logits)
    client.close()

    print(json.dumps({"labels": labels, "version": version, "clients": ["grpc", "http"]}))


if __name__ == "__main__":
    main()
