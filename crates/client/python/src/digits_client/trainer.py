"""The blocking client of the trainer."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from digits_client import watch
from digits_client.calls import Caller, Retry
from digits_client.connection import Address
from digits_client.job import Job, State
from digits_client.spec import job_spec
from digits_client.v1 import (
    checkpoint_pb2,
    checkpoint_pb2_grpc,
    training_pb2,
    training_pb2_grpc,
)

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from digits_client.credentials import Credentials
    from digits_client.spec import SpecFields

T = TypeVar("T")

# Entries that are requested for a page.
_PAGE = 200


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
        self._training = training_pb2_grpc.TrainingServiceStub(self._calls.channel)
        self._checkpoints = checkpoint_pb2_grpc.CheckpointServiceStub(self._calls.channel)

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
        request = training_pb2.SubmitJobRequest(
            request_id=request_id or str(uuid.uuid4()), spec=job_spec(spec, fields)
        )
        return Job(self, self._calls.retried(self._training.SubmitJob, request).job)

    def job(self, job_id: str) -> Job:
        """One job."""
        request = training_pb2.GetJobRequest(job_id=job_id)
        return Job(self, self._calls.retried(self._training.GetJob, request).job)

    def jobs(
        self,
        limit: int = 50,
        *,
        states: Sequence[State] = (),
        name: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> list[Job]:
        """The newest jobs that match all filters, at most `limit`."""
        numbers = [training_pb2.JobState.Value(f"JOB_STATE_{state.upper()}") for state in states]

        def page(size: int, token: str) -> tuple[Sequence[training_pb2.Job], str]:
            request = training_pb2.ListJobsRequest(
                page_size=size, page_token=token, states=numbers, name=name, labels=labels
            )
            answer = self._calls.retried(self._training.ListJobs, request)
            return answer.jobs, answer.next_page_token

        return [Job(self, message) for message in _pages(limit, page)]

    def cancel(self, job_id: str) -> Job:
        """Stops a job; returns it as it is then."""
        request = training_pb2.CancelJobRequest(job_id=job_id)
        return Job(self, self._calls.retried(self._training.CancelJob, request).job)

    def history(self, job_id: str, max_rows: int = 1_000) -> list[training_pb2.CurveRow]:
        """The curves of a job as messages; `Job.history` has them as a DataFrame."""
        request = training_pb2.GetHistoryRequest(job_id=job_id, max_rows=max_rows)
        return list(self._calls.retried(self._training.GetHistory, request).rows)

    def presets(self) -> list[training_pb2.Preset]:
        """The presets of the trainer."""
        request = training_pb2.ListPresetsRequest()
        return list(self._calls.retried(self._training.ListPresets, request).presets)

    def datasets(self) -> list[training_pb2.Dataset]:
        """The data sets that a job can name."""

        def page(size: int, token: str) -> tuple[Sequence[training_pb2.Dataset], str]:
            request = training_pb2.ListDatasetsRequest(page_size=size, page_token=token)
            answer = self._calls.retried(self._training.ListDatasets, request)
            return answer.datasets, answer.next_page_token

        return list(_pages(None, page))

    def checkpoints(self, limit: int = 50, *, model: str = "", job_id: str = "") -> list[checkpoint_pb2.Checkpoint]:
        """The newest checkpoints that match all filters, at most `limit`."""

        def page(size: int, token: str) -> tuple[Sequence[checkpoint_pb2.Checkpoint], str]:
            request = checkpoint_pb2.ListCheckpointsRequest(
                page_size=size, page_token=token, model=model, job_id=job_id
            )
            answer = self._calls.retried(self._checkpoints.ListCheckpoints, request)
            return answer.checkpoints, answer.next_page_token

        return list(_pages(limit, page))

    def promote(
        self, checkpoint_id: str, *, expected_sequence: int | None = None, by: str = ""
    ) -> checkpoint_pb2.ServingRecord:
        """Serves a checkpoint and holds automatic promotions; returns the new record.

        It fails with `Aborted` if the newest record is not `expected_sequence`, which is by default the newest one at the
        time of the call. It is not retried; after a broken connection, `serving` shows whether it was done.
        """
        found = self._calls.retried(
            self._checkpoints.GetCheckpoint, checkpoint_pb2.GetCheckpointRequest(checkpoint_id=checkpoint_id)
        )
        model = found.checkpoint.model
        request = checkpoint_pb2.PromoteRequest(
            model=model, checkpoint_id=checkpoint_id, expected_sequence=self._sequence(model, expected_sequence), by=by
        )
        return self._calls.once(self._checkpoints.Promote, request).record

    def rollback(
        self, model: str = "digits", *, to_sequence: int = 0, expected_sequence: int | None = None, by: str = ""
    ) -> checkpoint_pb2.ServingRecord:
        """Serves an earlier record's checkpoint again, by default the previous one; returns the new record.

        It holds automatic promotions, and fails as `promote` does.
        """
        request = checkpoint_pb2.RollbackRequest(
            model=model,
            to_sequence=to_sequence,
            expected_sequence=self._sequence(model, expected_sequence),
            by=by,
        )
        return self._calls.once(self._checkpoints.Rollback, request).record

    def serving(self, model: str = "digits", limit: int = 50) -> list[checkpoint_pb2.ServingRecord]:
        """The newest serving records of a model, at most `limit`, the current one first."""

        def page(size: int, token: str) -> tuple[Sequence[checkpoint_pb2.ServingRecord], str]:
            request = checkpoint_pb2.ListServingRequest(page_size=size, page_token=token, model=model)
            answer = self._calls.retried(self._checkpoints.ListServing, request)
            return answer.records, answer.next_page_token

        return list(_pages(limit, page))

    def _sequence(self, model: str, expected: int | None) -> int:
        if expected is not None:
            return expected
        newest = self.serving(model, 1)
        return newest[0].sequence if newest else 0

    def events(
        self, job_id: str, after_sequence: int = 0, *, patience: float = 300.0
    ) -> Iterator[training_pb2.WatchJobResponse]:
        """The events of a job; see `Job.events`."""
        return watch.events(self._calls, self._training.WatchJob, job_id, after_sequence, patience)

    def close(self) -> None:
        """Closes the connections."""
        self._calls.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Trainer, {self._calls.address}>"


def _pages(limit: int | None, fetch: Callable[[int, str], tuple[Sequence[T], str]]) -> Iterator[T]:
    """The first entries of a list that comes in pages, which can be shorter than requested."""
    token = ""
    left = limit
    while left is None or left > 0:
        entries, token = fetch(_PAGE if left is None else min(left, _PAGE), token)
        yield from entries
        if not token:
            return
        left = None if left is None else left - len(entries)
