//! TF32 for the matrix products of one training, while other trainings of the process use float32.
//!
//! On GPUs since Ampere a product of float32 matrices can read them as TF32, with 11 significant
//! bits; sums stay float32. libtorch has one switch for the process, which it reads when it
//! launches a product. The switch is on only while a training with TF32 launches a pass. Trainings
//! that launch products on a GPU meanwhile wait for these launches, not for the GPU. Trainings in
//! float32 do not wait for each other.
//!
//! The plan decides; the environment variable `TORCH_ALLOW_TF32_CUBLAS_OVERRIDE` has no effect.

use super::Precision;
use std::sync::{Once, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Write-locked while the switch is on, read-locked by those who need it off.
static SWITCH: RwLock<()> = RwLock::new(());
/// Switches it off once, whatever its initial state.
static OFF: Once = Once::new();

#[allow(unsafe_code)] // The two functions of shim/tf32.cpp: no pointers, no state but libtorch's, and nothing is thrown.
mod libtorch {
    unsafe extern "C" {
        pub(super) safe fn digits_allow_tf32(allowed: bool);
        #[cfg(test)]
        pub(super) safe fn digits_tf32_allowed() -> bool;
    }
}

/// While it lives, products that this thread launches have the requested precision.
#[must_use]
pub(super) struct Tf32Scope {
    part: Part,
}

enum Part {
    /// The CPU has no TF32.
    Cpu,
    Float32 {
        _shared: RwLockReadGuard<'static, ()>,
    },
    Tf32 {
        _exclusive: RwLockWriteGuard<'static, ()>,
    },
}

impl Drop for Tf32Scope {
    fn drop(&mut self) {
        // The lock is released after this, so the next holder finds the switch off.
        if matches!(self.part, Part::Tf32 { .. }) {
            libtorch::digits_allow_tf32(false);
        }
    }
}

/// Waits until products with this precision can be launched on the device. Deadlocks if the thread
/// holds a scope.
pub(super) fn scope(precision: Precision, device: tch::Device) -> Tf32Scope {
    let part = if !matches!(device, tch::Device::Cuda(_)) {
        Part::Cpu
    } else if precision == Precision::Tf32 {
        // A poisoned lock is fine: a pass that panicked switched it off.
        let exclusive = SWITCH.write().unwrap_or_else(PoisonError::into_inner);
        libtorch::digits_allow_tf32(true);
        Part::Tf32 {
            _exclusive: exclusive,
        }
    } else {
        let guard = SWITCH.read().unwrap_or_else(PoisonError::into_inner);
        OFF.call_once(|| libtorch::digits_allow_tf32(false));
        Part::Float32 { _shared: guard }
    };
    Tf32Scope { part }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const GPU: tch::Device = tch::Device::Cuda(0);

    /// Needs no GPU: the switch is libtorch's, and nothing is launched.
    #[test]
    fn the_switch_has_the_precision_of_each_training() {
        let precisions = [
            Precision::Tf32,
            Precision::Float32,
            Precision::Tf32,
            Precision::Bfloat16,
        ];
        thread::scope(|threads| {
            for precision in precisions {
                threads.spawn(move || {
                    for _ in 0..2_000 {
                        let held = scope(precision, GPU);
                        for _ in 0..3 {
                            let on = libtorch::digits_tf32_allowed();
                            assert_eq!(on, precision == Precision::Tf32, "{precision:?}");
                            thread::yield_now();
                        }
                        drop(held);
                    }
                });
            }
        });
        let _float32 = scope(Precision::Float32, GPU);
        assert!(!libtorch::digits_tf32_allowed(), "it is off afterwards");
        // Other float32 scopes, and any scope on the CPU, do not wait.
        let _others = [
            scope(Precision::Float32, tch::Device::Cuda(1)),
            scope(Precision::Tf32, tch::Device::Cpu),
        ];
        assert!(!libtorch::digits_tf32_allowed());
    }
}
