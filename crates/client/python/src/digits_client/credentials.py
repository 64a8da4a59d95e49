"""Credentials of a client: trusted authorities, a client certificate and a bearer token."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import grpc

# A character of a bearer token: RFC 6750, section 2.1.
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/=]+")


@dataclass(frozen=True)
class Credentials:
    """What a client trusts and presents. Files are PEM; each is given by its path or its content.

    The variables of the command line apply where nothing is given: `DIGITS_TLS_CA_FILE`,
    `DIGITS_TLS_CLIENT_CERTIFICATE_FILE`, `DIGITS_TLS_CLIENT_KEY_FILE`, `DIGITS_CLIENT_TOKEN_FILE`.
    """

    ca: str | os.PathLike[str] | bytes | None = None
    """Authorities to trust instead of the public ones."""
    certificate: str | os.PathLike[str] | bytes | None = None
    """Certificate chain for services that require one."""
    key: str | os.PathLike[str] | bytes | None = field(default=None, repr=False)
    """Private key of the certificate, not encrypted."""
    token: str | None = field(default=None, repr=False)
    """Bearer token, sent with each request."""

    @classmethod
    def from_environment(cls) -> Credentials:
        """The credentials that the variables name."""
        token_file = os.environ.get("DIGITS_CLIENT_TOKEN_FILE")
        return cls(
            ca=os.environ.get("DIGITS_TLS_CA_FILE"),
            certificate=os.environ.get("DIGITS_TLS_CLIENT_CERTIFICATE_FILE"),
            key=os.environ.get("DIGITS_TLS_CLIENT_KEY_FILE"),
            token=Path(token_file).read_text(encoding="utf-8-sig") if token_file else None,
        )

    @property
    def tls(self) -> bool:
        """Whether there is anything that only a TLS connection uses."""
        return self.ca is not None or self.certificate is not None or self.key is not None

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """The settings of a TLS connection."""
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a client certificate and its key go together: give both, certificate and key")
        return grpc.ssl_channel_credentials(
            root_certificates=_pem("ca", self.ca, "CERTIFICATE"),
            private_key=_pem("key", self.key, "PRIVATE KEY"),
            certificate_chain=_pem("certificate", self.certificate, "CERTIFICATE"),
        )

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The header with the token."""
        if self.token is None:
            return ()
        token = self.token.strip()
        if not _TOKEN.fullmatch(token):
            raise ValueError("token must be one bearer token and nothing else")
        return (("authorization", f"Bearer {token}"),)


def _pem(name: str, source: str | os.PathLike[str] | bytes | None, kind: str) -> bytes | None:
    if source is None:
        return None
    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    if b"ENCRYPTED" in content:
        raise ValueError(f"{name} is encrypted: decrypt it with `openssl pkey -in FILE -out PLAIN_FILE`")
    if f"{kind}-----".encode() not in content:
        raise ValueError(f"{name} has no {kind.lower()} in PEM")
    return content.removeprefix(b"\xef\xbb\xbf")
