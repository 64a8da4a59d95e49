"""The generated modules are those that the protos give."""

import sys

import generate
import pytest


@pytest.fixture(autouse=True)
def check(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])


def test_the_stubs_are_current():
    generate.main()


def test_a_changed_proto_makes_them_stale(monkeypatch, tmp_path):
    protos = tmp_path / "digits" / "v1"
    protos.mkdir(parents=True)
    for proto in generate.PROTO.glob("digits/v1/*.proto"):
        text = proto.read_text().replace("message Box {", "message Box {\n  uint32 depth = 5;")
        (protos / proto.name).write_text(text)
    monkeypatch.setattr(generate, "PROTO", tmp_path)
    with pytest.raises(SystemExit, match="inference_pb2.py, inference_pb2.pyi: not what the protos give"):
        generate.main()
