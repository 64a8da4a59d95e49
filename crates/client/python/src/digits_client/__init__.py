"""Client of the digit classifier's two services.

    from digits_client import Client, Trainer

    with Client("localhost:50052") as client:
        print(client.predict("seven.png").label)

    job = Trainer("localhost:50051").submit(preset="fast", epochs=3).watch()
    print(job.test_accuracy)

`digits_client.v1` has the messages and stubs of every method; their fields are described in `proto/digits/v1/`.
"""

from digits_client.aio import AsyncClient
from digits_client.aio_trainer import AsyncTrainer
from digits_client.calls import Retry
from digits_client.client import Client
from digits_client.credentials import Credentials
from digits_client.errors import (
    Aborted,
    AlreadyExists,
    ConnectionFailed,
    DeadlineExceeded,
    DigitsError,
    FailedPrecondition,
    HandshakeFailed,
    Internal,
    InvalidArgument,
    JobFailed,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ResourceExhausted,
    ServiceError,
    SweepFailed,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Violation,
    WatchLost,
)
from digits_client.job import AsyncJob, Job, Row
from digits_client.predictions import Prediction, Predictions
from digits_client.sweep import AsyncSweep, Sweep
from digits_client.trainer import Trainer

__all__ = [
    "Aborted",
    "AlreadyExists",
    "AsyncClient",
    "AsyncJob",
    "AsyncSweep",
    "AsyncTrainer",
    "Client",
    "ConnectionFailed",
    "Credentials",
    "DeadlineExceeded",
    "DigitsError",
    "FailedPrecondition",
    "HandshakeFailed",
    "Internal",
    "InvalidArgument",
    "Job",
    "JobFailed",
    "NotFound",
    "OutOfRange",
    "PermissionDenied",
    "Prediction",
    "Predictions",
    "ResourceExhausted",
    "Retry",
    "Row",
    "ServiceError",
    "Sweep",
    "SweepFailed",
    "Trainer",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Violation",
    "WatchLost",
]
