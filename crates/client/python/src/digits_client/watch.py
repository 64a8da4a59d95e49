"""Watches a job to its end over connections that break.

The sequence numbers of events have no gaps, and a complete watch ends with `finished`: a stream that ends otherwise was
cut, and the watch resumes after the last number received. No event is delivered twice or left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import grpc

from digits_client.calls import Caller, failure
from digits_client.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ServiceError,
    Unauthenticated,
    Unimplemented,
    WatchLost,
)
from digits_client.v1 import training_pb2

if TYPE_CHECKING:
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


def events(
    calls: Caller, open_stream: Open, job_id: str, after_sequence: int, patience: float
) -> Iterator[training_pb2.WatchJobResponse]:
    """The events of a job after a sequence number, each once, in order, up to the end of the job.

    Raises the refusal of a trainer, and `WatchLost` after `patience` seconds without a single event or heartbeat.
    """
    seen = after_sequence
    pause = _FIRST_PAUSE
    heard = time.monotonic()
    while True:
        before = heard
        reason = "the stream ended before the job"
        request = training_pb2.WatchJobRequest(job_id=job_id, after_sequence=seen)
        stream = open_stream(request, metadata=calls.metadata)
        try:
            for event in stream:
                heard = time.monotonic()
                # An event that was repeated, or a heartbeat.
                if event.sequence <= seen:
                    continue
                if event.sequence != seen + 1:
                    reason = f"event {event.sequence} came after event {seen}"
                    break
                seen = event.sequence
                yield event
                if event.HasField("finished"):
                    return
        except grpc.RpcError as error:
            reason = _reason(failure(calls.address, error, None))
        finally:
            stream.cancel()
        if heard > before:
            pause = _FIRST_PAUSE
        if time.monotonic() - heard + pause > patience:
            raise WatchLost(str(calls.address), job_id, seen, reason)
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _reason(error: ServiceError) -> str:
    if isinstance(error, _FINAL):
        raise error
    return error.message
