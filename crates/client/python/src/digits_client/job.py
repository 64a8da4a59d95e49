"""Training jobs: their state, events and curves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timezone
from html import escape
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from digits_client import progress
from digits_client.errors import JobFailed
from digits_client.table import table
from digits_client.v1 import training_pb2

if TYPE_CHECKING:
    from typing_extensions import Self

    from digits_client.aio_trainer import AsyncTrainer
    from digits_client.trainer import Trainer

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class Row(TypedDict):
    """One row of a job's curves; see `CurveRow` in `digits/v1/training.proto`."""

    step: int
    epoch: int
    step_in_epoch: int
    at: datetime
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    samples_per_second: float


class JobData:
    """A job as the trainer sent it last."""

    def __init__(self, message: training_pb2.Job) -> None:
        self.message = message
        """All of the job."""

    @property
    def id(self) -> str:
        """Id of the job."""
        return self.message.job_id

    @property
    def name(self) -> str:
        """Display name; may be empty."""
        return self.message.requested.name

    @property
    def state(self) -> State:
        """State when the job was last read."""
        name = training_pb2.JobState.Name(self.message.state)
        return cast(State, name.removeprefix("JOB_STATE_").lower())

    @property
    def ended(self) -> bool:
        """Whether the job has ended."""
        return self.state in ("succeeded", "failed", "cancelled")

    @property
    def error(self) -> str:
        """Why the job failed; else empty."""
        return self.message.error

    @property
    def test_accuracy(self) -> float | None:
        """Accuracy of the final network on the test set, from 0 to 1, once the job has succeeded."""
        return self.message.test.accuracy if self.message.HasField("test") else None

    @property
    def checkpoint_ids(self) -> list[str]:
        """Ids of the published checkpoints, oldest first."""
        return list(self.message.checkpoint_ids)

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"<Job {self.id}{name}, {self._summary()}>"

    def _repr_html_(self) -> str:
        now = self.message.progress
        facts = [
            ("job", self.id),
            ("name", self.name),
            ("preset", self.message.resolved.preset),
            ("state", self._summary()),
            ("epoch", f"{now.epoch} of {now.epochs}"),
            ("step", f"{now.step:,} of {now.steps:,}"),
            ("parameters", f"{self.message.network.parameters:,}"),
            ("checkpoints", f"{self.message.checkpoint_count:,}"),
            ("error", self.error),
        ]
        rows = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in facts if value)
        bar = f'<progress max="{now.steps}" value="{now.step}"></progress>' if self.state == "running" else ""
        return f"<table>{rows}</table>{bar}"

    def _summary(self) -> str:
        if self.test_accuracy is not None:
            return f"{self.state}, test accuracy {self.test_accuracy:.2%}"
        latest = self.message.progress
        if self.state == "running" and latest.HasField("latest"):
            return f"{self.state}, validation accuracy {latest.latest.validation.accuracy:.1%}"
        return self.state

    def _succeeded(self) -> Self:
        """The job; raises `JobFailed` if it failed or was cancelled."""
        if self.state != "succeeded":
            raise JobFailed(self)
        return self


class Job(JobData):
    """A job of a trainer."""

    def __init__(self, trainer: Trainer, message: training_pb2.Job) -> None:
        super().__init__(message)
        self._trainer = trainer

    def refresh(self) -> Job:
        """Reads the job again; returns it."""
        self.message = self._trainer.job(self.id).message
        return self

    def cancel(self) -> Job:
        """Stops the job; returns it as it is then. A running job ends before its next step."""
        self.message = self._trainer.cancel(self.id).message
        return self

    def events(self, after_sequence: int = 0, *, patience: float = 300.0) -> Iterator[training_pb2.WatchJobResponse]:
        """The events of the job, each once and in order, from the first to its end, as they occur.

        A stream that breaks is resumed after the last event. `WatchLost` ends it when the trainer stays away for
        `patience` seconds.
        """
        return self._trainer.events(self.id, after_sequence, patience=patience)

    def watch(self, *, show: bool = True, patience: float = 300.0) -> Job:
        """Waits for the end of the job with its progress in view; returns the job as it ended.

        A bar is shown if tqdm is installed, in terminals and notebooks. Interrupting it does not stop the job.

        Raises `JobFailed` if the job failed or was cancelled, and `WatchLost` if the trainer stays away.
        """
        if show:
            self.refresh()
        with progress.of(self, show=show) as display:
            for event in self.events(patience=patience):
                display(event)
            self.refresh()
        return self._succeeded()

    def rows(self, max_rows: int = 1_000) -> list[Row]:
        """The curves of the job, oldest first, evenly sampled down to at most `max_rows` rows."""
        return [_row(row) for row in self._trainer.history(self.id, max_rows)]

    def history(self, max_rows: int = 1_000) -> Any:
        """The curves as a DataFrame, where pandas is installed; else as `rows`."""
        return table(self.rows(max_rows), list(Row.__annotations__))


class AsyncJob(JobData):
    """A job of a trainer, for asyncio. Its methods are those of `Job`."""

    def __init__(self, trainer: AsyncTrainer, message: training_pb2.Job) -> None:
        super().__init__(message)
        self._trainer = trainer

    async def refresh(self) -> AsyncJob:
        """Reads the job again; returns it."""
        self.message = (await self._trainer.job(self.id)).message
        return self

    async def cancel(self) -> AsyncJob:
        """Stops the job; returns it as it is then."""
        self.message = (await self._trainer.cancel(self.id)).message
        return self

    def events(
        self, after_sequence: int = 0, *, patience: float = 300.0
    ) -> AsyncIterator[training_pb2.WatchJobResponse]:
        """The events of the job as they occur; see `Job.events`."""
        return self._trainer.events(self.id, after_sequence, patience=patience)

    async def watch(self, *, show: bool = True, patience: float = 300.0) -> AsyncJob:
        """Waits for the end of the job with its progress in view; see `Job.watch`."""
        if show:
            await self.refresh()
        with progress.of(self, show=show) as display:
            async for event in self.events(patience=patience):
                display(event)
            await self.refresh()
        return self._succeeded()

    async def rows(self, max_rows: int = 1_000) -> list[Row]:
        """The curves of the job; see `Job.rows`."""
        return [_row(row) for row in await self._trainer.history(self.id, max_rows)]

    async def history(self, max_rows: int = 1_000) -> Any:
        """The curves as a DataFrame, where pandas is installed; else as `rows`."""
        return table(await self.rows(max_rows), list(Row.__annotations__))


def _row(row: training_pb2.CurveRow) -> Row:
    return Row(
        step=row.step,
        epoch=row.epoch,
        step_in_epoch=row.step_in_epoch,
        at=row.at.ToDatetime(tzinfo=timezone.utc),
        train_loss=row.train_loss,
        validation_loss=row.validation.loss,
        validation_accuracy=row.validation.accuracy,
        learning_rate=row.learning_rate,
        samples_per_second=row.samples_per_second,
    )
