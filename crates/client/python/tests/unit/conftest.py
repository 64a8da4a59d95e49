"""Scripted services on free ports of loopback, for what the real ones do rarely."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from digits_client.v1 import inference_pb2, inference_pb2_grpc, sweep_pb2_grpc, training_pb2_grpc

Serve = Callable[[Any], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a service; returns its address."""
    servers = []

    def start(servicer: Any) -> str:
        server = grpc.server(futures.ThreadPoolExecutor(8))
        if isinstance(servicer, inference_pb2_grpc.InferenceServiceServicer):
            inference_pb2_grpc.add_InferenceServiceServicer_to_server(servicer, server)
        elif isinstance(servicer, sweep_pb2_grpc.SweepServiceServicer):
            sweep_pb2_grpc.add_SweepServiceServicer_to_server(servicer, server)
        else:
            training_pb2_grpc.add_TrainingServiceServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(None)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests do not depend on the variables of the command line."""
    for name in ("DIGITS_INFERENCE", "DIGITS_TRAINER", "DIGITS_CLIENT_TOKEN_FILE", "DIGITS_TLS_CA_FILE"):
        monkeypatch.delenv(name, raising=False)


def answer(label: int, count: int = 1) -> inference_pb2.PredictResponse:
    """A response whose images all have one label."""
    prediction = inference_pb2.Prediction(
        label_index=label, label=str(label), probabilities=[0.1] * 10, verdict=inference_pb2.VERDICT_LABEL
    )
    return inference_pb2.PredictResponse(
        predictions=[prediction] * count, served_by=inference_pb2.ServedBy(model="digits", sequence=3)
    )


def abort(context: grpc.ServicerContext, code: grpc.StatusCode, message: str, *details: Any) -> None:
    """Ends a call with a status and its details, as the services do."""
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    number = code_pb2.Code.Value(code.name)
    status = status_pb2.Status(code=number, message=message, details=packed)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()), ("date", "now")))
    context.abort(code, message)


def retry_info(seconds: float) -> error_details_pb2.RetryInfo:
    """The delay after which a client may try again."""
    delay = duration_pb2.Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
    return error_details_pb2.RetryInfo(retry_delay=delay)
