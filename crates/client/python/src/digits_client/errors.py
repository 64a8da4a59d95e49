"""Errors of calls: one class for each status code, with the message and the details of the service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from digits_client.job import JobData
    from digits_client.sweep import SweepData

_DETAILS = "grpc-status-details-bin"


class DigitsError(Exception):
    """Base class of all errors of this package."""


@dataclass(frozen=True)
class Violation:
    """A field of a request that the service refused."""

    field: str
    """Path of the field, such as `spec.epochs`."""
    description: str
    """What is wrong with it."""


class ServiceError(DigitsError):
    """A call that failed."""

    def __init__(
        self,
        service: str,
        code: grpc.StatusCode,
        message: str,
        violations: tuple[Violation, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{service}: {message}")
        self.service = service
        """The service and its address."""
        self.code = code
        """The status code."""
        self.message = message
        """The message of the service, or of the connection."""
        self.violations = violations
        """The refused fields of the request."""
        self.retry_after = retry_after
        """Seconds after which the service suggests to try again, if it does."""


class InvalidArgument(ServiceError, ValueError):
    """A field of the request is invalid; `violations` names each."""


class OutOfRange(ServiceError, ValueError):
    """The message is too long, or a position is beyond the end."""


class NotFound(ServiceError, LookupError):
    """There is no such job, checkpoint or model."""


class AlreadyExists(ServiceError):
    """The id belongs to something else."""


class FailedPrecondition(ServiceError):
    """The call does not fit the state of its object."""


class Aborted(ServiceError):
    """Another change came first."""


class Unauthenticated(ServiceError):
    """The service requires a token, or does not know this one."""


class PermissionDenied(ServiceError):
    """The role of the token does not allow the call."""


class ResourceExhausted(ServiceError):
    """The service is overloaded, or a limit is reached."""


class DeadlineExceeded(ServiceError, TimeoutError):
    """The deadline of the call passed."""


class Unavailable(ServiceError):
    """The service cannot answer now, for instance because it serves no checkpoint yet."""


class ConnectionFailed(Unavailable):
    """No connection to the service, or one that broke before the response."""


class HandshakeFailed(ConnectionFailed):
    """A TLS handshake that failed; repeating it does not help."""


class Unimplemented(ServiceError):
    """The service does not have the method, for instance because it is another service."""


class Internal(ServiceError):
    """A bug of the service; its log has the cause."""


class WatchLost(DigitsError):
    """A watch that could not be resumed in time. The job continues."""

    def __init__(self, service: str, job_id: str, after_sequence: int, reason: str) -> None:
        super().__init__(f"{service}: lost while watching job {job_id}: {reason}")
        self.job_id = job_id
        self.after_sequence = after_sequence
        """Sequence of the last event that was received."""
        self.reason = reason


class JobFailed(DigitsError):
    """A job that failed or was cancelled."""

    def __init__(self, job: JobData) -> None:
        super().__init__(f"job {job.id} {job.state}: {job.error}" if job.error else f"job {job.id} was {job.state}")
        self.job = job


class SweepFailed(DigitsError):
    """A sweep that was cancelled, or of which no trial succeeded."""

    def __init__(self, sweep: SweepData) -> None:
        super().__init__(f"sweep {sweep.id} {'was cancelled' if sweep.state == 'cancelled' else 'failed'}")
        self.sweep = sweep


_CLASSES: dict[grpc.StatusCode, type[ServiceError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.OUT_OF_RANGE: OutOfRange,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.ABORTED: Aborted,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.UNIMPLEMENTED: Unimplemented,
    grpc.StatusCode.INTERNAL: Internal,
}


def of_status(
    service: str, code: grpc.StatusCode, message: str, trailers: Iterable[tuple[str, str | bytes]] | None
) -> ServiceError:
    """The error of a call that ended with a status; only a status of the service itself has trailers."""
    metadata = dict(trailers or ())
    if code is grpc.StatusCode.UNAVAILABLE and not metadata:
        failed = HandshakeFailed if "handshake failed" in message.lower() else ConnectionFailed
        return failed(service, code, f"no connection: {message}")
    violations, retry_after = _details(metadata.get(_DETAILS, b""))
    return _CLASSES.get(code, ServiceError)(service, code, message or code.name, violations, retry_after)


def _details(encoded: str | bytes) -> tuple[tuple[Violation, ...], float | None]:
    """The refused fields, and the delay before the next attempt."""
    violations: list[Violation] = []
    retry_after = None
    try:
        status = status_pb2.Status.FromString(encoded if isinstance(encoded, bytes) else encoded.encode())
        for detail in status.details:
            bad_request = error_details_pb2.BadRequest()
            retry_info = error_details_pb2.RetryInfo()
            if detail.Unpack(bad_request):
                found = bad_request.field_violations
                violations += [Violation(it.field, it.description) for it in found]
            elif detail.Unpack(retry_info):
                delay = retry_info.retry_delay
                retry_after = delay.seconds + delay.nanos / 1e9
    except DecodeError:
        # Details that this version cannot read; the message says the same for people.
        pass
    return tuple(violations), retry_after
