//! Gives memory back to the system after a burst of requests.
//!
//! glibc's allocator, which the trainer and the picture codecs in C use, keeps most of what was
//! freed. Thresholds that make it return memory at once (`M_TRIM_THRESHOLD`) would cost page faults
//! in every training step; a look every ten seconds costs nothing.

use std::fs;
use std::thread;
use std::time::Duration;

/// Interval at which the resident memory is read.
const INTERVAL: Duration = Duration::from_secs(10);

/// With less than this to gain, in KiB, nothing is done.
const WORTHWHILE: u64 = 64 << 10;

/// Memory that grows by more than this between two looks, in KiB, is in use.
const GROWTH: u64 = 16 << 10;

/// Looks after which memory that could not be given back is tried again.
const RETRY: u32 = 30;

/// Starts the thread that gives memory back. Without it the process works as well.
pub(crate) fn start() {
    let thread = thread::Builder::new().name("heap".to_owned());
    if let Err(error) = thread.spawn(run) {
        tracing::warn!(%error, "memory is not given back to the system after bursts");
    }
}

fn run() {
    let mut heap = Heap::default();
    while let Some(resident) = resident() {
        if heap.is_due(resident) {
            trim();
            heap.trimmed(self::resident().unwrap_or(resident));
        }
        thread::sleep(INTERVAL);
    }
}

/// Resident memory of this process, in KiB; `None` where the system does not say.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What is known of the resident memory, in KiB.
#[derive(Default)]
struct Heap {
    last: Option<u64>,
    /// The least that was ever seen.
    least: Option<u64>,
    /// What is in use, as far as is known.
    used: u64,
    looks: u32,
}

impl Heap {
    /// Whether memory is probably free but not given back.
    fn is_due(&mut self, resident: u64) -> bool {
        let least = self.least.map_or(resident, |least| least.min(resident));
        self.looks = (self.looks + 1) % RETRY;
        self.used = match self.looks {
            0 => least,
            _ => self.used.max(least),
        };
        self.least = Some(least);
        let grows = self.last.is_none_or(|last| resident > last + GROWTH);
        self.last = Some(resident);
        !grows && resident > self.used + WORTHWHILE
    }

    /// Notes what is left after a trim.
    fn trimmed(&mut self, resident: u64) {
        self.last = Some(resident);
        self.used = resident;
    }
}

/// Gives free pages back to the system.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)] // glibc's only function for it: no pointers, and safe on any thread.
fn trim() {
    unsafe extern "C" {
        safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    malloc_trim(0);
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 10;

    #[test]
    fn memory_is_given_back_once_it_no_longer_grows() {
        let mut heap = Heap::default();
        for resident in [20, 21, 300, 600] {
            assert!(!heap.is_due(resident * MIB), "{resident}");
        }
        assert!(heap.is_due(600 * MIB));
        heap.trimmed(30 * MIB);
        assert!(!heap.is_due(30 * MIB));
        assert!(!heap.is_due(90 * MIB));
    }

    #[test]
    fn memory_in_use_is_left_alone_for_a_while() {
        let mut heap = Heap::default();
        heap.is_due(20 * MIB);
        heap.is_due(600 * MIB);
        assert!(heap.is_due(600 * MIB));
        heap.trimmed(590 * MIB);
        let looks = (0..RETRY).position(|_| heap.is_due(590 * MIB));
        assert!(looks.is_some_and(|looks| looks > 20), "{looks:?}");
    }

    #[test]
    fn the_resident_memory_is_known_and_trimming_does_no_harm() {
        let blocks: Vec<_> = (0..1000).map(|_| vec![7_u8; 60_000]).collect();
        assert!(resident().expect("Linux") > 50_000);
        drop(blocks);
        trim();
        assert!(resident().expect("Linux") > 0);
    }
}
