"""Calls: one deadline over all attempts, and retries with backoff."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from digits_client.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    HandshakeFailed,
    ResourceExhausted,
    ServiceError,
    Unavailable,
    of_status,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from digits_client.connection import Address

    Metadata = tuple[tuple[str, str], ...]

Q = TypeVar("Q")
A = TypeVar("A")


@dataclass(frozen=True)
class Retry:
    """Number and backoff of the retries of a call that may be repeated without harm.

    Repeated are calls whose connection fails for other reasons than TLS, UNAVAILABLE, and RESOURCE_EXHAUSTED with
    a delay. The delay that a service asks for replaces the pause. Each pause is twice as long as the one before; a
    random half of it is left out, so that clients do not come back at once.
    """

    attempts: int = 5
    """Attempts in all; 1 for no retries."""
    first_pause: float = 0.1
    """Seconds after the first attempt."""
    longest_pause: float = 2.0
    """Longest pause in seconds."""


class Attempts:
    """The attempts of one call, up to its deadline."""

    def __init__(self, retry: Retry, timeout: float | None) -> None:
        self._retry = retry
        self.timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self.restart()

    def restart(self) -> None:
        """Begins to count again, after a success."""
        self._made = 0
        self._pause = self._retry.first_pause

    def remaining(self) -> float | None:
        """Seconds until the deadline."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def pause_after(self, error: ServiceError) -> float:
        """Seconds until the next attempt; raises the error if there is none."""
        self._made += 1
        jittered = self._pause * (0.5 + 0.5 * random.random())
        pause = jittered if error.retry_after is None else error.retry_after
        self._pause = min(2 * self._pause, self._retry.longest_pause)
        late = self._deadline is not None and time.monotonic() + pause >= self._deadline
        if late or self._made >= self._retry.attempts or not is_transient(error):
            raise error
        return pause


def is_transient(error: ServiceError) -> bool:
    """Whether the same call may succeed a little later."""
    if isinstance(error, ResourceExhausted):
        return error.retry_after is not None
    return isinstance(error, Unavailable) and not isinstance(error, HandshakeFailed)


def failure(address: Address, error: grpc.RpcError, timeout: float | None) -> ServiceError:
    """The error of a call that failed."""
    # The class that both kinds of channels raise has these methods; grpc.RpcError does not declare them.
    status: Any = error
    converted = of_status(str(address), status.code(), status.details() or "", status.trailing_metadata())
    if isinstance(converted, DeadlineExceeded) and timeout is not None:
        return DeadlineExceeded(str(address), converted.code, f"no answer within {timeout:g} s")
    return converted


def broken(address: Address, reason: str) -> ConnectionFailed:
    """The error of a stream that ended without a status."""
    return ConnectionFailed(str(address), grpc.StatusCode.UNAVAILABLE, reason)


def unserved(address: Address) -> Unavailable:
    """The error of a call that needs the served model, while there is none."""
    return Unavailable(str(address), grpc.StatusCode.UNAVAILABLE, "no checkpoint is served yet")


class Caller:
    """Makes the calls of a blocking client to one service."""

    def __init__(self, address: Address, timeout: float, retry: Retry) -> None:
        self.address = address
        self.timeout = timeout
        self.retry = retry
        self.metadata: Metadata = address.credentials.metadata()
        options = address.options()
        if address.tls:
            self.channel = grpc.secure_channel(address.target, address.credentials.channel_credentials(), options)
        else:
            self.channel = grpc.insecure_channel(address.target, options)

    def once(self, method: Callable[..., A], request: Any, timeout: float | None = None) -> A:
        """Makes a call once."""
        return self._call(method, request, Attempts(Retry(attempts=1), self._time(timeout)))

    def retried(self, method: Callable[..., A], request: Any, timeout: float | None = None) -> A:
        """Makes a call that may arrive more than once."""
        return self._call(method, request, Attempts(self.retry, self._time(timeout)))

    def _time(self, timeout: float | None) -> float:
        return self.timeout if timeout is None else timeout

    def _call(self, method: Callable[..., A], request: Any, attempts: Attempts) -> A:
        while True:
            try:
                return method(request, timeout=attempts.remaining(), metadata=self.metadata)
            except grpc.RpcError as error:
                pause = attempts.pause_after(failure(self.address, error, attempts.timeout))
            time.sleep(pause)

    def close(self) -> None:
        """Closes the connections."""
        self.channel.close()
