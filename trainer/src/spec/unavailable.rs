//! What the contract has and this version does not: refused by field, never ignored in silence.

use super::Violations;
use digits_proto::v1::{JobSpec, Precision};

/// What such a field's message begins with.
const LATER: &str = "is not available in this version";

/// Refuses every part of a filled spec that this version cannot carry out.
pub(super) fn refuse(spec: &JobSpec, found: &mut Violations) {
    let mut unless = |asked: bool, field: &str, remedy: &str| {
        if asked {
            found.push(field, format!("{LATER}: {remedy}"));
        }
    };
    unless(
        Precision::try_from(spec.precision) != Ok(Precision::Float32),
        "precision",
        "use FLOAT32",
    );
}
