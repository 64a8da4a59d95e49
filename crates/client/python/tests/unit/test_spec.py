"""Specs of jobs from keyword arguments."""

import pytest

from digits_client.spec import SpecFields, job_spec
from digits_client.v1 import training_pb2


def test_every_field_of_a_spec_is_a_keyword():
    fields = {field.name for field in training_pb2.JobSpec.DESCRIPTOR.fields}
    assert SpecFields.__annotations__.keys() == fields | {"dataset", "hidden"}


def test_keywords_become_fields_over_those_of_a_spec():
    spec = job_spec(
        training_pb2.JobSpec(preset="notebook", seed=3, sgd=training_pb2.Sgd(momentum=0.5)),
        {
            "preset": "fast",
            "epochs": 3,
            "hidden": [128, 64],
            "dataset": "letters",
            "adamw": {"learning_rate": 0.01},
            "promotion": "if_better",
            "precision": "PRECISION_BFLOAT16",
            "constant": {},
            "limits": {"deadline": "60s"},
        },
    )
    assert (spec.preset, spec.epochs, spec.seed) == ("fast", 3, 3)
    assert list(spec.architecture.hidden.widths) == [128, 64]
    assert spec.data.dataset == "letters"
    assert spec.WhichOneof("optimizer") == "adamw" and spec.adamw.learning_rate == 0.01
    assert spec.WhichOneof("schedule") == "constant"
    assert spec.promotion == training_pb2.PROMOTION_POLICY_IF_BETTER
    assert spec.precision == training_pb2.PRECISION_BFLOAT16
    assert spec.limits.deadline.seconds == 60
    # A linear classifier differs from the preset's layers.
    assert job_spec(None, {"hidden": []}).architecture.HasField("hidden")


def test_unknown_fields_are_named():
    with pytest.raises(TypeError, match="no field 'epoch'; did you mean 'epochs'"):
        job_spec(None, {"epoch": 3})
    with pytest.raises(ValueError, match='no field named "rate"'):
        job_spec(None, {"sgd": {"rate": 1}})
    with pytest.raises(ValueError, match="PROMOTION_POLICY_NEVER"):
        job_spec(None, {"promotion": "never"})
