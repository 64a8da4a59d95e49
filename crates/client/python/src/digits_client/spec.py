"""Makes the specs of jobs and sweeps from Python's values."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypedDict, cast

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

from digits_client.v1 import sweep_pb2, training_pb2

# Values of a field of a sweep, or the range that a random search draws from, such as
# {"low": 0.001, "high": 0.1, "log": True}.
Parameter: TypeAlias = "Sequence[object] | Mapping[str, Any]"


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


def sweep_spec(
    parameters: Mapping[str, Parameter],
    job: training_pb2.JobSpec,
    seeds: int,
    random: int | Mapping[str, int] | None,
    halving: bool | Mapping[str, int],
) -> sweep_pb2.SweepSpec:
    """A sweep of a job's spec over these fields."""
    spec = sweep_pb2.SweepSpec(job=job, seeds=seeds)
    for field, values in parameters.items():
        if isinstance(values, Mapping):
            spec.parameters.add(field=field, range=sweep_pb2.SweepRange(**values))
        else:
            spec.parameters.add(field=field, values=[_value_text(value) for value in values])
    if random is not None:
        drawn = {"configurations": random} if isinstance(random, int) else random
        spec.random.CopyFrom(sweep_pb2.RandomSearch(**drawn))
    if halving is not False:
        spec.halving.CopyFrom(sweep_pb2.SuccessiveHalving(**({} if halving is True else halving)))
    return spec


def _value_text(value: object) -> str:
    """A value as a sweep takes it: widths are joined by "-"."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "-".join(str(width) for width in value) or "none"
    return str(value)


def _enum_name(field: FieldDescriptor, value: Any) -> Any:
    """The full name of an enum's value, such as PROMOTION_POLICY_MANUAL for "manual"."""
    if field.enum_type is None or not isinstance(value, str):
        return value
    prefix = field.enum_type.values[0].name.removesuffix("UNSPECIFIED")
    return value if value.startswith(prefix) else f"{prefix}{value.upper()}"
