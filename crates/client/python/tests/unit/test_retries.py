"""Deadlines, retries, errors and load balancing of calls."""

import grpc
import pytest
from conftest import abort, answer, retry_info
from google.rpc import error_details_pb2

from digits_client import (
    Client,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidArgument,
    ResourceExhausted,
    Retry,
    ServiceError,
    Unavailable,
    Violation,
)
from digits_client.calls import Attempts
from digits_client.v1 import inference_pb2, inference_pb2_grpc

QUICK = Retry(first_pause=0.001, longest_pause=0.002)


class Failing(inference_pb2_grpc.InferenceServiceServicer):
    """Fails a number of times, then answers."""

    def __init__(self, failures, code, *details):
        self.failures, self.code, self.details = failures, code, details
        self.calls = 0
        self.metadata = {}

    def Predict(self, request, context):
        self.calls += 1
        self.metadata = dict(context.invocation_metadata())
        if self.calls <= self.failures:
            abort(context, self.code, "no", *self.details)
        return answer(7, 1)

    def ReportOutcome(self, request, context):
        self.calls += 1
        abort(context, self.code, "no", *self.details)


def test_transient_failures_are_repeated(serve):
    for code, details in [
        (grpc.StatusCode.UNAVAILABLE, []),
        (grpc.StatusCode.UNAVAILABLE, [retry_info(0.001)]),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, [retry_info(0.001)]),
    ]:
        service = Failing(4, code, *details)
        with Client(serve(service), retry=QUICK) as client:
            assert client.predict(b"picture").label == "7"
        assert service.calls == 5


def test_other_failures_are_not(serve):
    for code, error in [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, ResourceExhausted),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidArgument),
        (grpc.StatusCode.DATA_LOSS, ServiceError),
    ]:
        service = Failing(1, code)
        with Client(serve(service), retry=QUICK) as client, pytest.raises(error) as raised:
            client.predict(b"picture")
        assert service.calls == 1
        assert type(raised.value) is error and raised.value.code is code


def test_attempts_end_with_the_policy_or_the_deadline(serve):
    service = Failing(100, grpc.StatusCode.UNAVAILABLE)
    address = serve(service)
    with Client(address, retry=QUICK) as client, pytest.raises(Unavailable, match="no"):
        client.predict(b"picture")
    assert service.calls == 5
    # The service asks for more time than there is.
    service.calls, service.details = 0, [retry_info(100)]
    with Client(address) as client, pytest.raises(Unavailable):
        client.predict(b"picture", timeout=50)
    assert service.calls == 1


def test_the_delay_that_a_service_asks_for_replaces_the_pause():
    attempts = Attempts(Retry(), timeout=60)
    error = ResourceExhausted("service", grpc.StatusCode.RESOURCE_EXHAUSTED, "full", retry_after=2.5)
    assert attempts.pause_after(error) == 2.5
    # Twice the first pause by then, less a random half of it.
    error = Unavailable("service", grpc.StatusCode.UNAVAILABLE, "gone")
    assert 0.1 <= attempts.pause_after(error) <= 0.2


def test_an_outcome_is_reported_once(serve):
    service = Failing(0, grpc.StatusCode.UNAVAILABLE)
    with Client(serve(service), retry=QUICK) as client:
        prediction = client.predict(b"picture")
        service.calls = 0
        with pytest.raises(Unavailable):
            client.report_outcome(prediction, 7)
    assert service.calls == 1


def test_the_service_learns_the_deadline(serve):
    class Slow(Failing):
        def Predict(self, request, context):
            assert 0 < context.time_remaining() < 60
            abort(context, grpc.StatusCode.DEADLINE_EXCEEDED, "too late")

    with Client(serve(Slow(0, None)), timeout=45) as client:
        with pytest.raises(DeadlineExceeded, match="no answer within 45 s") as raised:
            client.predict(b"picture")
        assert isinstance(raised.value, TimeoutError)


def test_an_error_has_the_message_and_the_fields(serve):
    violation = error_details_pb2.BadRequest.FieldViolation(field="pixels", description="too few")
    details = error_details_pb2.BadRequest(field_violations=[violation])
    address = serve(Failing(1, grpc.StatusCode.INVALID_ARGUMENT, details))
    with Client(address) as client, pytest.raises(InvalidArgument) as raised:
        client.predict(b"picture")
    assert str(raised.value) == f"inference service at {address}: no"
    assert raised.value.violations == (Violation("pixels", "too few"),)


def test_a_failed_connection_differs_from_an_unavailable_service(serve):
    retry = Retry(attempts=1)
    with Client("127.0.0.1:1", retry=retry) as client, pytest.raises(ConnectionFailed, match="127.0.0.1:1"):
        client.predict(b"picture")
    address = serve(Failing(1, grpc.StatusCode.UNAVAILABLE))
    with Client(address, retry=retry) as client, pytest.raises(Unavailable) as raised:
        client.predict(b"picture")
    assert type(raised.value) is Unavailable


def test_calls_use_every_replica_and_leave_a_lost_one(serve):
    replicas = [Failing(0, None), Failing(0, None)]
    addresses = [serve(replica) for replica in replicas]
    # Nothing listens at the third.
    with Client(f"ipv4:{','.join(addresses)},127.0.0.1:1") as client:
        # A connection can be up before the other.
        for _ in range(1000):
            assert client.predict(b"picture").label == "7"
            if all(replica.calls for replica in replicas):
                return
    pytest.fail("a replica got no call")


def test_the_token_is_sent_and_not_shown(serve):
    from digits_client import Credentials

    service = Failing(0, None)
    credentials = Credentials(token=" s3cret.~\n")
    with Client(serve(service), credentials=credentials) as client:
        client.predict(b"picture")
        assert "s3cret" not in repr(credentials) + repr(client)
    assert service.metadata["authorization"] == "Bearer s3cret.~"
    for token in ["", "two s3cret", "s3cr\u00e9t"]:
        with pytest.raises(ValueError, match="token"):
            Client("127.0.0.1:1", credentials=Credentials(token=token))


def test_addresses_are_those_of_the_command_line_and_of_grpc(monkeypatch):
    for given, shown in [
        ("localhost:1", "localhost:1"),
        ("http://localhost:1/", "localhost:1"),
        ("https://[::1]:1", "[::1]:1"),
        ("dns:///digits.svc:1", "dns:///digits.svc:1"),
        (None, "127.0.0.1:50052"),
    ]:
        assert repr(Client(given)) == f"<Client of the inference service at {shown}>"
    monkeypatch.setenv("DIGITS_INFERENCE", "http://elsewhere:2")
    assert "at elsewhere:2>" in repr(Client())
    for given in ["", "localhost", "http://", "http://localhost"]:
        with pytest.raises(ValueError, match="write it like 127.0.0.1:50052"):
            Client(given)


def test_arrays_wait_for_the_first_checkpoint(serve):
    class Starting(Failing):
        def GetModel(self, request, context):
            self.calls += 1
            model = inference_pb2.GetModelResponse()
            if self.calls > 2:
                model.served.add().checkpoint.input.height = 1
                model.served[0].checkpoint.input.width = 2
            return model

    service = Starting(0, None)
    with Client(serve(service), retry=QUICK) as client:
        assert client.predict([0, 255]).label == "7"
        assert service.calls == 4
        client.predict([0, 255])
        assert service.calls == 5, "the size is kept"
