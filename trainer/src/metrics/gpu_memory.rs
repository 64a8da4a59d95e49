//! Memory of the GPUs, as NVIDIA's driver tells it at each scrape. It is that of the whole GPU, whichever process has it: what
//! libtorch's own allocator counts cannot be asked for through tch.
//!
//! The driver's library is loaded where it is there. Without it there are no series, and nothing else needs it.

use digits_telemetry::metrics::Section;
use nvml_wrapper::{Nvml, error::NvmlError, struct_wrappers::device::MemoryInfo};
use std::{ffi::OsStr, fmt::Write as _, sync::Arc};

/// The name under which the driver, and the container runtime from it, installs the library.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// A gauge: name, meaning, and what of the driver's answer it is.
type Gauge = (&'static str, &'static str, fn(&MemoryInfo) -> u64);

const GAUGES: [Gauge; 2] = [
    (
        "digits_trainer_gpu_memory_used_bytes",
        "memory of the GPU that is in use, by whichever process",
        |memory| memory.used,
    ),
    (
        "digits_trainer_gpu_memory_size_bytes",
        "memory that the GPU has",
        |memory| memory.total,
    ),
];

/// The series, to be appended to what the recorder renders; `None` where there is no driver. Blocks while that starts up.
#[must_use]
pub fn section() -> Option<Section> {
    match load(LIBRARY.as_ref()) {
        Ok(nvml) => Some(Arc::new(move || render(&nvml))),
        Err(NvmlError::LibloadingError(_)) => None,
        Err(error) => {
            tracing::warn!(%error, "NVIDIA's driver does not tell the memory of its GPUs");
            None
        }
    }
}

fn load(library: &OsStr) -> Result<Nvml, NvmlError> {
    Nvml::builder().lib_path(library).init()
}

/// The text of a scrape; a GPU that does not answer has no series in it.
fn render(nvml: &Nvml) -> String {
    let memories = memories(nvml);
    let mut text = String::new();
    for (name, meaning, value) in GAUGES {
        if memories.is_empty() {
            continue;
        }
        let _ = writeln!(text, "# HELP {name} {meaning}\n# TYPE {name} gauge");
        for (gpu, memory) in &memories {
            let _ = writeln!(text, "{name}{{gpu=\"{gpu}\"}} {}", value(memory));
        }
    }
    text
}

/// Number of each GPU, as `nvidia-smi` counts, and its memory.
fn memories(nvml: &Nvml) -> Vec<(u32, MemoryInfo)> {
    let count = nvml.device_count().unwrap_or(0);
    (0..count)
        .filter_map(|gpu| {
            let memory = nvml
                .device_by_index(gpu)
                .and_then(|device| device.memory_info());
            Some((gpu, memory.ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, process::Command};

    /// What we call of the driver's library, in the layout of its `nvml.h`: three GPUs, of which the second is lost.
    const DRIVER: &str = r"
        typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory;
        int nvmlInit_v2(void) { return 0; }
        int nvmlShutdown(void) { return 0; }
        int nvmlDeviceGetCount_v2(unsigned *count) { *count = 3; return 0; }
        int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
            static int gpus[3];
            *device = gpus + index;
            gpus[index] = index;
            return 0;
        }
        int nvmlDeviceGetMemoryInfo_v2(void *device, memory *out) {
            int index = *(int *)device;
            if (index == 1) return 15;
            if (out->version != (sizeof(memory) | 2 << 24)) return 25;
            out->total = 85520809984ULL;
            out->reserved = 1;
            out->used = 1000 + index;
            out->free = out->total - out->used - out->reserved;
            return 0;
        }
    ";

    #[test]
    fn each_gpu_that_answers_has_its_series() {
        let dir = tempfile::tempdir().expect("a folder");
        let (source, library) = (dir.path().join("driver.c"), dir.path().join("driver.so"));
        fs::write(&source, DRIVER).expect("a file");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .status()
            .expect("a C compiler");
        assert!(compiled.success());
        let nvml = load(library.as_os_str()).expect("a driver");
        assert_eq!(
            render(&nvml),
            "# HELP digits_trainer_gpu_memory_used_bytes memory of the GPU that is in use, by whichever process\n\
             # TYPE digits_trainer_gpu_memory_used_bytes gauge\n\
             digits_trainer_gpu_memory_used_bytes{gpu=\"0\"} 1000\n\
             digits_trainer_gpu_memory_used_bytes{gpu=\"2\"} 1002\n\
             # HELP digits_trainer_gpu_memory_size_bytes memory that the GPU has\n\
             # TYPE digits_trainer_gpu_memory_size_bytes gauge\n\
             digits_trainer_gpu_memory_size_bytes{gpu=\"0\"} 85520809984\n\
             digits_trainer_gpu_memory_size_bytes{gpu=\"2\"} 85520809984\n"
        );
    }

    #[test]
    fn without_a_driver_there_is_nothing_to_tell() {
        let missing = load("/nowhere/libnvidia-ml.so.1".as_ref());
        assert!(matches!(missing, Err(NvmlError::LibloadingError(_))));
    }

    /// The end-to-end tests hold the page against a running trainer, which has no GPU there.
    #[test]
    fn the_page_names_them() {
        let page = include_str!("../../../deploy/METRICS.md");
        for (name, ..) in GAUGES {
            assert!(page.contains(&format!("| `{name}` | gauge (GPU) | `gpu` |")));
        }
    }
}
