"""Services with TLS and tokens; the inference service also requires a client certificate."""

import asyncio
import os
import pathlib
import re

import pytest

from digits_client import AsyncClient, Client, ConnectionFailed, Credentials, HandshakeFailed, Trainer, Unauthenticated

NONE = Credentials()


def environment():
    return Credentials.from_environment()


def test_the_variables_of_the_command_line_apply():
    with Client() as client, Trainer() as trainer:
        assert client.model().served and trainer.jobs()

    async def model():
        async with AsyncClient() as client:
            return await client.model()

    assert asyncio.run(model()).served


def test_credentials_are_paths_or_contents():
    given = environment()
    for credentials in [
        Credentials(given.ca, given.certificate, given.key, given.token),
        Credentials(*(open(path, "rb").read() for path in (given.ca, given.certificate, given.key)), given.token),
    ]:
        address = os.environ["DIGITS_INFERENCE"].removeprefix("https://")
        with Client(address, credentials=credentials) as client:
            assert client.model().served


def test_the_code_of_the_documentation_runs():
    docs = pathlib.Path(__file__).resolve().parents[5] / "docs" / "clients.md"
    blocks = re.findall(r"```python\n(.*?)```", docs.read_text(), re.S)
    (code,) = [block for block in blocks if "example.com" in block]
    for written, variable in [
        ("https://digits.example.com:50052", "DIGITS_INFERENCE"),
        ("ca.crt", "DIGITS_TLS_CA_FILE"),
        ("client.crt", "DIGITS_TLS_CLIENT_CERTIFICATE_FILE"),
        ("client.key", "DIGITS_TLS_CLIENT_KEY_FILE"),
        ('Path("token")', "DIGITS_CLIENT_TOKEN_FILE"),
    ]:
        value = os.environ[variable]
        code = code.replace(written, f"Path({value!r})" if written.startswith("Path") else value)
    exec(compile(f"{code}\nassert client.model().served", str(docs), "exec"), {})


def test_a_missing_token_is_an_error():
    ca = environment().ca
    with Trainer(credentials=Credentials(ca=ca)) as trainer, pytest.raises(Unauthenticated, match="needs a token"):
        trainer.jobs()
    with Trainer(credentials=Credentials(ca=ca, token="wrong")) as trainer:
        with pytest.raises(Unauthenticated, match="does not know the token"):
            trainer.jobs()
        with pytest.raises(Unauthenticated):
            list(trainer.job("any").events())


def test_certificates_that_do_not_fit_are_an_error():
    with Trainer(credentials=NONE) as trainer, pytest.raises(HandshakeFailed, match="CERTIFICATE_VERIFY_FAILED"):
        trainer.jobs()
    credentials = Credentials(ca=environment().ca, token=environment().token)
    with Client(credentials=credentials) as client, pytest.raises(ConnectionFailed):
        client.model()
    plain = os.environ["DIGITS_TRAINER"].replace("https://", "http://")
    with Trainer(plain, credentials=NONE) as trainer, pytest.raises(ConnectionFailed):
        trainer.jobs()


def test_files_that_do_not_hold_what_they_should_are_refused():
    given = environment()
    for credentials, part in [
        (Credentials(ca=given.key), "ca has no certificate in PEM"),
        (Credentials(certificate=given.certificate), "give both"),
        (Credentials(certificate=given.certificate, key=given.certificate), "key has no private key in PEM"),
        (Credentials(ca=b"-----BEGIN ENCRYPTED PRIVATE KEY-----"), "openssl pkey"),
    ]:
        with pytest.raises(ValueError, match=part):
            Client("https://localhost:1", credentials=credentials)
