"""Shows the progress of a watched job: a bar of tqdm where it is installed, else a line for each epoch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from digits_client.v1 import training_pb2


class Progress(Protocol):
    """What a watch shows its rows on."""

    def row(self, row: training_pb2.CurveRow) -> None:
        """Shows a new row of the curves."""

    def close(self, step: int) -> None:
        """Ends the display at a step, which can be after the last row."""


def start(job: training_pb2.Job) -> Progress:
    """A display for a job."""
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _Lines(job.progress.epochs)
    return _Bar(tqdm, job)


class _Bar:
    def __init__(self, tqdm: Callable[..., Any], job: training_pb2.Job) -> None:
        name = job.requested.name or job.resolved.preset or job.job_id
        self._epochs = job.progress.epochs
        self._bar = tqdm(total=job.progress.steps, desc=name, unit=" steps", unit_scale=True)

    def row(self, row: training_pb2.CurveRow) -> None:
        self._bar.set_postfix_str(f"epoch {row.epoch}/{self._epochs}, {_figures(row)}", refresh=False)
        self._bar.update(row.step - self._bar.n)

    def close(self, step: int) -> None:
        self._bar.update(max(0, step - self._bar.n))
        self._bar.close()


class _Lines:
    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._epoch = 0
        self._latest: training_pb2.CurveRow | None = None

    def row(self, row: training_pb2.CurveRow) -> None:
        if self._latest is not None and row.epoch != self._latest.epoch:
            self._print(self._latest)
        self._latest = row

    def close(self, step: int) -> None:
        if self._latest is not None:
            self._print(self._latest)

    def _print(self, row: training_pb2.CurveRow) -> None:
        print(f"epoch {row.epoch}/{self._epochs}, {_figures(row)}", file=sys.stderr)


def _figures(row: training_pb2.CurveRow) -> str:
    return f"validation loss {row.validation.loss:.4f}, accuracy {row.validation.accuracy:.1%}"
