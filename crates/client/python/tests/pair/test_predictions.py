"""Predictions of a real service, which ends each connection after a second, in every form of an image."""

import asyncio
import itertools
import os

import numpy
import PIL.Image
import PIL.ImageDraw
import pytest

from digits_client import AsyncClient, Client, InvalidArgument, NotFound

# A vertical stroke of white ink on black, as the data set has it.
ONE = numpy.zeros((28, 28), numpy.uint8)
ONE[4:24, 13:15] = 255


def drawn():
    """The stroke in black on white paper, as a picture."""
    paper = PIL.Image.new("L", (120, 160), 250)
    PIL.ImageDraw.Draw(paper).rectangle((55, 20, 67, 140), fill=20)
    return paper


def test_all_forms_of_an_image_give_the_same_answer(client, tmp_path):
    path = tmp_path / "one.png"
    drawn().save(path)
    pictures = [path, str(path), path.read_bytes(), drawn(), numpy.asarray(drawn()), drawn().convert("RGB")]
    answers = [client.predict(picture).message for picture in pictures]
    assert all(answer == answers[0] for answer in answers)
    arrays = [ONE, ONE.ravel(), ONE / 255, ONE.tolist(), ONE.ravel().tolist()]
    answers = [client.predict(array).message for array in arrays]
    assert all(answer == answers[0] for answer in answers)
    several = client.predict(numpy.stack([ONE] * 3))
    assert [each.message for each in several] == answers[:3]
    assert [each.message for each in client.predict([path, ONE])][1] == answers[0]
    assert several[0].served_by.sequence >= 1 and len(several[0].probabilities) == 10


def test_a_batch_is_split_where_the_service_has_limits(client):
    images = numpy.random.default_rng(0).integers(0, 256, (5_000, 28, 28), numpy.uint8)
    predictions = client.predict_batch(images)
    assert len(predictions) == 5_000
    again = client.predict_batch(images[:7], batch_size=2)
    for one, other in zip(predictions, again):
        assert numpy.allclose(one.probabilities, other.probabilities, atol=1e-5)
    assert len(client.predict_batch(drawn() for _ in range(65))) == 65


def test_options_reach_the_service(client):
    prediction = client.predict(ONE, top_k=2, want_logits=True, want_input=True)
    assert prediction.probabilities == [] and len(prediction.top) == 2 and len(prediction.logits) == 10
    assert prediction.input == ONE.tobytes()
    assert "<img" in prediction._repr_html_()
    unsure = client.predict(ONE // 8, min_probability=1.0)
    assert (unsure.verdict, unsure.label) == ("unsure", None)
    assert client.predict(PIL.Image.new("L", (60, 60), 255)).verdict == "blank"
    with pytest.raises(ValueError, match="verdict is 'unsure'"):
        client.report_outcome(unsure, 1)
    client.report_outcome(client.predict(ONE), 1)
    assert client.model().served[0].live.outcomes >= 1


def test_refusals_name_the_field(client):
    with pytest.raises(InvalidArgument, match="not a picture in a known format") as raised:
        client.predict([drawn(), b"nothing of use"])
    assert raised.value.violations[0].field == "pictures.encoded[1]"
    with pytest.raises(NotFound, match='does not serve "other"'):
        client.predict(drawn(), model="other")


def test_a_list_of_addresses_is_a_target(client):
    address = os.environ["DIGITS_INFERENCE"].removeprefix("http://")
    with Client(f"ipv4:{address},{address}") as listed:
        assert listed.predict(ONE).message == client.predict(ONE).message


def test_a_stream_outlives_its_connection(monkeypatch):
    with Client() as client:
        stub, streams = client._stub, []
        opened = stub.PredictStream
        monkeypatch.setattr(stub, "PredictStream", lambda *args, **more: streams.append(1) or opened(*args, **more))
        count = 0

        def images():
            nonlocal count
            while len(streams) < 3:
                count += 1
                yield ONE

        labels = [prediction.label_index for prediction in client.predict_stream(images())]
    assert len(labels) == count and len(set(labels)) == 1


def test_asyncio_gives_the_same_answers(client, tmp_path):
    path = tmp_path / "one.png"
    drawn().save(path)

    async def answers():
        async with AsyncClient() as client:
            single = await asyncio.gather(*(client.predict(image) for image in [path, ONE, drawn()]))
            batch = await client.predict_batch([ONE] * 5, batch_size=2)
            await client.report_outcome(single[1], 1)
            with pytest.raises(InvalidArgument):
                await client.predict(b"nothing of use")
            stream = [each async for each in client.predict_stream(itertools.repeat(ONE, 40), batch_size=3)]
            assert (await client.model()).served
            return [*single, *batch, *stream]

    messages = [answer.message for answer in asyncio.run(answers())]
    picture, pixels = client.predict(path).message, client.predict(ONE).message
    assert messages[0] == messages[2] == picture
    assert all(message.label == pixels.label for message in messages[3:])
