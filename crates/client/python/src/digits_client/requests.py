"""The options of a prediction, and the requests made of images with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypedDict

from digits_client.images import MAX_PICTURES, MAX_PIXEL_IMAGES, Item, Size, batches, put
from digits_client.predictions import Prediction
from digits_client.v1 import inference_pb2


class PredictOptions(TypedDict, total=False):
    """Options of a prediction; see `PredictRequest` in `digits/v1/inference.proto`."""

    model: str
    """Name of the model; "digits" if not given."""
    expect: Literal["digit", "number"]
    """What a picture shows: one digit (if not given), or a number of any length."""
    top_k: int
    """Number of most probable labels to return in `top`, in place of all `probabilities`."""
    want_logits: bool
    """Whether to return the logits."""
    want_input: bool
    """Whether to return the input that the network received."""
    min_probability: float
    """Confidence threshold, from 0 to 1: below it an image gets no label."""
    normalize_pixels: bool
    """Whether raw pixels are normalized as pictures are."""
    routing_key: str
    """Requests with the same key take the same route, to the primary or a canary."""
    timeout: float
    """Seconds until the deadline, over all attempts of a call; for a stream, of the whole stream."""


_EXPECT: dict[Any, inference_pb2.Expect.ValueType] = {
    "digit": inference_pb2.EXPECT_SINGLE,
    "number": inference_pb2.EXPECT_NUMBER,
}


def template(options: PredictOptions) -> inference_pb2.PredictRequest:
    """A request with these options, without images."""
    unknown = options.keys() - PredictOptions.__annotations__.keys()
    if unknown:
        known = ", ".join(PredictOptions.__annotations__)
        raise TypeError(f"unknown option {', '.join(sorted(unknown))}; the options are {known}")
    fields: dict[str, Any] = {key: value for key, value in options.items() if key != "timeout"}
    if "expect" in fields:
        if fields["expect"] not in _EXPECT:
            raise ValueError(f'expect is "digit" or "number", not {fields["expect"]!r}')
        fields["expect"] = _EXPECT[fields["expect"]]
    return inference_pb2.PredictRequest(**fields)


def fill(
    empty: inference_pb2.PredictRequest, images: Iterable[Item], batch_size: int | None = None
) -> Iterator[inference_pb2.PredictRequest]:
    """Requests for these images, in their order."""
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    pixel_images = min(batch_size or MAX_PIXEL_IMAGES, MAX_PIXEL_IMAGES)
    pictures = min(batch_size or MAX_PICTURES, MAX_PICTURES)
    for batch in batches(images, pixel_images, pictures):
        request = inference_pb2.PredictRequest()
        request.CopyFrom(empty)
        put(batch, request)
        yield request


def input_size(model: inference_pb2.GetModelResponse) -> Size | None:
    """Input size of the primary; None while nothing is served."""
    if not model.served:
        return None
    spec = model.served[0].checkpoint.input
    return Size(spec.height, spec.width)


def outcome(prediction: Prediction, true_label_index: int) -> inference_pb2.ReportOutcomeRequest:
    """The report of an image's true label."""
    if prediction.label_index is None:
        raise ValueError(f"a prediction without a label has no outcome: its verdict is {prediction.verdict!r}")
    served_by = prediction.served_by
    return inference_pb2.ReportOutcomeRequest(
        model=served_by.model,
        sequence=served_by.sequence,
        predicted_label_index=prediction.label_index,
        true_label_index=true_label_index,
        role=served_by.role,
    )
