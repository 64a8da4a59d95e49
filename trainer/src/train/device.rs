//! The device that a training runs on. There is no fallback: a requested device that does not exist
//! is an error.

use super::TrainError;
use std::{fmt, sync::OnceLock};

/// GPUs of the machines that jobs run on, where this is none of them.
static ELSEWHERE: OnceLock<usize> = OnceLock::new();

/// The device that holds the tensors of a training.
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
    /// libtorch's type.
    pub(super) fn torch(self) -> tch::Device {
        match self {
            Self::Cpu => tch::Device::Cpu,
            Self::Cuda(index) => tch::Device::Cuda(index),
        }
    }
}

/// A device as a job requests it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Requested {
    Auto,
    Cpu,
    Cuda(usize),
}

fn parse(text: &str) -> Result<Requested, TrainError> {
    if text.contains([',', ';', '+', ' ']) && text.contains("cuda") {
        return Err(TrainError::SeveralDevices(text.chars().take(40).collect()));
    }
    let index = match text {
        "auto" => return Ok(Requested::Auto),
        "cpu" => return Ok(Requested::Cpu),
        "cuda" => Some(0),
        _ => text
            .strip_prefix("cuda:")
            .filter(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|index| index.parse().ok()),
    };
    index
        .map(Requested::Cuda)
        .ok_or_else(|| TrainError::UnknownDevice(text.chars().take(40).collect()))
}

/// Devices that this machine and this libtorch offer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hardware {
    built_with_cuda: bool,
    gpus: usize,
    version: String,
}

impl Hardware {
    fn detect() -> Self {
        if let Some(&gpus) = ELSEWHERE.get() {
            return Self {
                built_with_cuda: gpus > 0,
                gpus,
                version: libtorch_version(),
            };
        }
        let built_with_cuda = tch::utils::has_cudart() || tch::utils::has_cuda();
        let gpus = usize::try_from(tch::Cuda::device_count()).unwrap_or(0);
        Self {
            built_with_cuda,
            gpus,
            version: libtorch_version(),
        }
    }
}

/// The device that `requested` names: `auto` (the first GPU, or the CPU where there is none),
/// `cpu`, `cuda` (the first GPU) or `cuda:N`.
///
/// # Errors
/// [`TrainError`] where it is no name of a device, or the device does not exist.
pub fn resolve_device(requested: &str) -> Result<Device, TrainError> {
    let requested = parse(requested)?;
    if requested == Requested::Cpu {
        return Ok(Device::Cpu);
    }
    resolve(requested, &Hardware::detect())
}

/// Whether `requested` leaves the device to the machine.
#[must_use]
pub fn is_auto(requested: &str) -> bool {
    matches!(parse(requested), Ok(Requested::Auto))
}

/// The device that a job's resolved spec names: as [`resolve_device`], but still `auto` where the
/// machine has several GPUs, because the worker that claims the job has one of them.
///
/// # Errors
/// As [`resolve_device`].
pub fn fix_device(requested: &str) -> Result<String, TrainError> {
    fix(parse(requested)?, &Hardware::detect())
}

fn fix(requested: Requested, hardware: &Hardware) -> Result<String, TrainError> {
    if requested == Requested::Auto && hardware.gpus > 1 {
        return Ok("auto".to_owned());
    }
    resolve(requested, hardware).map(|device| device.to_string())
}

/// From now on devices are those of other machines, on which the jobs of this process run and which
/// have this many GPUs each.
pub fn run_elsewhere(gpus: usize) {
    // Set once, at the start.
    let _ = ELSEWHERE.set(gpus);
}

/// GPUs that CUDA can use here.
#[must_use]
pub fn gpus() -> usize {
    Hardware::detect().gpus
}

/// The device of worker number `worker`, from 0: the GPUs in turn, the CPU where there is none.
#[must_use]
pub fn worker_device(worker: usize) -> Device {
    share(worker, gpus())
}

fn share(worker: usize, gpus: usize) -> Device {
    worker.checked_rem(gpus).map_or(Device::Cpu, Device::Cuda)
}

fn resolve(requested: Requested, hardware: &Hardware) -> Result<Device, TrainError> {
    match requested {
        Requested::Cpu => Ok(Device::Cpu),
        Requested::Auto if hardware.gpus == 0 => Ok(Device::Cpu),
        Requested::Auto => Ok(Device::Cuda(0)),
        Requested::Cuda(_) if hardware.gpus == 0 && !hardware.built_with_cuda => {
            Err(TrainError::WithoutCuda {
                version: hardware.version.clone(),
            })
        }
        Requested::Cuda(_) if hardware.gpus == 0 => Err(TrainError::NoGpu),
        Requested::Cuda(index) if index >= hardware.gpus => Err(TrainError::NoSuchGpu {
            index,
            gpus: hardware.gpus,
        }),
        Requested::Cuda(index) => Ok(Device::Cuda(index)),
    }
}

/// Version of the linked libtorch, such as `2.11.0`.
#[must_use]
pub fn libtorch_version() -> String {
    env!("DIGITS_LIBTORCH_VERSION").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_the_gpus_and_auto_is_fixed_unless_there_are_several() {
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
            let hardware = Hardware {
                built_with_cuda: true,
                gpus,
                version: "1.2.3".to_owned(),
            };
            assert_eq!(fix(requested, &hardware).expect("a device"), expected);
        }
        assert!(is_auto("auto"));
        assert!(!is_auto("cuda:0"));
    }

    #[test]
    fn a_requested_device_is_found_or_an_error_says_why_not() {
        let without = "this libtorch (1.2.3) was built without CUDA: use device cpu or auto, or install a libtorch with CUDA";
        let none = "no GPU that CUDA can use was found: use device cpu or auto, or check the NVIDIA driver";
        let beyond = "cuda:2 does not exist: this machine has 2 (cuda:0 is the first)";
        for (requested, built_with_cuda, gpus, expected) in [
            ("auto", false, 0, "cpu"),
            ("auto", true, 0, "cpu"),
            ("auto", true, 2, "cuda:0"),
            ("cpu", true, 2, "cpu"),
            ("cuda", true, 2, "cuda:0"),
            ("cuda:1", true, 2, "cuda:1"),
            ("cuda", false, 0, without),
            ("cuda", true, 0, none),
            ("cuda:2", true, 2, beyond),
        ] {
            let hardware = Hardware {
                built_with_cuda,
                gpus,
                version: "1.2.3".to_owned(),
            };
            let found = parse(requested).and_then(|requested| resolve(requested, &hardware));
            let found = found.map_or_else(|error| error.to_string(), |it| it.to_string());
            assert_eq!(found, expected, "{requested}, {hardware:?}");
        }
        for text in [
            "",
            "gpu",
            "cuda:",
            "cuda:-1",
            "cuda:99999999999999999999999",
        ] {
            let error = parse(text).expect_err("no device").to_string();
            assert!(error.contains("use auto, cpu, cuda or cuda:N"), "{error}");
        }
        for text in ["cuda:0,1", "cuda:0,cuda:1", "cuda:0 cuda:1"] {
            let error = parse(text).expect_err("several devices").to_string();
            assert!(error.contains("a job trains on one device"), "{error}");
        }
    }
}
