//! What the contract has and this version does not: refused by field, never ignored in silence.

use super::Violations;
use digits_proto::v1::{JobSpec, Precision};

/// What such a field's message begins with.
pub(super) const LATER: &str = "is not available in this version";

/// Refuses every part of a filled spec that this version cannot carry out.
pub(super) fn refuse(spec: &JobSpec, found: &mut Violations) {
    let mut unless = |asked: bool, field: &str, remedy: &str| {
        if asked {
            found.push(field, format!("{LATER}: {remedy}"));
        }
    };
    let terms = spec.regularization.unwrap_or_default();
    for (name, value) in [
        ("label_smoothing", terms.label_smoothing),
        ("dropout", terms.dropout),
        ("ema_decay", terms.ema_decay),
        ("max_gradient_norm", terms.max_gradient_norm),
    ] {
        // 0 is none of it.
        unless(
            value.is_some_and(|value| value != 0.0),
            &format!("regularization.{name}"),
            "leave it unset or 0",
        );
    }
    unless(
        spec.early_stopping.is_some(),
        "early_stopping",
        "leave it unset",
    );
    unless(
        Precision::try_from(spec.precision) != Ok(Precision::Float32),
        "precision",
        "use FLOAT32",
    );
    unless(
        spec.calibrate == Some(true),
        "calibrate",
        "leave it unset or false",
    );
}
