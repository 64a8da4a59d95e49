"""The services of an end-to-end test, which has set the variables of the command line."""

import os

import pytest

from digits_client import Client, Trainer

SECURED = "DIGITS_TLS_CA_FILE" in os.environ
collect_ignore = ["test_predictions.py", "test_jobs.py", "test_docs.py"] if SECURED else ["test_secured.py"]


def pytest_collection_modifyitems(items):
    if "DIGITS_INFERENCE" not in os.environ:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="no service: the end-to-end tests run these with DIGITS_INFERENCE"))


@pytest.fixture
def client():
    with Client() as client:
        yield client


@pytest.fixture
def trainer():
    with Trainer() as trainer:
        yield trainer
