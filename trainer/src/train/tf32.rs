//! TF32 in the products of one training and not of the others beside it.
//!
//! On a GPU of the generation Ampere or newer a product of float32 matrices can read them as TF32, with 11 significant
//! bits; its sums stay float32. libtorch has one switch for the whole process, which it reads when it launches a
//! product. So the switch is on only while a training with TF32 launches its own, and whoever launches products
//! on a GPU meanwhile waits: for the launches of a pass, not for the GPU. Trainings in float32 do not wait for each other.
//!
//! What the environment says (`TORCH_ALLOW_TF32_CUBLAS_OVERRIDE`) does not count: a plan says what it wants.

use super::Precision;
use std::sync::{Once, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Written by whoever has the switch on, read by whoever needs it off.
static SWITCH: RwLock<()> = RwLock::new(());
/// Off whatever it was when the process started.
static OFF: Once = Once::new();

#[allow(unsafe_code)] // The two functions of shim/tf32.cpp: no pointers, no state but libtorch's, and nothing is thrown.
mod libtorch {
    unsafe extern "C" {
        pub(super) safe fn digits_allow_tf32(allowed: bool);
        #[cfg(test)]
        pub(super) safe fn digits_tf32_allowed() -> bool;
    }
}

/// Products that are launched on this thread while it lives are computed as was asked for.
#[must_use]
pub(super) struct Launching {
    part: Part,
}

enum Part {
    /// The CPU knows no TF32.
    Cpu,
    Float32 {
        _others_may_too: RwLockReadGuard<'static, ()>,
    },
    Tf32 {
        _alone: RwLockWriteGuard<'static, ()>,
    },
}

impl Drop for Launching {
    fn drop(&mut self) {
        // The lock is released after this, so the next one finds it off.
        if matches!(self.part, Part::Tf32 { .. }) {
            libtorch::digits_allow_tf32(false);
        }
    }
}

/// Waits until products on that device can be launched with this precision. Not while another one is held by the same
/// thread.
pub(super) fn launching(precision: Precision, device: tch::Device) -> Launching {
    let part = if !matches!(device, tch::Device::Cuda(_)) {
        Part::Cpu
    } else if precision == Precision::Tf32 {
        // After a panic in a pass the switch is off as well: there is nothing that it could have left half done.
        let alone = SWITCH.write().unwrap_or_else(PoisonError::into_inner);
        libtorch::digits_allow_tf32(true);
        Part::Tf32 { _alone: alone }
    } else {
        let guard = SWITCH.read().unwrap_or_else(PoisonError::into_inner);
        OFF.call_once(|| libtorch::digits_allow_tf32(false));
        Part::Float32 {
            _others_may_too: guard,
        }
    };
    Launching { part }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const GPU: tch::Device = tch::Device::Cuda(0);

    /// Needs no GPU: the switch is libtorch's, and nothing is launched.
    #[test]
    fn every_training_finds_the_switch_as_it_wants_it() {
        let precisions = [
            Precision::Tf32,
            Precision::Float32,
            Precision::Tf32,
            Precision::Bfloat16,
        ];
        thread::scope(|scope| {
            for precision in precisions {
                scope.spawn(move || {
                    for _ in 0..2_000 {
                        let launching = launching(precision, GPU);
                        for _ in 0..3 {
                            let on = libtorch::digits_tf32_allowed();
                            assert_eq!(on, precision == Precision::Tf32, "{precision:?}");
                            thread::yield_now();
                        }
                        drop(launching);
                    }
                });
            }
        });
        let _float32 = launching(Precision::Float32, GPU);
        assert!(!libtorch::digits_tf32_allowed(), "it is off afterwards");
        // Float32 beside float32, and the CPU beside everything, wait for nobody.
        let _beside = [
            launching(Precision::Float32, tch::Device::Cuda(1)),
            launching(Precision::Tf32, tch::Device::Cpu),
        ];
        assert!(!libtorch::digits_tf32_allowed());
    }
}
