//! The number of libtorch's intra-op threads.
//!
//! The OpenMP thread pool spins while it waits, unless the process was started with passive
//! waiting. On a machine with busy cores a step of a small network then takes a hundred times as
//! long. So more than one thread is used only if a step is long enough and waiting is passive.

use super::{Device, Plan};

/// Multiply-adds of a step's forward pass from which several threads are faster.
const LARGE_STEP: usize = 32_000_000;

/// Cores available to this process.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Threads for a plan on a network with `parameters` parameters.
pub(super) fn count(plan: &Plan, parameters: usize) -> usize {
    let large = parameters.saturating_mul(plan.batch_size) >= LARGE_STEP;
    if plan.device == Device::Cpu && large && waits_passively(&|name| std::env::var(name).ok()) {
        cores().min(plan.max_threads).max(1)
    } else {
        1
    }
}

/// Whether the environment configures the OpenMP runtime not to spin.
fn waits_passively(variable: &dyn Fn(&str) -> Option<String>) -> bool {
    variable("OMP_WAIT_POLICY").is_some_and(|value| value.trim().eq_ignore_ascii_case("passive"))
        || variable("GOMP_SPINCOUNT").is_some_and(|value| value.trim() == "0")
}

/// Sets the number for this thread; must come before its first operation.
pub(super) fn set(threads: usize) {
    tch::set_num_threads(i32::try_from(threads).unwrap_or(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passive_waiting_is_read_from_the_environment() {
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
