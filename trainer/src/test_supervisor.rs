//! The supervisor of the unit tests.

use digits_telemetry::{liveness::Liveness, supervisor::Supervisor};

pub fn supervisor() -> Supervisor {
    Supervisor::new("digits_trainer", Liveness::default())
}
