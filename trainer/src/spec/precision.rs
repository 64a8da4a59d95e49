//! The precision of a spec: whether there is such a one, whether its device has it, and what it means for the training.

use super::Violations;
use crate::train;
use digits_proto::v1::{JobSpec, Precision};

const FIELD: &str = "precision";
const CPU: &str = "cpu";

/// Checks that it is one.
pub(super) fn check(spec: &JobSpec, found: &mut Violations) {
    if Precision::try_from(spec.precision).is_err() {
        found.push(FIELD, "is not known: use FLOAT32, TF32 or BFLOAT16");
    }
}

/// Checks that the device has it, which the spec's own means here.
pub(super) fn check_on(device: &str, spec: &JobSpec, found: &mut Violations) {
    if device != CPU || spec.precision() != Precision::Tf32 {
        return;
    }
    let why = match spec.device.as_deref() {
        Some(CPU) => "",
        _ => ", as there is no GPU here",
    };
    found.push(
        FIELD,
        format!(
            "is TF32, which a GPU computes, and the job would run on the CPU{why}: use FLOAT32 or BFLOAT16, or set device \
             to a GPU"
        ),
    );
}

/// What a filled and checked one means.
pub(super) fn plan(spec: &JobSpec) -> train::Precision {
    match spec.precision() {
        Precision::Tf32 => train::Precision::Tf32,
        Precision::Bfloat16 => train::Precision::Bfloat16,
        Precision::Float32 | Precision::Unspecified => train::Precision::Float32,
    }
}
