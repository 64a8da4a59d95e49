"""Sweeps: what is sent, and watches while the trainer is away."""

import asyncio

import grpc
import pytest
from conftest import abort

from digits_client import AsyncTrainer, DeadlineExceeded, NotFound, SweepFailed, Trainer, Unavailable, calls, sweep
from digits_client.v1 import sweep_pb2, sweep_pb2_grpc

ID = "0199b3a0-0000-7000-8000-000000000000"


class Swept(sweep_pb2_grpc.SweepServiceServicer):
    """A sweep of which one more trial has ended at each read; some reads fail with a status."""

    def __init__(self, trials, failures=(), state=sweep_pb2.SWEEP_STATE_SUCCEEDED):
        self.trials, self.failures, self.state = trials, list(failures), state
        self.read = 0
        self.submitted = None

    def sweep(self):
        ended = min(self.read, self.trials)
        state = self.state if ended == self.trials else sweep_pb2.SWEEP_STATE_RUNNING
        found = sweep_pb2.Sweep(
            sweep_id=ID,
            state=state,
            fields=["sgd.learning_rate", "hidden"],
            ended_trials=ended,
            total_trials=self.trials,
        )
        for number in range(1, self.trials + 1):
            trial = found.trials.add(number=number, rung=1, values=["0.03", "192-64"], seed=number)
            if number <= ended:
                trial.state = sweep_pb2.TRIAL_STATE_SUCCEEDED
                trial.validation.accuracy = 0.9 + 0.01 * number
                found.best.CopyFrom(trial)
        return found

    def SubmitSweep(self, request, context):
        self.submitted = request
        return sweep_pb2.SubmitSweepResponse(sweep=self.sweep())

    def GetSweep(self, request, context):
        if self.failures:
            abort(context, self.failures.pop(0), "no")
        self.read += 1
        return sweep_pb2.GetSweepResponse(sweep=self.sweep())


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(sweep, "_INTERVAL", 0.001)
    monkeypatch.setattr(calls, "_PATIENT", calls.Retry(10_000, 0.001, 0.001))


def test_the_values_of_python_become_those_of_a_sweep(serve):
    service = Swept(2)
    with Trainer(serve(service)) as trainer:
        trainer.submit_sweep(
            {
                "learning_rate": {"low": 0.001, "high": 0.1, "log": True},
                "hidden": [[192], (128, 64), []],
                "nesterov": [True, False],
                "batch_size": [32, 64],
                "activation": ["relu"],
            },
            seeds=3,
            random=20,
            halving={"factor": 4},
            preset="fast",
            epochs=9,
        )
    spec = service.submitted.spec
    assert [(each.field, list(each.values)) for each in spec.parameters[1:]] == [
        ("hidden", ["192", "128-64", "none"]),
        ("nesterov", ["true", "false"]),
        ("batch_size", ["32", "64"]),
        ("activation", ["relu"]),
    ]
    assert spec.parameters[0].range == sweep_pb2.SweepRange(low=0.001, high=0.1, log=True)
    assert (spec.seeds, spec.random.configurations, spec.halving.factor) == (3, 20, 4)
    assert spec.job.preset == "fast" and spec.job.epochs == 9
    assert len(service.submitted.request_id) == 36


def test_a_watch_reads_on_while_the_trainer_is_away(serve, capsys):
    service = Swept(3, [grpc.StatusCode.UNAVAILABLE] * 20)
    with Trainer(serve(service)) as trainer:
        watched = trainer.submit_sweep({"seed": [1, 2, 3]}).watch()
    assert watched.state == "succeeded" and service.read == 3
    assert "3/3" in capsys.readouterr().err
    table = watched.table()
    assert list(table.columns[:4]) == ["trial", "rung", "sgd.learning_rate", "hidden"]
    assert list(table["sgd.learning_rate"]) == [0.03] * 3 and list(table.hidden) == ["192-64"] * 3
    assert table.accuracy.max() == watched.best.validation.accuracy == 0.93
    assert "succeeded, 3 of 3 trials, best accuracy 93.00%" in repr(watched)
    assert "192-64" in watched._repr_html_()


def test_a_watch_ends_with_a_refusal_or_when_the_trainer_stays_away(serve):
    service = Swept(3, [grpc.StatusCode.NOT_FOUND])
    with Trainer(serve(service)) as trainer:
        started = trainer.submit_sweep({"seed": [1, 2, 3]})
        with pytest.raises(NotFound):
            started.watch(show=False)
        service.failures = [grpc.StatusCode.UNAVAILABLE] * 100_000
        # The time can end during an attempt or between two.
        with pytest.raises((Unavailable, DeadlineExceeded)):
            started.watch(show=False, patience=0.5)


@pytest.mark.parametrize(
    "state, words",
    [(sweep_pb2.SWEEP_STATE_FAILED, "failed"), (sweep_pb2.SWEEP_STATE_CANCELLED, "was cancelled")],
)
def test_a_sweep_without_a_result_is_an_error(serve, state, words):
    async def watch(address):
        async with AsyncTrainer(address) as trainer:
            await (await trainer.sweep(ID)).watch(show=False)

    with Trainer(serve(Swept(1, state=state))) as trainer, pytest.raises(SweepFailed, match=f"{ID} {words}") as raised:
        trainer.sweep(ID).watch(show=False)
    assert raised.value.sweep.ended
    with pytest.raises(SweepFailed, match=words):
        asyncio.run(watch(serve(Swept(1, state=state))))
