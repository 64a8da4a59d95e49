"""Prediction streams that break, and go on without gap or repetition."""

import asyncio

import grpc
import pytest
from conftest import abort, answer

from digits_client import AsyncClient, Client, InvalidArgument, Retry, Unavailable
from digits_client.v1 import inference_pb2, inference_pb2_grpc

QUICK = Retry(first_pause=0.001, longest_pause=0.002)


def labelled(request):
    response = inference_pb2.PredictResponse()
    for picture in request.pictures.encoded:
        response.MergeFrom(answer(int(picture)))
    return response


class Breaking(inference_pb2_grpc.InferenceServiceServicer):
    """Answers each picture with the digit in it, and ends each stream after some answers."""

    def __init__(self, answers, code=grpc.StatusCode.UNAVAILABLE):
        self.answers, self.code = answers, code
        self.streams = 0

    def PredictStream(self, requests, context):
        self.streams += 1
        for count, message in enumerate(requests):
            if count == self.answers:
                if self.code is None:
                    return
                abort(context, self.code, "the connection has reached its age")
            yield inference_pb2.PredictStreamResponse(response=labelled(message.request))


    def Predict(self, request, context):
        if self.answers == 0:
            abort(context, self.code, "no")
        return labelled(request)


IMAGES = [str(number % 10).encode() for number in range(50)]
LABELS = [number % 10 for number in range(50)]


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, None])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_broken_stream_goes_on(serve, code, batch_size):
    service = Breaking(7, code)
    with Client(serve(service), retry=QUICK) as client:
        stream = client.predict_stream(iter(IMAGES), batch_size=batch_size)
        assert [prediction.label_index for prediction in stream] == LABELS
    assert service.streams > 2


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, None])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_broken_stream_goes_on_in_asyncio(serve, code, batch_size):
    service = Breaking(7, code)
    address = serve(service)

    async def images():
        for image in IMAGES:
            yield image

    async def labels():
        async with AsyncClient(address, retry=QUICK) as client:
            stream = client.predict_stream(images(), batch_size=batch_size)
            return [prediction.label_index async for prediction in stream]

    assert asyncio.run(labels()) == LABELS
    assert service.streams > 2


def test_a_stream_ends_when_it_makes_no_progress_or_is_refused(serve):
    for code, error, streams in [
        (grpc.StatusCode.UNAVAILABLE, Unavailable, 5),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidArgument, 1),
    ]:
        service = Breaking(0, code)
        address = serve(service)
        with Client(address, retry=QUICK) as client, pytest.raises(error):
            list(client.predict_stream(IMAGES))
        assert service.streams == streams

        async def refused(address=address):
            async with AsyncClient(address, retry=QUICK) as client:
                return [prediction async for prediction in client.predict_stream(IMAGES)]

        with pytest.raises(error):
            asyncio.run(refused())


def test_images_are_read_only_a_little_ahead(serve):
    read = []

    def images():
        for image in IMAGES:
            read.append(image)
            yield image

    with Client(serve(Breaking(100))) as client:
        stream = client.predict_stream(images())
        next(stream)
        assert len(read) <= 5
        stream.close()
    assert len(read) <= 5


def test_an_error_of_the_images_ends_the_stream(serve):
    def images():
        yield b"1"
        raise RuntimeError("no more images")

    with Client(serve(Breaking(100))) as client, pytest.raises(RuntimeError, match="no more images"):
        list(client.predict_stream(images()))
