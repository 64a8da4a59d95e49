//! How many threads libtorch computes with.
//!
//! The thread pool waits by spinning unless the process was started with passive waiting; on a machine
//! whose cores are busy a step of a small network then takes a hundred times as long. So a second thread
//! is used only where a step is long enough to gain by it and the environment says that waiting is passive.

use super::{Device, Plan};

/// Multiply-adds of a step's forward pass from which several threads are worth their waiting.
const LARGE_STEP: usize = 32_000_000;

/// Cores that this process may use.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Threads for a step of `plan` on a network with that many parameters.
pub(super) fn count(plan: &Plan, parameters: usize) -> usize {
    let large = parameters.saturating_mul(plan.batch_size) >= LARGE_STEP;
    if plan.device == Device::Cpu && large && waits_passively(&|name| std::env::var(name).ok()) {
        cores().min(plan.threads_at_most).max(1)
    } else {
        1
    }
}

/// Whether the environment tells the OpenMP runtime not to spin.
fn waits_passively(variable: &dyn Fn(&str) -> Option<String>) -> bool {
    variable("OMP_WAIT_POLICY").is_some_and(|value| value.trim().eq_ignore_ascii_case("passive"))
        || variable("GOMP_SPINCOUNT").is_some_and(|value| value.trim() == "0")
}

/// Sets the number for this thread; before its first operation.
pub(super) fn set(threads: usize) {
    tch::set_num_threads(i32::try_from(threads).unwrap_or(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passive_waiting() {
        for (name, value, expected) in [
            ("OMP_WAIT_POLICY", "passive", true),
            ("OMP_WAIT_POLICY", "PASSIVE", true),
            ("OMP_WAIT_POLICY", "active", false),
            ("GOMP_SPINCOUNT", "0", true),
            ("GOMP_SPINCOUNT", "100", false),
            ("OTHER", "passive", false),
        ] {
            let variable = |asked: &str| (asked == name).then(|| value.to_owned());
            assert_eq!(waits_passively(&variable), expected, "{name}={value}");
        }
    }
}
