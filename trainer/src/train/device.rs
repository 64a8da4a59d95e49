//! Which device a training runs on. Never falls back in silence: what is asked for and not there is an error.

use std::{fmt, str::FromStr};

/// Where the tensors of a training lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// Main memory.
    Cpu,
    /// A GPU, by its index from 0.
    Cuda(usize),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl Device {
    /// libtorch's own word for it.
    pub(super) fn torch(self) -> tch::Device {
        match self {
            Self::Cpu => tch::Device::Cpu,
            Self::Cuda(index) => tch::Device::Cuda(index),
        }
    }
}

/// A device that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Not the name of a device.
    #[error("`{0}` is not a device: use auto, cpu, cuda or cuda:N")]
    Unknown(String),
    /// The libtorch that is linked has no CUDA in it.
    #[error(
        "this libtorch ({version}) was built without CUDA: use device cpu or auto, or install a libtorch with CUDA"
    )]
    WithoutCuda {
        /// The libtorch.
        version: String,
    },
    /// No GPU, or no driver.
    #[error(
        "no GPU that CUDA can use was found: use device cpu or auto, or check the NVIDIA driver"
    )]
    NoGpu,
    /// Fewer GPUs than asked for.
    #[error("cuda:{asked} does not exist: this machine has {found} (cuda:0 is the first)")]
    OutOfRange {
        /// The index asked for.
        asked: usize,
        /// How many there are.
        found: usize,
    },
}

/// What a job may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Requested {
    Auto,
    Cpu,
    Cuda(usize),
}

impl FromStr for Requested {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown(text.chars().take(40).collect());
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let index = text.strip_prefix("cuda:").ok_or_else(unknown)?;
                if !index.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(unknown());
                }
                Ok(Self::Cuda(index.parse().map_err(|_| unknown())?))
            }
        }
    }
}

/// What this machine and this libtorch have.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Present {
    built_with_cuda: bool,
    gpus: usize,
    version: String,
}

impl Present {
    fn look() -> Self {
        let built_with_cuda = tch::utils::has_cudart() || tch::utils::has_cuda();
        let gpus = usize::try_from(tch::Cuda::device_count()).unwrap_or(0);
        Self {
            built_with_cuda,
            gpus,
            version: libtorch_version(),
        }
    }
}

/// Finds the device that `requested` names: `auto` (the first GPU where there is one, else the CPU), `cpu`,
/// `cuda` (the first GPU) or `cuda:N`.
///
/// # Errors
/// [`DeviceError`] where it is not a device or not there.
pub fn resolve_device(requested: &str) -> Result<Device, DeviceError> {
    let requested: Requested = requested.parse()?;
    if requested == Requested::Cpu {
        return Ok(Device::Cpu);
    }
    resolve(requested, &Present::look())
}

/// Whether `requested` leaves the device to the machine.
#[must_use]
pub fn is_auto(requested: &str) -> bool {
    requested.parse() == Ok(Requested::Auto)
}

/// What a job that asks for `requested` is to write down: the device, or still `auto` where the machine has several
/// GPUs and the worker that will take the job decides.
///
/// # Errors
/// [`DeviceError`] where it is not a device or not there.
pub fn settle_device(requested: &str) -> Result<String, DeviceError> {
    settle(requested.parse()?, &Present::look())
}

fn settle(requested: Requested, present: &Present) -> Result<String, DeviceError> {
    if requested == Requested::Auto && present.gpus > 1 {
        return Ok("auto".to_owned());
    }
    resolve(requested, present).map(|device| device.to_string())
}

/// GPUs that CUDA can use here.
#[must_use]
pub fn gpus() -> usize {
    Present::look().gpus
}

/// The device of the worker of that number, from 0: a GPU of its own while there are enough, the CPU where there is
/// none.
#[must_use]
pub fn device_of(worker: usize) -> Device {
    share(worker, gpus())
}

fn share(worker: usize, gpus: usize) -> Device {
    worker.checked_rem(gpus).map_or(Device::Cpu, Device::Cuda)
}

fn resolve(requested: Requested, present: &Present) -> Result<Device, DeviceError> {
    match requested {
        Requested::Cpu => Ok(Device::Cpu),
        Requested::Auto if present.gpus == 0 => Ok(Device::Cpu),
        Requested::Auto => Ok(Device::Cuda(0)),
        Requested::Cuda(_) if present.gpus == 0 && !present.built_with_cuda => {
            Err(DeviceError::WithoutCuda {
                version: present.version.clone(),
            })
        }
        Requested::Cuda(_) if present.gpus == 0 => Err(DeviceError::NoGpu),
        Requested::Cuda(index) if index >= present.gpus => Err(DeviceError::OutOfRange {
            asked: index,
            found: present.gpus,
        }),
        Requested::Cuda(index) => Ok(Device::Cuda(index)),
    }
}

/// Version of the libtorch that this program speaks to, such as `2.11.0`.
#[must_use]
pub fn libtorch_version() -> String {
    env!("DIGITS_LIBTORCH_VERSION").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_the_gpus_and_only_then_auto_waits() {
        let devices: Vec<Device> = (0..3).map(|worker| share(worker, 2)).collect();
        assert_eq!(devices, [Device::Cuda(0), Device::Cuda(1), Device::Cuda(0)]);
        assert_eq!(share(5, 0), Device::Cpu);
        for (requested, gpus, expected) in [
            (Requested::Auto, 0, "cpu"),
            (Requested::Auto, 1, "cuda:0"),
            (Requested::Auto, 2, "auto"),
            (Requested::Cuda(1), 2, "cuda:1"),
            (Requested::Cpu, 2, "cpu"),
        ] {
            let present = Present {
                built_with_cuda: true,
                gpus,
                version: "1.2.3".to_owned(),
            };
            assert_eq!(settle(requested, &present).as_deref(), Ok(expected));
        }
        assert!(is_auto("auto"));
        assert!(!is_auto("cuda:0"));
    }

    #[test]
    fn what_is_asked_for_or_an_error_that_says_why() {
        let present = |built_with_cuda, gpus| Present {
            built_with_cuda,
            gpus,
            version: "1.2.3".to_owned(),
        };
        let without = DeviceError::WithoutCuda {
            version: "1.2.3".to_owned(),
        };
        let beyond = DeviceError::OutOfRange { asked: 2, found: 2 };
        for (requested, present, expected) in [
            (Requested::Auto, present(false, 0), Ok(Device::Cpu)),
            (Requested::Auto, present(true, 0), Ok(Device::Cpu)),
            (Requested::Auto, present(true, 2), Ok(Device::Cuda(0))),
            (Requested::Cpu, present(true, 2), Ok(Device::Cpu)),
            (Requested::Cuda(0), present(false, 0), Err(without)),
            (
                Requested::Cuda(0),
                present(true, 0),
                Err(DeviceError::NoGpu),
            ),
            (Requested::Cuda(1), present(true, 2), Ok(Device::Cuda(1))),
            (Requested::Cuda(2), present(true, 2), Err(beyond)),
        ] {
            assert_eq!(
                resolve(requested, &present),
                expected,
                "{requested:?}, {present:?}"
            );
        }
    }
}
