"""Calls: one deadline over all attempts, and retries with backoff."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable, Generator
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
    from digits_client.connection import Address

    Metadata = tuple[tuple[str, str], ...]

A = TypeVar("A")
R = TypeVar("R")


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


ONCE = Retry(attempts=1)
_PATIENT = Retry(sys.maxsize, longest_pause=5.0)


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


@dataclass(frozen=True)
class Call:
    """A step of an operation: a call to be made."""

    method: Callable[..., Any]
    request: Any
    retry: Retry | None = None
    """The client's if it is None."""
    timeout: float | None = None
    """Likewise."""


@dataclass(frozen=True)
class Pause:
    """A step of an operation: some time without a call."""

    seconds: float


# What a client does, written once for blocking and asyncio clients: it yields calls, receives their
# responses, and returns a result.
Operation = Generator[Call | Pause, Any, R]


def retried(method: Callable[..., A], request: Any) -> Operation[A]:
    """A call that may arrive more than once."""
    response: A = yield Call(method, request)
    return response


def once(method: Callable[..., A], request: Any) -> Operation[A]:
    """A call that is made once."""
    response: A = yield Call(method, request, ONCE)
    return response


def patiently(method: Callable[..., A], request: Any, patience: float) -> Operation[A]:
    """A call that is repeated for `patience` seconds while the service is away."""
    response: A = yield Call(method, request, _PATIENT, patience)
    return response


class _Connection:
    """Where and how the calls of a client are made."""

    def __init__(self, address: Address, timeout: float, retry: Retry) -> None:
        self.address = address
        self.timeout = timeout
        self.retry = retry
        self.metadata: Metadata = address.credentials.metadata()

    def attempts(self, call: Call) -> Attempts:
        """The attempts of a call."""
        timeout = self.timeout if call.timeout is None else call.timeout
        return Attempts(self.retry if call.retry is None else call.retry, timeout)


class Caller(_Connection):
    """Makes the calls of a blocking client to one service."""

    def __init__(self, address: Address, timeout: float, retry: Retry) -> None:
        super().__init__(address, timeout, retry)
        options = address.options()
        if address.tls:
            self.channel = grpc.secure_channel(address.target, address.credentials.channel_credentials(), options)
        else:
            self.channel = grpc.insecure_channel(address.target, options)

    def once(self, method: Callable[..., A], request: Any, timeout: float | None = None) -> A:
        """Makes a call once."""
        response: A = self._call(Call(method, request, ONCE, timeout))
        return response

    def retried(self, method: Callable[..., A], request: Any, timeout: float | None = None) -> A:
        """Makes a call that may arrive more than once."""
        response: A = self._call(Call(method, request, timeout=timeout))
        return response

    def run(self, operation: Operation[R]) -> R:
        """Takes the steps of an operation; returns its result."""
        response = None
        while True:
            try:
                step = operation.send(response)
            except StopIteration as end:
                result: R = end.value
                return result
            if isinstance(step, Pause):
                time.sleep(step.seconds)
            else:
                response = self._call(step)

    def _call(self, call: Call) -> Any:
        attempts = self.attempts(call)
        while True:
            try:
                return call.method(call.request, timeout=attempts.remaining(), metadata=self.metadata)
            except grpc.RpcError as error:
                pause = attempts.pause_after(failure(self.address, error, attempts.timeout))
            time.sleep(pause)

    def close(self) -> None:
        """Closes the connections."""
        self.channel.close()


class AsyncCaller(_Connection):
    """Makes the calls of an asyncio client to one service."""

    def __init__(self, address: Address, timeout: float, retry: Retry) -> None:
        super().__init__(address, timeout, retry)
        # Opened by the first call, because a channel belongs to the event loop that runs then.
        self._channel: grpc.aio.Channel | None = None

    @property
    def channel(self) -> Any:
        """The channel; its stubs have the methods of blocking ones, to be awaited."""
        if self._channel is None:
            address, options = self.address, self.address.options()
            if address.tls:
                credentials = address.credentials.channel_credentials()
                self._channel = grpc.aio.secure_channel(address.target, credentials, options)
            else:
                self._channel = grpc.aio.insecure_channel(address.target, options)
        return self._channel

    async def once(self, method: Any, request: Any, timeout: float | None = None) -> Any:
        """Makes a call once."""
        return await self._call(Call(method, request, ONCE, timeout))

    async def retried(self, method: Any, request: Any, timeout: float | None = None) -> Any:
        """Makes a call that may arrive more than once."""
        return await self._call(Call(method, request, timeout=timeout))

    async def run(self, operation: Operation[R]) -> R:
        """Takes the steps of an operation; returns its result."""
        response = None
        while True:
            try:
                step = operation.send(response)
            except StopIteration as end:
                result: R = end.value
                return result
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
            else:
                response = await self._call(step)

    async def _call(self, call: Call) -> Any:
        attempts = self.attempts(call)
        while True:
            try:
                return await call.method(call.request, timeout=attempts.remaining(), metadata=self.metadata)
            except grpc.aio.AioRpcError as error:
                pause = attempts.pause_after(failure(self.address, error, attempts.timeout))
            await asyncio.sleep(pause)

    async def close(self) -> None:
        """Closes the connections; a further call opens new ones."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None
