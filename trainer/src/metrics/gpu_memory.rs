//! Memory of the GPUs, read from NVIDIA's driver at each scrape. It is that of the whole GPU, for
//! all processes: tch does not expose the counters of libtorch's own allocator.
//!
//! The driver's library is loaded if it is installed. Without it there are no series.

use digits_telemetry::metrics::{Exposition, Section};
use nvml_wrapper::{Nvml, error::NvmlError, struct_wrappers::device::MemoryInfo};
use std::{ffi::OsStr, sync::Arc};

/// File name of the library, as the driver and the container runtime install it.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// A gauge: name, HELP text and value.
type Gauge = (&'static str, &'static str, fn(&MemoryInfo) -> u64);

const GAUGES: [Gauge; 2] = [
    (
        "digits_trainer_gpu_memory_used_bytes",
        "memory in use on the GPU, by all processes (driver's figure), with libtorch's cache",
        |memory| memory.used,
    ),
    (
        "digits_trainer_gpu_memory_size_bytes",
        "total memory of the GPU",
        |memory| memory.total,
    ),
];

/// The series of the GPUs; `None` without a driver. Blocks while the library starts.
#[must_use]
pub fn section() -> Option<Section> {
    match load(LIBRARY.as_ref()) {
        Ok(nvml) => Some(Arc::new(move |scrape| render(&nvml, scrape))),
        Err(NvmlError::LibloadingError(_)) => None,
        Err(error) => {
            tracing::warn!(%error, "cannot read the memory of the GPUs from NVIDIA's driver");
            None
        }
    }
}

fn load(library: &OsStr) -> Result<Nvml, NvmlError> {
    Nvml::builder().lib_path(library).init()
}

/// A GPU that does not respond has no series in this scrape.
fn render(nvml: &Nvml, scrape: &mut Exposition) {
    let memories = memories(nvml);
    if memories.is_empty() {
        return;
    }
    for (name, help, value) in GAUGES {
        let mut family = scrape.gauge(name, help);
        for (gpu, memory) in &memories {
            family.series(&[("gpu", gpu)], value(memory) as f64);
        }
    }
}

/// Index of each GPU, as `nvidia-smi` counts, and its memory.
fn memories(nvml: &Nvml) -> Vec<(String, MemoryInfo)> {
    let count = nvml.device_count().unwrap_or(0);
    (0..count)
        .filter_map(|gpu| {
            let memory = nvml
                .device_by_index(gpu)
                .and_then(|device| device.memory_info());
            Some((gpu.to_string(), memory.ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, process::Command};

    /// The functions of the driver's library that are called, in the layout of its `nvml.h`: three
    /// GPUs, of which the second is lost.
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
    fn each_gpu_that_responds_has_its_series() {
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
        let mut scrape = Exposition::default();
        render(&nvml, &mut scrape);
        assert_eq!(
            scrape.into_text(),
            "# HELP digits_trainer_gpu_memory_used_bytes memory in use on the GPU, by all processes (driver's figure), with libtorch's cache\n\
             # TYPE digits_trainer_gpu_memory_used_bytes gauge\n\
             digits_trainer_gpu_memory_used_bytes{gpu=\"0\"} 1000\n\
             digits_trainer_gpu_memory_used_bytes{gpu=\"2\"} 1002\n\
             # HELP digits_trainer_gpu_memory_size_bytes total memory of the GPU\n\
             # TYPE digits_trainer_gpu_memory_size_bytes gauge\n\
             digits_trainer_gpu_memory_size_bytes{gpu=\"0\"} 85520809984\n\
             digits_trainer_gpu_memory_size_bytes{gpu=\"2\"} 85520809984\n"
        );
    }

    #[test]
    fn without_a_driver_there_are_no_series() {
        let missing = load("/nowhere/libnvidia-ml.so.1".as_ref());
        assert!(matches!(missing, Err(NvmlError::LibloadingError(_))));
    }

    /// The end-to-end tests compare the page with a trainer that has no GPU.
    #[test]
    fn the_metrics_page_describes_the_gauges() {
        let page = include_str!("../../../deploy/METRICS.md");
        for (name, help, _) in GAUGES {
            let row = format!("| `{name}` | gauge (GPU) | `gpu` | {help} |");
            assert!(page.contains(&row), "{row}");
        }
    }
}
