//! The kernel's monotonic times as wall-clock times.

use nix::time::{ClockId, clock_gettime};

use crate::model::Timestamp;

/// How far `CLOCK_REALTIME` is ahead of `CLOCK_MONOTONIC` just now, in ns.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    ahead_ns: i128,
}

impl Clock {
    /// Reads both clocks.
    pub fn now() -> Self {
        Self { ahead_ns: nanoseconds(ClockId::CLOCK_REALTIME) - nanoseconds(ClockId::CLOCK_MONOTONIC) }
    }

    /// The wall-clock time of a monotonic one.
    pub fn wall_time(self, monotonic_ns: u64) -> Timestamp {
        Timestamp(u64::try_from(i128::from(monotonic_ns) + self.ahead_ns).unwrap_or(0))
    }
}

fn nanoseconds(clock: ClockId) -> i128 {
    // Both clocks exist on every Linux: the call can't fail.
    clock_gettime(clock)
        .map_or(0, |time| i128::from(time.tv_sec()) * 1_000_000_000 + i128::from(time.tv_nsec()))
}
