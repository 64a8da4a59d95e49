"""The operations of the trainer's clients, without their way of calling: `Trainer` makes the calls on the thread of its
caller, `AsyncTrainer` on an event loop.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from digits_client.calls import Operation, once, patiently, retried
from digits_client.spec import job_spec
from digits_client.v1 import (
    checkpoint_pb2,
    checkpoint_pb2_grpc,
    sweep_pb2,
    sweep_pb2_grpc,
    training_pb2,
    training_pb2_grpc,
)

if TYPE_CHECKING:
    from digits_client.job import State
    from digits_client.spec import SpecFields

T = TypeVar("T")

# Entries that are requested for a page.
_PAGE = 200


class Operations:
    """The operations over a channel, which may be of grpc or of grpc.aio."""

    def __init__(self, channel: Any) -> None:
        self.training: training_pb2_grpc.TrainingServiceStub = training_pb2_grpc.TrainingServiceStub(channel)
        self.checkpoint: checkpoint_pb2_grpc.CheckpointServiceStub = checkpoint_pb2_grpc.CheckpointServiceStub(channel)
        self.sweeping: sweep_pb2_grpc.SweepServiceStub = sweep_pb2_grpc.SweepServiceStub(channel)

    def submit(
        self, spec: training_pb2.JobSpec | None, request_id: str | None, fields: SpecFields
    ) -> Operation[training_pb2.Job]:
        request = training_pb2.SubmitJobRequest(
            request_id=request_id or str(uuid.uuid4()), spec=job_spec(spec, fields)
        )
        return (yield from retried(self.training.SubmitJob, request)).job

    def job(self, job_id: str) -> Operation[training_pb2.Job]:
        request = training_pb2.GetJobRequest(job_id=job_id)
        return (yield from retried(self.training.GetJob, request)).job

    def jobs(
        self, limit: int, states: Sequence[State], name: str, labels: Mapping[str, str] | None
    ) -> Operation[list[training_pb2.Job]]:
        numbers = [training_pb2.JobState.Value(f"JOB_STATE_{state.upper()}") for state in states]

        def page(size: int, token: str) -> Operation[_Page[training_pb2.Job]]:
            request = training_pb2.ListJobsRequest(
                page_size=size, page_token=token, states=numbers, name=name, labels=labels
            )
            response = yield from retried(self.training.ListJobs, request)
            return response.jobs, response.next_page_token

        return (yield from _pages(limit, page))

    def cancel(self, job_id: str) -> Operation[training_pb2.Job]:
        request = training_pb2.CancelJobRequest(job_id=job_id)
        return (yield from retried(self.training.CancelJob, request)).job

    def history(self, job_id: str, max_rows: int) -> Operation[list[training_pb2.CurveRow]]:
        request = training_pb2.GetHistoryRequest(job_id=job_id, max_rows=max_rows)
        return list((yield from retried(self.training.GetHistory, request)).rows)

    def presets(self) -> Operation[list[training_pb2.Preset]]:
        request = training_pb2.ListPresetsRequest()
        return list((yield from retried(self.training.ListPresets, request)).presets)

    def datasets(self) -> Operation[list[training_pb2.Dataset]]:
        def page(size: int, token: str) -> Operation[_Page[training_pb2.Dataset]]:
            request = training_pb2.ListDatasetsRequest(page_size=size, page_token=token)
            response = yield from retried(self.training.ListDatasets, request)
            return response.datasets, response.next_page_token

        return (yield from _pages(None, page))

    def checkpoints(self, limit: int, model: str, job_id: str) -> Operation[list[checkpoint_pb2.Checkpoint]]:
        def page(size: int, token: str) -> Operation[_Page[checkpoint_pb2.Checkpoint]]:
            request = checkpoint_pb2.ListCheckpointsRequest(
                page_size=size, page_token=token, model=model, job_id=job_id
            )
            response = yield from retried(self.checkpoint.ListCheckpoints, request)
            return response.checkpoints, response.next_page_token

        return (yield from _pages(limit, page))

    def promote(
        self, checkpoint_id: str, expected_sequence: int | None, by: str
    ) -> Operation[checkpoint_pb2.ServingRecord]:
        found = yield from retried(
            self.checkpoint.GetCheckpoint, checkpoint_pb2.GetCheckpointRequest(checkpoint_id=checkpoint_id)
        )
        model = found.checkpoint.model
        expected = yield from self._sequence(model, expected_sequence)
        request = checkpoint_pb2.PromoteRequest(
            model=model, checkpoint_id=checkpoint_id, expected_sequence=expected, by=by
        )
        return (yield from once(self.checkpoint.Promote, request)).record

    def rollback(
        self, model: str, to_sequence: int, expected_sequence: int | None, by: str
    ) -> Operation[checkpoint_pb2.ServingRecord]:
        expected = yield from self._sequence(model, expected_sequence)
        request = checkpoint_pb2.RollbackRequest(
            model=model, to_sequence=to_sequence, expected_sequence=expected, by=by
        )
        return (yield from once(self.checkpoint.Rollback, request)).record

    def serving(self, model: str, limit: int) -> Operation[list[checkpoint_pb2.ServingRecord]]:
        def page(size: int, token: str) -> Operation[_Page[checkpoint_pb2.ServingRecord]]:
            request = checkpoint_pb2.ListServingRequest(page_size=size, page_token=token, model=model)
            response = yield from retried(self.checkpoint.ListServing, request)
            return response.records, response.next_page_token

        return (yield from _pages(limit, page))

    def submit_sweep(self, spec: sweep_pb2.SweepSpec, request_id: str | None) -> Operation[sweep_pb2.Sweep]:
        request = sweep_pb2.SubmitSweepRequest(request_id=request_id or str(uuid.uuid4()), spec=spec)
        return (yield from retried(self.sweeping.SubmitSweep, request)).sweep

    def sweep(self, sweep_id: str, patience: float | None = None) -> Operation[sweep_pb2.Sweep]:
        request = sweep_pb2.GetSweepRequest(sweep_id=sweep_id)
        if patience is None:
            return (yield from retried(self.sweeping.GetSweep, request)).sweep
        return (yield from patiently(self.sweeping.GetSweep, request, patience)).sweep

    def sweeps(self, limit: int) -> Operation[list[sweep_pb2.Sweep]]:
        def page(size: int, token: str) -> Operation[_Page[sweep_pb2.Sweep]]:
            request = sweep_pb2.ListSweepsRequest(page_size=size, page_token=token)
            response = yield from retried(self.sweeping.ListSweeps, request)
            return response.sweeps, response.next_page_token

        return (yield from _pages(limit, page))

    def cancel_sweep(self, sweep_id: str) -> Operation[sweep_pb2.Sweep]:
        request = sweep_pb2.CancelSweepRequest(sweep_id=sweep_id)
        return (yield from retried(self.sweeping.CancelSweep, request)).sweep

    def _sequence(self, model: str, expected: int | None) -> Operation[int]:
        if expected is not None:
            return expected
        newest = yield from self.serving(model, 1)
        return newest[0].sequence if newest else 0


# Entries, and the token of the next page.
_Page = tuple[Sequence[T], str]


def _pages(limit: int | None, fetch: Callable[[int, str], Operation[_Page[T]]]) -> Operation[list[T]]:
    """The first entries of a list that comes in pages, which can be shorter than requested."""
    token = ""
    found: list[T] = []
    while limit is None or len(found) < limit:
        entries, token = yield from fetch(_PAGE if limit is None else min(limit - len(found), _PAGE), token)
        found += entries
        if not token:
            break
    return found
