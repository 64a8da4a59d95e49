"""The blocking client of the inference service."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import grpc

from digits_client.calls import Attempts, Caller, Retry, broken, failure, unserved
from digits_client.connection import Address
from digits_client.errors import InvalidArgument
from digits_client.images import Image, Item, Numbers, Picture, Size, SupportsArray, needs_size, read
from digits_client.predictions import Prediction, Predictions, of_response
from digits_client.requests import fill, input_size, outcome, template
from digits_client.v1 import inference_pb2, inference_pb2_grpc

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from digits_client.credentials import Credentials
    from digits_client.requests import PredictOptions

# Requests of a stream that are sent and not answered. The service reads one at a time; with a few
# it does not wait for the next one to arrive.
STREAM_WINDOW = 4


class Client:
    """A client of the inference service, for use by any number of threads.

    It connects with the first call, spreads the calls over all replicas that the name has, and finds lost ones.
    Calls that may be repeated without harm are repeated, up to a deadline over all attempts.

    `address` is HOST:PORT, a URL as the command line takes it, or a target of gRPC such as
    `dns:///digits-inference.digits.svc:50052`. Address and credentials default to the variables of the command
    line (`DIGITS_INFERENCE` and so on), the address then to 127.0.0.1:50052.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        credentials: Credentials | None = None,
        timeout: float = 30.0,
        retry: Retry = Retry(),
    ) -> None:
        self._calls = Caller(Address.parse("inference service", address, credentials), timeout, retry)
        self._stub = inference_pb2_grpc.InferenceServiceStub(self._calls.channel)
        # Input sizes of models, which decide how arrays are read.
        self._sizes: dict[str, Size] = {}

    @overload
    def predict(  # type: ignore[overload-overlap]
        self, image: Picture, /, **options: Unpack[PredictOptions]
    ) -> Prediction: ...
    @overload
    def predict(
        self, images: Sequence[Picture | SupportsArray], /, **options: Unpack[PredictOptions]
    ) -> Predictions: ...
    @overload
    def predict(self, array: SupportsArray | Numbers, /, **options: Unpack[PredictOptions]) -> Any: ...
    def predict(self, image: Any, /, **options: Unpack[PredictOptions]) -> Prediction | Predictions:
        """Classifies an image, or several of a list or an array with an axis of images.

        An image is the path of a picture, the bytes of its file, a Pillow image, an array, or numbers in a list. An
        array of the model's size, such as 28 × 28, holds raw pixels, used as they are: 0 is the background, and
        floats go from 0 to 1. Several are (n, 28, 28), (n, 1, 28, 28) or (n, 784). An array of another size, or in
        colour, is a picture: (height, width) or (height, width, 3).
        """
        images = read(image, self._size_for(image, options.get("model", "")))
        predictions = self._predict(images.items, None, options)
        return Predictions(predictions) if images.several else next(predictions)

    def predict_batch(
        self,
        images: Iterable[Image] | SupportsArray,
        *,
        batch_size: int | None = None,
        **options: Unpack[PredictOptions],
    ) -> Predictions:
        """Classifies any number of images, in as many requests as the limits of the service need.

        Each prediction names the checkpoint that answered it, which may change between two requests.
        """
        model = options.get("model", "")
        if isinstance(images, Iterable) and not hasattr(images, "__array__"):
            items = (item for image in images for item in read(image, self._size_for(image, model)).items)
            return Predictions(self._predict(items, batch_size, options))
        return Predictions(self._predict(read(images, self._size_for(images, model)).items, batch_size, options))

    def predict_stream(
        self, images: Iterable[Image], *, batch_size: int = 1, **options: Unpack[PredictOptions]
    ) -> Iterator[Prediction]:
        """Classifies images as they come, over one stream, and yields their predictions in order.

        A few images are read ahead of the predictions. If the stream ends for a temporary reason, such as the
        maximum age of its connection, it is opened again, and each image still gets exactly one prediction. There
        is no deadline unless `timeout` gives one for the whole stream.
        """
        model = options.get("model", "")
        items = (item for image in images for item in read(image, self._size_for(image, model)).items)
        return self._stream(fill(template(options), items, batch_size), options.get("timeout"))

    def model(self, name: str = "") -> inference_pb2.GetModelResponse:
        """What is served for a model, and what was refused."""
        return self._calls.retried(self._stub.GetModel, inference_pb2.GetModelRequest(model=name))

    def report_outcome(self, prediction: Prediction, true_label_index: int) -> None:
        """Reports the true label of an image that was classified. Sent once, because every report counts."""
        self._calls.once(self._stub.ReportOutcome, outcome(prediction, true_label_index))

    def close(self) -> None:
        """Closes the connections."""
        self._calls.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client of the {self._calls.address}>"

    def _predict(
        self, items: Iterable[Item], batch_size: int | None, options: PredictOptions
    ) -> Iterator[Prediction]:
        timeout = options.get("timeout")
        for request in fill(template(options), items, batch_size):
            try:
                yield from of_response(self._calls.retried(self._stub.Predict, request, timeout))
            except InvalidArgument:
                # Another model may be served by now, with another input size.
                self._sizes.clear()
                raise

    def _size_for(self, image: object, model: str) -> Size | None:
        if not needs_size(image):
            return None
        if model not in self._sizes:
            attempts = Attempts(self._calls.retry, self._calls.timeout)
            while (size := input_size(self.model(model))) is None:
                time.sleep(attempts.pause_after(unserved(self._calls.address)))
            self._sizes[model] = size
        return self._sizes[model]

    def _stream(
        self, requests: Iterator[inference_pb2.PredictRequest], timeout: float | None
    ) -> Iterator[Prediction]:
        attempts = Attempts(self._calls.retry, timeout)
        # Sent, and not answered.
        pending: deque[inference_pb2.PredictStreamRequest] = deque()
        while True:
            # gRPC reads this in a thread of its own; the images are read in the caller's.
            outgoing: queue.SimpleQueue[inference_pb2.PredictStreamRequest | None] = queue.SimpleQueue()
            for request in pending:
                outgoing.put(request)
            call: Any = self._stub.PredictStream(
                iter(outgoing.get, None), timeout=attempts.remaining(), metadata=self._calls.metadata
            )
            try:
                while True:
                    while len(pending) < STREAM_WINDOW and (filled := next(requests, None)) is not None:
                        pending.append(inference_pb2.PredictStreamRequest(request=filled))
                        outgoing.put(pending[-1])
                    if not pending:
                        return
                    try:
                        answer = next(call, None)
                    except grpc.RpcError as error:
                        pause = attempts.pause_after(failure(self._calls.address, error, timeout))
                        break
                    if answer is None:
                        pause = attempts.pause_after(broken(self._calls.address, "the stream ended early"))
                        break
                    pending.popleft()
                    attempts.restart()
                    yield from of_response(answer.response)
            finally:
                outgoing.put(None)
                call.cancel()
            time.sleep(pause)
