//! Memory of the GPUs that libtorch sees, read from NVIDIA's driver at each scrape. It is that of
//! the whole GPU, for all processes: tch does not expose the counters of libtorch's own allocator.
//!
//! The driver's library is loaded if it is installed. Without it there are no series.

use digits_telemetry::metrics::{Exposition, Section};
use nvml_wrapper::{Nvml, error::NvmlError, struct_wrappers::device::MemoryInfo};
use std::{env, ffi::OsStr, sync::Arc};

/// File name of the library, as the driver and the container runtime install it.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// Numbers or UUIDs of the GPUs that CUDA, and so libtorch, may use.
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

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
        Ok(nvml) => {
            let setting = env::var(VISIBLE).ok();
            Some(Arc::new(move |scrape| {
                render(&nvml, setting.as_deref(), scrape)
            }))
        }
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
fn render(nvml: &Nvml, setting: Option<&str>, scrape: &mut Exposition) {
    let memories = memories(nvml, setting);
    if memories.is_empty() {
        return;
    }
    for (name, help, value) in GAUGES {
        let mut family = scrape.gauge(name, help);
        for Gpu {
            index,
            uuid,
            memory,
        } in &memories
        {
            family.series(&[("gpu", index), ("uuid", uuid)], value(memory) as f64);
        }
    }
}

/// A GPU that libtorch sees.
struct Gpu {
    /// Its number in libtorch.
    index: String,
    /// Empty if the driver does not give it.
    uuid: String,
    memory: MemoryInfo,
}

fn memories(nvml: &Nvml, setting: Option<&str>) -> Vec<Gpu> {
    let count = nvml.device_count().unwrap_or(0);
    let uuid = |number| {
        nvml.device_by_index(number)
            .and_then(|device| device.uuid())
    };
    let uuids: Vec<String> = (0..count)
        .map(|number| uuid(number).unwrap_or_default())
        .collect();
    let visible = visible(setting, &uuids).into_iter().enumerate();
    visible
        .filter_map(|(index, number)| {
            let device = nvml.device_by_index(u32::try_from(number).ok()?);
            Some(Gpu {
                index: index.to_string(),
                uuid: uuids[number].clone(),
                memory: device.and_then(|device| device.memory_info()).ok()?,
            })
        })
        .collect()
}

/// The driver's numbers of the GPUs that libtorch sees, in its order. CUDA ends the list at the
/// first entry that names no GPU
/// (<https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-environment-variables>).
fn visible(setting: Option<&str>, uuids: &[String]) -> Vec<usize> {
    let Some(setting) = setting else {
        return (0..uuids.len()).collect();
    };
    let number = |entry: &str| match entry.parse::<usize>() {
        Ok(number) => (number < uuids.len()).then_some(number),
        Err(_) if entry.is_empty() => None,
        Err(_) => uuids.iter().position(|uuid| uuid.starts_with(entry)),
    };
    let entries = setting.split(',').map(str::trim);
    entries.map_while(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, process::Command};

    /// The functions of the driver's library that are called, in the layout of its `nvml.h`: three
    /// GPUs, of which the second is lost.
    const DRIVER: &str = r#"
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
        int nvmlDeviceGetUUID(void *device, char *uuid, unsigned length) {
            const char *text = "GPU-0";
            for (unsigned i = 0; i < 6 && i < length; i++) uuid[i] = text[i];
            uuid[4] = '0' + *(int *)device;
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
    "#;

    fn scraped(setting: Option<&str>) -> String {
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
        render(&nvml, setting, &mut scrape);
        scrape.into_text()
    }

    #[test]
    fn each_gpu_that_responds_has_its_series() {
        assert_eq!(
            scraped(None),
            "# HELP digits_trainer_gpu_memory_used_bytes memory in use on the GPU, by all processes (driver's figure), with libtorch's cache\n\
             # TYPE digits_trainer_gpu_memory_used_bytes gauge\n\
             digits_trainer_gpu_memory_used_bytes{gpu=\"0\",uuid=\"GPU-0\"} 1000\n\
             digits_trainer_gpu_memory_used_bytes{gpu=\"2\",uuid=\"GPU-2\"} 1002\n\
             # HELP digits_trainer_gpu_memory_size_bytes total memory of the GPU\n\
             # TYPE digits_trainer_gpu_memory_size_bytes gauge\n\
             digits_trainer_gpu_memory_size_bytes{gpu=\"0\",uuid=\"GPU-0\"} 85520809984\n\
             digits_trainer_gpu_memory_size_bytes{gpu=\"2\",uuid=\"GPU-2\"} 85520809984\n"
        );
    }

    #[test]
    fn only_the_gpus_that_libtorch_sees_have_series_under_its_numbers() {
        let text = scraped(Some("2"));
        let used = "digits_trainer_gpu_memory_used_bytes{";
        let series: Vec<&str> = text.lines().filter(|line| line.starts_with(used)).collect();
        let expected = "digits_trainer_gpu_memory_used_bytes{gpu=\"0\",uuid=\"GPU-2\"} 1002";
        assert_eq!(series, [expected]);
        assert_eq!(scraped(Some("")), "");
        let uuids = ["GPU-aa", "GPU-ab", "GPU-b"].map(str::to_owned);
        for (setting, expected) in [
            (None, &[0, 1, 2][..]),
            (Some("2,0"), &[2, 0]),
            (Some(" 1 , GPU-b"), &[1, 2]),
            (Some("GPU-ab"), &[1]),
            (Some("0,-1,2"), &[0]),
            (Some("0,7,2"), &[0]),
            (Some("MIG-1"), &[]),
            (Some("-1"), &[]),
        ] {
            assert_eq!(visible(setting, &uuids), expected, "{setting:?}");
        }
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
            let row = format!("| `{name}` | gauge (GPU) | `gpu`, `uuid` | {help} |");
            assert!(page.contains(&row), "{row}");
        }
    }
}
