//! What the daemon itself costs: proc(5), getrusage(2).

use std::fs;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use super::encoder::{Encoder, Kind};

/// What this process used so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Own {
    /// Seconds of CPU time, user and system.
    pub cpu_seconds: f64,
    /// Bytes of memory that are resident; absent where /proc can't be read.
    pub resident_bytes: Option<u64>,
    /// Open descriptors; absent likewise.
    pub descriptors: Option<u64>,
}

impl Own {
    /// Reads it.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of years fit")]
    pub fn read() -> Self {
        let used = getrusage(UsageWho::RUSAGE_SELF).ok();
        let micros =
            used.map(|used| used.user_time().num_microseconds() + used.system_time().num_microseconds());
        Self {
            cpu_seconds: micros.unwrap_or(0) as f64 / 1e6,
            resident_bytes: fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident),
            // The listing itself is one of them.
            descriptors: fs::read_dir("/proc/self/fd").ok().map(|list| list.count().saturating_sub(1) as u64),
        }
    }

    pub(super) fn encode(&self, started: f64, to: &mut Encoder) {
        let help = "CPU time that netdrop used, user and system.";
        to.single("process_cpu_seconds", Kind::Counter, "seconds", help, self.cpu_seconds);
        if let Some(bytes) = self.resident_bytes {
            let help = "Memory of netdrop that is resident.";
            to.single("process_resident_memory_bytes", Kind::Gauge, "bytes", help, bytes);
        }
        if let Some(count) = self.descriptors {
            to.single("process_open_fds", Kind::Gauge, "", "Descriptors that netdrop has open.", count);
        }
        let help = "When netdrop started, since the Unix epoch.";
        to.single("process_start_time_seconds", Kind::Gauge, "seconds", help, started);
    }
}

/// `VmRSS` of `/proc/PID/status`, in bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_descriptors() {
        let own = Own::read();
        assert!(own.resident_bytes.is_some_and(|bytes| bytes > 100_000), "{own:?}");
        assert!(own.descriptors.is_some_and(|count| count >= 3), "{own:?}");
        assert_eq!(resident("VmPeak:\t 1 kB\nVmRSS:\t    1234 kB\n"), Some(1234 * 1024));
        assert_eq!(resident("VmRSS: 12"), None);
    }
}
