"""The client of the trainer for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING

from digits_client.calls import AsyncCaller, Retry
from digits_client.connection import Address
from digits_client.job import AsyncJob, State
from digits_client.operations import Operations
from digits_client.spec import job_spec, sweep_spec
from digits_client.sweep import AsyncSweep
from digits_client.v1 import checkpoint_pb2, training_pb2
from digits_client.watch import Watch, async_events

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from digits_client.credentials import Credentials
    from digits_client.spec import Parameter, SpecFields


class AsyncTrainer:
    """A client of the trainer for one event loop. Its methods are those of `Trainer`."""

    def __init__(
        self,
        address: str | None = None,
        *,
        credentials: Credentials | None = None,
        timeout: float = 30.0,
        retry: Retry = Retry(),
    ) -> None:
        self._calls = AsyncCaller(Address.parse("trainer", address, credentials), timeout, retry)

    async def submit(
        self,
        spec: training_pb2.JobSpec | None = None,
        *,
        request_id: str | None = None,
        **fields: Unpack[SpecFields],
    ) -> AsyncJob:
        """Submits a job; see `Trainer.submit`."""
        return AsyncJob(self, await self._calls.run(self._operations.submit(spec, request_id, fields)))

    async def job(self, job_id: str) -> AsyncJob:
        """One job."""
        return AsyncJob(self, await self._calls.run(self._operations.job(job_id)))

    async def jobs(
        self,
        limit: int = 50,
        *,
        states: Sequence[State] = (),
        name: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> list[AsyncJob]:
        """The newest jobs that match all filters, at most `limit`."""
        found = await self._calls.run(self._operations.jobs(limit, states, name, labels))
        return [AsyncJob(self, message) for message in found]

    async def cancel(self, job_id: str) -> AsyncJob:
        """Stops a job; returns it as it is then."""
        return AsyncJob(self, await self._calls.run(self._operations.cancel(job_id)))

    async def history(self, job_id: str, max_rows: int = 1_000) -> list[training_pb2.CurveRow]:
        """The curves of a job as messages; `AsyncJob.history` has them as a DataFrame."""
        return await self._calls.run(self._operations.history(job_id, max_rows))

    async def presets(self) -> list[training_pb2.Preset]:
        """The presets of the trainer."""
        return await self._calls.run(self._operations.presets())

    async def datasets(self) -> list[training_pb2.Dataset]:
        """The data sets that a job can name."""
        return await self._calls.run(self._operations.datasets())

    async def checkpoints(
        self, limit: int = 50, *, model: str = "", job_id: str = ""
    ) -> list[checkpoint_pb2.Checkpoint]:
        """The newest checkpoints that match all filters, at most `limit`."""
        return await self._calls.run(self._operations.checkpoints(limit, model, job_id))

    async def promote(
        self, checkpoint_id: str, *, expected_sequence: int | None = None, by: str = ""
    ) -> checkpoint_pb2.ServingRecord:
        """Serves a checkpoint and holds automatic promotions; see `Trainer.promote`."""
        return await self._calls.run(self._operations.promote(checkpoint_id, expected_sequence, by))

    async def rollback(
        self, model: str = "digits", *, to_sequence: int = 0, expected_sequence: int | None = None, by: str = ""
    ) -> checkpoint_pb2.ServingRecord:
        """Serves an earlier record's checkpoint again; see `Trainer.rollback`."""
        return await self._calls.run(self._operations.rollback(model, to_sequence, expected_sequence, by))

    async def serving(self, model: str = "digits", limit: int = 50) -> list[checkpoint_pb2.ServingRecord]:
        """The newest serving records of a model, at most `limit`, the current one first."""
        return await self._calls.run(self._operations.serving(model, limit))

    async def submit_sweep(
        self,
        parameters: Mapping[str, Parameter],
        spec: training_pb2.JobSpec | None = None,
        *,
        seeds: int = 1,
        random: int | Mapping[str, int] | None = None,
        halving: bool | Mapping[str, int] = False,
        request_id: str | None = None,
        **fields: Unpack[SpecFields],
    ) -> AsyncSweep:
        """Submits a sweep; see `Trainer.submit_sweep`."""
        swept = sweep_spec(parameters, job_spec(spec, fields), seeds, random, halving)
        return AsyncSweep(self._calls, await self._calls.run(self._operations.submit_sweep(swept, request_id)))

    async def sweep(self, sweep_id: str) -> AsyncSweep:
        """One sweep."""
        return AsyncSweep(self._calls, await self._calls.run(self._operations.sweep(sweep_id)))

    async def sweeps(self, limit: int = 50) -> list[AsyncSweep]:
        """The newest sweeps, at most `limit`, without their trials."""
        found = await self._calls.run(self._operations.sweeps(limit))
        return [AsyncSweep(self._calls, message) for message in found]

    def events(
        self, job_id: str, after_sequence: int = 0, *, patience: float = 300.0
    ) -> AsyncIterator[training_pb2.WatchJobResponse]:
        """The events of a job; see `Job.events`."""
        watch = Watch(self._calls.address, job_id, after_sequence, patience)
        return async_events(self._calls, self._operations.training.WatchJob, watch)

    async def close(self) -> None:
        """Closes the connections."""
        await self._calls.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<AsyncTrainer, {self._calls.address}>"

    @property
    def _operations(self) -> Operations:
        return Operations(self._calls.channel)
