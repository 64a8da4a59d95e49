"""The blocking client of the trainer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from digits_client.calls import Caller, Retry
from digits_client.connection import Address
from digits_client.job import Job, State
from digits_client.operations import Operations
from digits_client.spec import job_spec, sweep_spec
from digits_client.sweep import Sweep
from digits_client.v1 import checkpoint_pb2, training_pb2
from digits_client.watch import Watch, events

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from digits_client.credentials import Credentials
    from digits_client.spec import Parameter, SpecFields


class Trainer:
    """A client of the trainer, for use by any number of threads.

    `address` and `credentials` are as for `Client`; the variable is `DIGITS_TRAINER`, and the default
    127.0.0.1:50051.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        credentials: Credentials | None = None,
        timeout: float = 30.0,
        retry: Retry = Retry(),
    ) -> None:
        self._calls = Caller(Address.parse("trainer", address, credentials), timeout, retry)
        self._operations = Operations(self._calls.channel)

    def submit(
        self,
        spec: training_pb2.JobSpec | None = None,
        *,
        request_id: str | None = None,
        **fields: Unpack[SpecFields],
    ) -> Job:
        """Submits a job, such as `submit(preset="fast", epochs=3)`.

        The fields are those of `SpecFields`; they replace those of `spec`. However often a request id arrives, it
        makes one job; a random one is used if none is given.
        """
        return Job(self, self._calls.run(self._operations.submit(spec, request_id, fields)))

    def job(self, job_id: str) -> Job:
        """One job."""
        return Job(self, self._calls.run(self._operations.job(job_id)))

    def jobs(
        self,
        limit: int = 50,
        *,
        states: Sequence[State] = (),
        name: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> list[Job]:
        """The newest jobs that match all filters, at most `limit`."""
        found = self._calls.run(self._operations.jobs(limit, states, name, labels))
        return [Job(self, message) for message in found]

    def cancel(self, job_id: str) -> Job:
        """Stops a job; returns it as it is then."""
        return Job(self, self._calls.run(self._operations.cancel(job_id)))

    def history(self, job_id: str, max_rows: int = 1_000) -> list[training_pb2.CurveRow]:
        """The curves of a job as messages; `Job.history` has them as a DataFrame."""
        return self._calls.run(self._operations.history(job_id, max_rows))

    def presets(self) -> list[training_pb2.Preset]:
        """The presets of the trainer."""
        return self._calls.run(self._operations.presets())

    def datasets(self) -> list[training_pb2.Dataset]:
        """The data sets that a job can name."""
        return self._calls.run(self._operations.datasets())

    def checkpoints(self, limit: int = 50, *, model: str = "", job_id: str = "") -> list[checkpoint_pb2.Checkpoint]:
        """The newest checkpoints that match all filters, at most `limit`."""
        return self._calls.run(self._operations.checkpoints(limit, model, job_id))

    def promote(
        self, checkpoint_id: str, *, expected_sequence: int | None = None, by: str = ""
    ) -> checkpoint_pb2.ServingRecord:
        """Serves a checkpoint and holds automatic promotions; returns the new record.

        It fails with `Aborted` if the newest record is not `expected_sequence`, which is by default the newest one at
        the time of the call. It is not retried; after a broken connection, `serving` shows whether it was done.
        """
        return self._calls.run(self._operations.promote(checkpoint_id, expected_sequence, by))

    def rollback(
        self, model: str = "digits", *, to_sequence: int = 0, expected_sequence: int | None = None, by: str = ""
    ) -> checkpoint_pb2.ServingRecord:
        """Serves an earlier record's checkpoint again, by default the previous one; returns the new record.

        It holds automatic promotions, and fails as `promote` does.
        """
        return self._calls.run(self._operations.rollback(model, to_sequence, expected_sequence, by))

    def serving(self, model: str = "digits", limit: int = 50) -> list[checkpoint_pb2.ServingRecord]:
        """The newest serving records of a model, at most `limit`, the current one first."""
        return self._calls.run(self._operations.serving(model, limit))

    def submit_sweep(
        self,
        parameters: Mapping[str, Parameter],
        spec: training_pb2.JobSpec | None = None,
        *,
        seeds: int = 1,
        random: int | Mapping[str, int] | None = None,
        halving: bool | Mapping[str, int] = False,
        request_id: str | None = None,
        **fields: Unpack[SpecFields],
    ) -> Sweep:
        """Submits a sweep: jobs that differ in some fields, and are compared by their validation results.

        `parameters` has the values of each field, such as `{"learning_rate": [0.1, 0.03], "hidden": [[192], [64]]}`;
        all combinations are trained, each with `seeds` seeds. `random` draws that many instead, also from ranges
        (`{"learning_rate": {"low": 0.001, "high": 0.1, "log": True}}`); `halving` trains most of them for a few epochs
        only. Both take the fields of `RandomSearch` and `SuccessiveHalving` too. The others are as for `submit`.
        """
        swept = sweep_spec(parameters, job_spec(spec, fields), seeds, random, halving)
        return Sweep(self._calls, self._calls.run(self._operations.submit_sweep(swept, request_id)))

    def sweep(self, sweep_id: str) -> Sweep:
        """One sweep."""
        return Sweep(self._calls, self._calls.run(self._operations.sweep(sweep_id)))

    def sweeps(self, limit: int = 50) -> list[Sweep]:
        """The newest sweeps, at most `limit`, without their trials."""
        found = self._calls.run(self._operations.sweeps(limit))
        return [Sweep(self._calls, message) for message in found]

    def events(
        self, job_id: str, after_sequence: int = 0, *, patience: float = 300.0
    ) -> Iterator[training_pb2.WatchJobResponse]:
        """The events of a job; see `Job.events`."""
        watch = Watch(self._calls.address, job_id, after_sequence, patience)
        return events(self._calls, self._operations.training.WatchJob, watch)

    def close(self) -> None:
        """Closes the connections."""
        self._calls.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Trainer, {self._calls.address}>"
