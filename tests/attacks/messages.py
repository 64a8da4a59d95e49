"""Requests in their encoded form, so that they need no generated code."""

import base64
import json
import struct
import zlib

PIXELS = 784
PREDICT = "/digits.v1.InferenceService/Predict"
MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
# The token of the polite client, where the service asks for one.
TOKEN = "polite-" + 32 * "5"


def varint(number):
    encoded = b""
    while number > 127:
        encoded += bytes([number & 127 | 128])
        number >>= 7
    return encoded + bytes([number])


def field(number, content):
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def predict(images, want_input=False):
    """PredictRequest: `images` grey images of a vertical line."""
    row = b"\0" * 13 + b"\xff\xff" + b"\0" * 13
    message = field(2, row * 28 * images)
    return message + (varint(7 << 3) + b"\1" if want_input else b"")


def predict_pictures(picture, count):
    """PredictRequest: the same picture `count` times."""
    return field(3, field(1, picture) * count)


def tiny_inputs(size):
    """ModelInferRequest: as many empty inputs as fit into `size` bytes."""
    return field(1, b"digits") + field(5, b"") * (size // 2)


def parameters_document(size):
    """ModelInferRequest in JSON: as many short parameters as fit into `size` bytes."""
    entry = '"%x":1'
    entries, length = [], 0
    while length < size:
        entries.append(entry % len(entries))
        length += len(entries[-1]) + 1
    return ('{"parameters":{' + ",".join(entries) + '},"inputs":[]}').encode()


def json_list(path, element, end, size):
    """JSON of `size` bytes: a list of as many elements as fit."""
    return (path + ",".join([element] * (size // (len(element) + 1))) + end).encode()


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def flat_png(width, height):
    """A black picture of one bit a pixel."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\0" * ((width + 7) // 8)) * height, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def grpc_frame(message):
    return b"\0" + struct.pack(">I", len(message)) + message


def unsigned_jwt():
    """A JWT whose header says that it has no signature (RFC 7519, section 6)."""
    parts = [{"alg": "none"}, {"iss": "https://issuer", "aud": "digits", "sub": "admin", "exp": 4_102_444_800}]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join(encoded) + "."
