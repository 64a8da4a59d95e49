"""Where a service is, and the settings of the connections to it."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from importlib.metadata import version

from digits_client.credentials import Credentials

# HOST:PORT, or a target with a resolver of its own, such as unix:PATH.
_TARGET = re.compile(r".:\d+$|.:///.|^unix")
# More than any limit of the services, in bytes; gRPC's own limit for responses is 4 MiB.
_MAX_MESSAGE = 256 << 20
# round_robin uses every replica that the name has. There is no retryPolicy here: gRPC's does not
# read the delay that an overloaded service asks for (google.rpc.RetryInfo), so calls.py repeats.
_SERVICE_CONFIG: dict[str, object] = {"loadBalancingConfig": [{"round_robin": {}}]}
_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.max_receive_message_length", _MAX_MESSAGE),
    ("grpc.max_send_message_length", _MAX_MESSAGE),
    # A silent connection is probed, so that a lost node is noticed. The services accept a ping at
    # any interval.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # The same for the answer to a ping, which gRPC otherwise waits a minute for.
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # gRPC's first pause of 1 s would outlast the attempts of a call, and its longest is 2 minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # After a lost connection the name is resolved again, at most this often; by default 30 s.
    ("grpc.dns_min_time_between_resolutions_ms", 2_000),
    ("grpc.primary_user_agent", f"digits-client-python/{version('digits-client')}"),
)


@dataclass(frozen=True)
class Address:
    """The address of a service."""

    name: str
    """The service, for messages."""
    target: str
    """gRPC's name of it, such as `localhost:50052` or `dns:///digits-inference.digits.svc:50052`."""
    credentials: Credentials
    tls: bool

    @classmethod
    def parse(cls, name: str, address: str | None, credentials: Credentials | None) -> Address:
        """An address as HOST:PORT, http://HOST:PORT, https://HOST:PORT or a target of gRPC.

        Without one the variable of the command line applies (`DIGITS_INFERENCE`, `DIGITS_TRAINER`), else the
        default port on this machine. TLS is used with https, and where the credentials are those of TLS.
        """
        variable, port = {"inference service": ("DIGITS_INFERENCE", 50052), "trainer": ("DIGITS_TRAINER", 50051)}[name]
        given = address if address is not None else os.environ.get(variable) or f"127.0.0.1:{port}"
        chosen = credentials if credentials is not None else Credentials.from_environment()
        for scheme in ("http", "https"):
            if given.startswith(f"{scheme}://"):
                target = given.removeprefix(f"{scheme}://").rstrip("/")
                break
        else:
            scheme, target = ("https" if chosen.tls else "http"), given
        if not _TARGET.search(target):
            raise ValueError(f"{given!r} is not the address of a service: write it like 127.0.0.1:{port}")
        return cls(name, target, chosen, scheme == "https")

    def __str__(self) -> str:
        return f"{self.name} at {self.target}"

    def options(self) -> list[tuple[str, int | str]]:
        """The settings of a channel."""
        addresses = self.target.partition(":")[2]
        if not self.target.startswith(("ipv4:", "ipv6:")):
            return list(_OPTIONS)
        # By default the authority of a request would be the whole list, which is none for a service.
        return [*_OPTIONS, ("grpc.default_authority", addresses.split(",")[0])]
