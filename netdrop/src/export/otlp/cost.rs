//! What netdrop itself costs.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// What this process has used.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    /// CPU time in user mode and in the kernel: getrusage(2).
    pub cpu: Option<(Duration, Duration)>,
    /// Resident memory in bytes: the second number of `/proc/self/statm`.
    pub memory: Option<u64>,
}

impl Cost {
    /// Until now; what can't be read is absent.
    pub fn now() -> Self {
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok();
        let pages = fs::read_to_string("/proc/self/statm").ok();
        let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
        let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
        Self {
            cpu: usage.map(|usage| (duration(usage.user_time()), duration(usage.system_time()))),
            memory: pages.zip(page).and_then(|(pages, page)| Some(pages * u64::try_from(page).ok()?)),
        }
    }
}

fn duration(time: TimeVal) -> Duration {
    let micros = time.tv_sec().saturating_mul(1_000_000).saturating_add(time.tv_usec());
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_used_something() {
        let cost = Cost::now();
        assert!(cost.memory.unwrap() > 100_000);
        let (user, system) = cost.cpu.unwrap();
        assert!(user + system > Duration::ZERO);
    }
}
