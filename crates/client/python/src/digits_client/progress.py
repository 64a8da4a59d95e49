"""Shows the progress of a watched job: a bar of tqdm where it is installed, else a line for each epoch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from digits_client.job import JobData
    from digits_client.v1 import sweep_pb2, training_pb2


class _Display(Protocol):
    def row(self, row: training_pb2.CurveRow) -> None:
        """Shows a new row of the curves."""

    def close(self, step: int) -> None:
        """Ends the display at a step, which can be after the last row."""


@contextmanager
def of(job: JobData, *, show: bool) -> Iterator[Callable[[training_pb2.WatchJobResponse], None]]:
    """What takes the events of a watched job and, with `show`, displays its progress."""
    display = _start(job.message) if show else None

    def take(event: training_pb2.WatchJobResponse) -> None:
        if display is not None and event.HasField("row"):
            display.row(event.row)

    try:
        yield take
    finally:
        if display is not None:
            display.close(job.message.progress.step)


def _start(job: training_pb2.Job) -> _Display:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _Lines(job.progress.epochs)
    return _Bar(tqdm, job)


@contextmanager
def of_sweep(*, show: bool) -> Iterator[Callable[[sweep_pb2.Sweep], None]]:
    """What takes a sweep whenever it was read and, with `show`, displays how many of its trials have ended."""
    bar: Any = None
    shown = 0

    def take(sweep: sweep_pb2.Sweep) -> None:
        nonlocal bar, shown
        if not show:
            return
        best = f"best accuracy {sweep.best.validation.accuracy:.2%}" if sweep.HasField("best") else ""
        try:
            from tqdm.auto import tqdm
        except ImportError:
            if sweep.ended_trials > shown:
                print(f"{sweep.ended_trials} of {sweep.total_trials} trials, {best}".rstrip(", "), file=sys.stderr)
        else:
            bar = bar or tqdm(desc=sweep.spec.job.name or "sweep", unit=" trials")
            bar.total = sweep.total_trials
            bar.set_postfix_str(best, refresh=False)
            bar.update(sweep.ended_trials - bar.n)
        shown = sweep.ended_trials

    try:
        yield take
    finally:
        if bar is not None:
            bar.close()


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
