"""Sweeps: jobs that differ in some fields, and their comparison."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, cast

from digits_client import progress
from digits_client.calls import Operation, Pause
from digits_client.errors import SweepFailed
from digits_client.operations import Operations
from digits_client.table import table
from digits_client.v1 import sweep_pb2

if TYPE_CHECKING:
    from typing_extensions import Self

    from digits_client.calls import AsyncCaller, Caller

SweepState = Literal["running", "succeeded", "failed", "cancelled"]

# Seconds between two reads of a sweep that is watched.
_INTERVAL = 1.0


class SweepData:
    """A sweep as the trainer sent it last."""

    def __init__(self, message: sweep_pb2.Sweep) -> None:
        self.message = message
        """All of the sweep."""

    @property
    def id(self) -> str:
        """Id of the sweep."""
        return self.message.sweep_id

    @property
    def state(self) -> SweepState:
        """State when the sweep was last read."""
        name = sweep_pb2.SweepState.Name(self.message.state)
        return cast(SweepState, name.removeprefix("SWEEP_STATE_").lower())

    @property
    def ended(self) -> bool:
        """Whether the sweep has ended."""
        return self.state != "running"

    @property
    def best(self) -> sweep_pb2.Trial | None:
        """The best trial so far; `Trainer.promote` serves its `checkpoint_id`."""
        return self.message.best if self.message.HasField("best") else None

    def rows(self) -> list[dict[str, Any]]:
        """The trials: the values of the fields, the state and, once it is known, the validation result."""
        return [_row(self.message.fields, trial) for trial in self.message.trials]

    def table(self) -> Any:
        """The trials as a DataFrame, where pandas is installed; else as `rows`."""
        return table(self.rows())

    def __repr__(self) -> str:
        return f"<Sweep {self.id}, {self._summary()}>"

    def _repr_html_(self) -> str:
        shown = self.table()
        trials = shown.to_html(index=False) if hasattr(shown, "to_html") else ""
        return f"<p>sweep {self.id}, {self._summary()}</p>{trials}"

    def _summary(self) -> str:
        now = self.message
        best = f", best accuracy {now.best.validation.accuracy:.2%}" if self.best is not None else ""
        return f"{self.state}, {now.ended_trials} of {now.total_trials} trials{best}"

    def _watch(self, operations: Operations, show: bool, patience: float) -> Operation[Self]:
        with progress.of_sweep(show=show) as display:
            while True:
                self.message = yield from operations.sweep(self.id, patience)
                display(self.message)
                if self.ended:
                    break
                yield Pause(_INTERVAL)
        if self.state != "succeeded":
            raise SweepFailed(self)
        return self


class Sweep(SweepData):
    """A sweep of a trainer."""

    def __init__(self, calls: Caller, message: sweep_pb2.Sweep) -> None:
        super().__init__(message)
        self._calls = calls

    def refresh(self) -> Sweep:
        """Reads the sweep again; returns it."""
        self.message = self._calls.run(self._operations.sweep(self.id))
        return self

    def cancel(self) -> Sweep:
        """Stops the sweep and its jobs; returns it as it is then."""
        self.message = self._calls.run(self._operations.cancel_sweep(self.id))
        return self

    def watch(self, *, show: bool = True, patience: float = 300.0) -> Sweep:
        """Waits for the end of the sweep with a bar of its trials; returns the sweep as it ended.

        Interrupting it does not stop the sweep. Raises `SweepFailed` if the sweep was cancelled or no trial of a rung
        succeeded, and the error of the call if the trainer stays away for `patience` seconds.
        """
        return self._calls.run(self._watch(self._operations, show, patience))

    @property
    def _operations(self) -> Operations:
        return Operations(self._calls.channel)


class AsyncSweep(SweepData):
    """A sweep of a trainer, for asyncio. Its methods are those of `Sweep`."""

    def __init__(self, calls: AsyncCaller, message: sweep_pb2.Sweep) -> None:
        super().__init__(message)
        self._calls = calls

    async def refresh(self) -> AsyncSweep:
        """Reads the sweep again; returns it."""
        self.message = await self._calls.run(self._operations.sweep(self.id))
        return self

    async def cancel(self) -> AsyncSweep:
        """Stops the sweep and its jobs; returns it as it is then."""
        self.message = await self._calls.run(self._operations.cancel_sweep(self.id))
        return self

    async def watch(self, *, show: bool = True, patience: float = 300.0) -> AsyncSweep:
        """Waits for the end of the sweep with a bar of its trials; see `Sweep.watch`."""
        return await self._calls.run(self._watch(self._operations, show, patience))

    @property
    def _operations(self) -> Operations:
        return Operations(self._calls.channel)


def _row(fields: Iterable[str], trial: sweep_pb2.Trial) -> dict[str, Any]:
    has_result = trial.HasField("validation")
    return {
        "trial": trial.number,
        "rung": trial.rung,
        **{field: _value(value) for field, value in zip(fields, trial.values)},
        "seed": trial.seed,
        "epochs": trial.epochs,
        "state": sweep_pb2.TrialState.Name(trial.state).removeprefix("TRIAL_STATE_").lower(),
        "accuracy": trial.validation.accuracy if has_result else None,
        "loss": trial.validation.loss if has_result else None,
        "job_id": trial.job_id,
        "checkpoint_id": trial.checkpoint_id,
        "error": trial.error,
    }


def _value(text: str) -> Any:
    """A number or a truth value where the text is one."""
    try:
        return json.loads(text)
    except ValueError:
        return text
