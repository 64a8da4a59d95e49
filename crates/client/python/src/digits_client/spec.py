"""Makes the spec of a job from keyword arguments."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, cast

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

from digits_client.v1 import training_pb2


class SpecFields(TypedDict, total=False):
    """The fields of `JobSpec` in `digits/v1/training.proto`, which describes them, and two shortcuts.

    A field that is not given takes the preset's value. Messages are dictionaries, such as
    `sgd={"learning_rate": 0.05}`.
    """

    dataset: str
    """Name of the data set: `data.dataset`."""
    hidden: Sequence[int]
    """Widths of the hidden layers: `architecture.hidden.widths`."""
    preset: str
    name: str
    labels: Mapping[str, str]
    model: str
    data: Mapping[str, Any]
    architecture: Mapping[str, Any]
    init_from: str
    sgd: Mapping[str, Any]
    adamw: Mapping[str, Any]
    constant: Mapping[str, Any]
    step: Mapping[str, Any]
    cosine: Mapping[str, Any]
    one_cycle: Mapping[str, Any]
    batch_size: int
    epochs: int
    seed: int
    generator_skip: int
    device: str
    evaluation: Mapping[str, Any]
    publish: Mapping[str, Any]
    promotion: str
    limits: Mapping[str, Any]
    augmentation: Mapping[str, Any]
    regularization: Mapping[str, Any]
    early_stopping: Mapping[str, Any]
    precision: str
    calibrate: bool
    report: bool


def job_spec(base: training_pb2.JobSpec | None, fields: SpecFields) -> training_pb2.JobSpec:
    """A spec with these fields, over those of `base`."""
    spec = training_pb2.JobSpec()
    if base is not None:
        spec.CopyFrom(base)
    named: dict[str, Any] = dict(fields)
    dataset = named.pop("dataset", None)
    hidden = named.pop("hidden", None)
    for name, value in named.items():
        field = spec.DESCRIPTOR.fields_by_name.get(name)
        if field is None:
            close = difflib.get_close_matches(name, SpecFields.__annotations__, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise TypeError(f"a job has no field {name!r}{hint}")
        spec.ClearField(cast(Any, name))
        named[name] = _enum_name(field, value)
    try:
        json_format.ParseDict(named, spec)
    except json_format.ParseError as error:
        raise ValueError(f"the spec cannot be read: {error}") from None
    if dataset is not None:
        spec.data.dataset = dataset
    if hidden is not None:
        spec.architecture.hidden.SetInParent()
        spec.architecture.hidden.widths[:] = hidden
    return spec


def _enum_name(field: FieldDescriptor, value: Any) -> Any:
    """The full name of an enum's value, such as PROMOTION_POLICY_MANUAL for "manual"."""
    if field.enum_type is None or not isinstance(value, str):
        return value
    prefix = field.enum_type.values[0].name.removesuffix("UNSPECIFIED")
    return value if value.startswith(prefix) else f"{prefix}{value.upper()}"
