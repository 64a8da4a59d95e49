"""The client of the inference service for asyncio."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, overload

import grpc

from digits_client.calls import AsyncCaller, Attempts, Retry, broken, unserved
from digits_client.client import STREAM_WINDOW
from digits_client.connection import Address
from digits_client.errors import InvalidArgument, ServiceError, of_status
from digits_client.images import Image, Images, Item, Numbers, Picture, Size, SupportsArray, needs_size, read
from digits_client.predictions import Prediction, Predictions, of_response
from digits_client.requests import fill, input_size, outcome, template
from digits_client.v1 import inference_pb2, inference_pb2_grpc

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from digits_client.credentials import Credentials
    from digits_client.requests import PredictOptions


class AsyncClient:
    """A client of the inference service for one event loop. Its methods are those of `Client`."""

    def __init__(
        self,
        address: str | None = None,
        *,
        credentials: Credentials | None = None,
        timeout: float = 30.0,
        retry: Retry = Retry(),
    ) -> None:
        self._calls = AsyncCaller(Address.parse("inference service", address, credentials), timeout, retry)
        self._sizes: dict[str, Size] = {}

    @overload
    async def predict(  # type: ignore[overload-overlap]
        self, image: Picture, /, **options: Unpack[PredictOptions]
    ) -> Prediction: ...
    @overload
    async def predict(
        self, images: Sequence[Picture | SupportsArray], /, **options: Unpack[PredictOptions]
    ) -> Predictions: ...
    @overload
    async def predict(self, array: SupportsArray | Numbers, /, **options: Unpack[PredictOptions]) -> Any: ...
    async def predict(self, image: Any, /, **options: Unpack[PredictOptions]) -> Prediction | Predictions:
        """Classifies an image, or several; see `Client.predict`."""
        images: Images = await self._read(image, options.get("model", ""))
        predictions = await self._predict(images.items, None, options)
        return predictions if images.several else predictions[0]

    async def predict_batch(
        self,
        images: Iterable[Image] | SupportsArray,
        *,
        batch_size: int | None = None,
        **options: Unpack[PredictOptions],
    ) -> Predictions:
        """Classifies any number of images; see `Client.predict_batch`."""
        model = options.get("model", "")
        if isinstance(images, Iterable) and not hasattr(images, "__array__"):
            items = [item for image in images for item in (await self._read(image, model)).items]
        else:
            items = (await self._read(images, model)).items
        return await self._predict(items, batch_size, options)

    async def predict_stream(
        self,
        images: Iterable[Image] | AsyncIterable[Image],
        *,
        batch_size: int = 1,
        **options: Unpack[PredictOptions],
    ) -> AsyncIterator[Prediction]:
        """Classifies images as they come; see `Client.predict_stream`."""
        requests = self._requests(images, batch_size, options)
        timeout = options.get("timeout")
        attempts = Attempts(self._calls.retry, timeout)
        # Sent, and not answered.
        pending: deque[inference_pb2.PredictStreamRequest] = deque()
        while True:
            call: Any = self._stub().PredictStream(timeout=attempts.remaining(), metadata=self._calls.metadata)
            try:
                for request in pending:
                    await call.write(request)
                while True:
                    while len(pending) < STREAM_WINDOW and (filled := await anext(requests, None)) is not None:
                        pending.append(inference_pb2.PredictStreamRequest(request=filled))
                        await call.write(pending[-1])
                    if not pending:
                        return
                    answer = await call.read()
                    if answer is grpc.aio.EOF:
                        raise asyncio.InvalidStateError
                    pending.popleft()
                    attempts.restart()
                    for prediction in of_response(answer.response):
                        yield prediction
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                if not call.done():
                    # Of the images.
                    raise
                error = await self._ended(call)
            finally:
                call.cancel()
            if error is not None:
                await asyncio.sleep(attempts.pause_after(error))
                continue
            response = await self._calls.retried(self._stub().Predict, pending.popleft().request, attempts.remaining())
            for prediction in of_response(response):
                yield prediction

    async def model(self, name: str = "") -> inference_pb2.GetModelResponse:
        """What is served for a model, and what was refused."""
        answer = await self._calls.retried(self._stub().GetModel, inference_pb2.GetModelRequest(model=name))
        assert isinstance(answer, inference_pb2.GetModelResponse)
        return answer

    async def report_outcome(self, prediction: Prediction, true_label_index: int) -> None:
        """Reports the true label of an image that was classified. Sent once, because every report counts."""
        await self._calls.once(self._stub().ReportOutcome, outcome(prediction, true_label_index))

    async def close(self) -> None:
        """Closes the connections."""
        await self._calls.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<AsyncClient of the {self._calls.address}>"

    def _stub(self) -> Any:
        return inference_pb2_grpc.InferenceServiceStub(self._calls.channel)

    async def _ended(self, call: Any) -> ServiceError | None:
        """Why a stream ended.

        None if that is lost: grpc.aio puts its own INTERNAL in the place of the status where the service ends a
        stream while a request is written. The same request as a single call has the status.
        """
        code, details, trailers = await call.code(), await call.details(), await call.trailing_metadata()
        if code is grpc.StatusCode.OK:
            return broken(self._calls.address, "the stream ended early")
        if code is grpc.StatusCode.INTERNAL and not trailers:
            return None
        return of_status(str(self._calls.address), code, details or "", trailers)

    async def _predict(self, items: Iterable[Item], batch_size: int | None, options: PredictOptions) -> Predictions:
        timeout = options.get("timeout")
        predictions: list[Prediction] = []
        for request in fill(template(options), items, batch_size):
            try:
                predictions += of_response(await self._calls.retried(self._stub().Predict, request, timeout))
            except InvalidArgument:
                # Another model may be served by now, with another input size.
                self._sizes.clear()
                raise
        return Predictions(predictions)

    async def _requests(
        self, images: Iterable[Image] | AsyncIterable[Image], batch_size: int, options: PredictOptions
    ) -> AsyncIterator[inference_pb2.PredictRequest]:
        empty = template(options)
        items: list[Item] = []
        async for image in _each(images):
            items += (await self._read(image, options.get("model", ""))).items
            if len(items) >= batch_size:
                for request in fill(empty, items, batch_size):
                    yield request
                items = []
        for request in fill(empty, items, batch_size):
            yield request

    async def _read(self, image: object, model: str) -> Images:
        # Reading files and encoding pictures would hold up the event loop.
        return await asyncio.to_thread(read, image, await self._size_for(image, model))

    async def _size_for(self, image: object, model: str) -> Size | None:
        if not needs_size(image):
            return None
        if model not in self._sizes:
            attempts = Attempts(self._calls.retry, self._calls.timeout)
            while (size := input_size(await self.model(model))) is None:
                await asyncio.sleep(attempts.pause_after(unserved(self._calls.address)))
            self._sizes[model] = size
        return self._sizes[model]


async def _each(images: Iterable[Image] | AsyncIterable[Image]) -> AsyncIterator[Image]:
    if isinstance(images, AsyncIterable):
        async for image in images:
            yield image
    else:
        for image in images:
            yield image
