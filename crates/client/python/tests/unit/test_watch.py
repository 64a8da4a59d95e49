"""Watches of jobs over streams that break."""

import asyncio
import threading

import grpc
import pytest
from conftest import abort

from digits_client import AsyncTrainer, JobFailed, NotFound, Trainer, WatchLost, watch
from digits_client.v1 import training_pb2, training_pb2_grpc

ID = "0199b3a0-0000-7000-8000-000000000000"


class Watched(training_pb2_grpc.TrainingServiceServicer):
    """A job of some events. Each stream has a script: how many events to send, and how to end."""

    def __init__(self, events, scripts, state=training_pb2.JOB_STATE_SUCCEEDED):
        self.events, self.scripts, self.state = events, list(scripts), state
        self.after = []

    def GetJob(self, request, context):
        job = training_pb2.Job(job_id=ID, state=self.state, error="out of luck" * (self.state == 4))
        job.progress.steps = job.progress.step = self.events
        return training_pb2.GetJobResponse(job=job)

    def WatchJob(self, request, context):
        self.after.append(request.after_sequence)
        count, end = self.scripts.pop(0) if self.scripts else (self.events, None)
        for sequence in range(request.after_sequence + 1, self.events + 1):
            if count == 0:
                break
            count -= 1
            event = training_pb2.WatchJobResponse(sequence=sequence)
            if sequence == self.events:
                event.finished.state = self.state
            else:
                event.row.step = sequence
            yield event
        if end == "gap":
            yield training_pb2.WatchJobResponse(sequence=request.after_sequence + 5)
        elif end == "heartbeat":
            yield training_pb2.WatchJobResponse(
                sequence=request.after_sequence, heartbeat=training_pb2.Heartbeat()
            )
        elif end is not None:
            abort(context, end, "no")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(watch, "_FIRST_PAUSE", 0.001)


def blocking_sequences(address, **options):
    with Trainer(address) as trainer:
        return [event.sequence for event in trainer.job(ID).events(**options)]


def async_sequences(address, **options):
    async def watch():
        async with AsyncTrainer(address) as trainer:
            return [event.sequence async for event in (await trainer.job(ID)).events(**options)]

    return asyncio.run(watch())


@pytest.fixture(params=[blocking_sequences, async_sequences], ids=["blocking", "asyncio"])
def sequences(request):
    """The sequence numbers of a watch's events."""
    return request.param


def test_each_event_comes_once_over_streams_that_break(serve, sequences):
    scripts = [(2, grpc.StatusCode.UNAVAILABLE), (0, "heartbeat"), (1, "gap"), (2, grpc.StatusCode.INTERNAL), (0, None)]
    service = Watched(8, scripts)
    assert sequences(serve(service)) == list(range(1, 9))
    assert service.after == [0, 2, 2, 3, 5, 5]
    assert sequences(serve(Watched(8, [])), after_sequence=6) == [7, 8]


def test_a_refused_watch_ends(serve, sequences):
    service = Watched(8, [(3, grpc.StatusCode.NOT_FOUND)])
    with pytest.raises(NotFound):
        sequences(serve(service))
    assert service.after == [0]


def test_a_watch_ends_when_the_trainer_stays_away(serve, sequences):
    service = Watched(8, [(3, None)] + [(0, grpc.StatusCode.UNAVAILABLE)] * 100)
    with pytest.raises(WatchLost, match=f"lost while watching job {ID}: no") as raised:
        sequences(serve(service), patience=1)
    assert raised.value.after_sequence == 3


def test_a_job_that_fails_is_an_error(serve):
    with Trainer(serve(Watched(3, [], training_pb2.JOB_STATE_FAILED))) as trainer:
        with pytest.raises(JobFailed, match=f"job {ID} failed: out of luck") as raised:
            trainer.job(ID).watch(show=False)
        assert raised.value.job.ended
    with Trainer(serve(Watched(3, [], training_pb2.JOB_STATE_CANCELLED))) as trainer:
        with pytest.raises(JobFailed, match=f"job {ID} was cancelled"):
            trainer.job(ID).watch(show=False)


def test_a_bar_follows_the_rows(serve, capsys):
    with Trainer(serve(Watched(5, []))) as trainer:
        assert trainer.job(ID).watch().state == "succeeded"
    assert "5.00/5.00" in capsys.readouterr().err


def test_an_async_watch_shows_progress_and_raises_what_a_blocking_one_does(serve, capsys):
    async def watch(address):
        async with AsyncTrainer(address) as trainer:
            return await (await trainer.job(ID)).watch()

    assert asyncio.run(watch(serve(Watched(5, [])))).state == "succeeded"
    assert "5.00/5.00" in capsys.readouterr().err
    with pytest.raises(JobFailed, match=f"job {ID} failed: out of luck") as raised:
        asyncio.run(watch(serve(Watched(3, [], training_pb2.JOB_STATE_FAILED))))
    assert raised.value.job.ended


def test_other_tasks_run_while_a_job_is_watched(serve):
    """The service sends no event before another call has arrived."""

    class Waiting(Watched):
        def __init__(self):
            super().__init__(3, [])
            self.listed = threading.Event()

        def WatchJob(self, request, context):
            assert self.listed.wait(30)
            yield from super().WatchJob(request, context)

        def ListPresets(self, request, context):
            self.listed.set()
            return training_pb2.ListPresetsResponse()

    async def both(address):
        async with AsyncTrainer(address) as trainer:
            job = await trainer.job(ID)
            return await asyncio.gather(job.watch(show=False), trainer.presets())

    watched, presets = asyncio.run(both(serve(Waiting())))
    assert watched.state == "succeeded" and presets == []
