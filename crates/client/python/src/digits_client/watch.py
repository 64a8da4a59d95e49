"""Watches a job to its end over connections that break.

The sequence numbers of events have no gaps, and a complete watch ends with `finished`: a stream that ends otherwise was
cut, and the watch resumes after the last number received. No event is delivered twice or left out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import grpc

from digits_client.calls import AsyncCaller, Caller, failure
from digits_client.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    Unauthenticated,
    Unimplemented,
    WatchLost,
)
from digits_client.v1 import training_pb2

if TYPE_CHECKING:
    from digits_client.connection import Address

    Open = Callable[..., Any]

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
# Refusals of this very request; anything else passes by itself.
_FINAL = (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    Unauthenticated,
    Unimplemented,
)


class _Gap(Exception):
    """An event came out of order."""


class Watch:
    """How far the watch of a job is, over all its streams."""

    def __init__(self, address: Address, job_id: str, after_sequence: int, patience: float) -> None:
        self._address = address
        self._job_id = job_id
        self._seen = after_sequence
        self._patience = patience
        self._pause = _FIRST_PAUSE
        self._heard = self._opened = time.monotonic()
        self.ended = False
        """Whether the job has ended."""

    def request(self) -> training_pb2.WatchJobRequest:
        """The request of the next stream."""
        self._opened = self._heard
        return training_pb2.WatchJobRequest(job_id=self._job_id, after_sequence=self._seen)

    def accepts(self, event: training_pb2.WatchJobResponse) -> bool:
        """Whether an event is the next one, and neither a repeated one nor a heartbeat."""
        self._heard = time.monotonic()
        if event.sequence <= self._seen:
            return False
        if event.sequence != self._seen + 1:
            raise _Gap(f"event {event.sequence} came after event {self._seen}")
        self._seen = event.sequence
        self.ended = event.HasField("finished")
        return True

    def pause_after(self, error: Exception | None) -> float:
        """Seconds until the next stream, after one that ended before the job.

        Raises the refusal of a trainer, and `WatchLost` after `patience` seconds without an event or a heartbeat.
        """
        reason = "the stream ended before the job" if error is None else str(error)
        if isinstance(error, grpc.RpcError):
            refusal = failure(self._address, error, None)
            if isinstance(refusal, _FINAL):
                raise refusal
            reason = refusal.message
        if self._heard > self._opened:
            self._pause = _FIRST_PAUSE
        pause = self._pause
        if time.monotonic() - self._heard + pause > self._patience:
            raise WatchLost(str(self._address), self._job_id, self._seen, reason)
        self._pause = min(2 * pause, _LONGEST_PAUSE)
        return pause


def events(calls: Caller, open_stream: Open, watch: Watch) -> Iterator[training_pb2.WatchJobResponse]:
    """The events of a job, each once, in order, up to the end of the job."""
    while True:
        error: Exception | None = None
        stream = open_stream(watch.request(), metadata=calls.metadata)
        try:
            for event in stream:
                if watch.accepts(event):
                    yield event
                if watch.ended:
                    return
        except (grpc.RpcError, _Gap) as broken:
            error = broken
        finally:
            stream.cancel()
        time.sleep(watch.pause_after(error))


async def async_events(
    calls: AsyncCaller, open_stream: Open, watch: Watch
) -> AsyncIterator[training_pb2.WatchJobResponse]:
    """`events` for asyncio."""
    while True:
        error: Exception | None = None
        stream = open_stream(watch.request(), metadata=calls.metadata)
        try:
            async for event in stream:
                if watch.accepts(event):
                    yield event
                if watch.ended:
                    return
        except (grpc.RpcError, _Gap) as broken:
            error = broken
        finally:
            stream.cancel()
        await asyncio.sleep(watch.pause_after(error))
