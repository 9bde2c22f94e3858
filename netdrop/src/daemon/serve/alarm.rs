//! What wakes the daemon once an interval, and no more often: tokio's own timers get nearer to their time in steps, and wake
//! up for each.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::read;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A timer of the kernel's (`timerfd_create(2)`), by the clock that never jumps.
#[derive(Debug)]
pub struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    /// Rings each `interval` from now on.
    ///
    /// # Errors
    /// When the kernel has no timer for us.
    pub fn every(interval: Duration) -> io::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        timer.set(Expiration::Interval(interval.into()), TimerSetTimeFlags::empty())?;
        // SAFETY: the descriptor is owned, and the value gives no way to close or exchange it.
        Ok(Self(unsafe { AsyncFd::register_with_interest(timer.into(), Interest::READABLE) }?))
    }

    /// Waits until it rings. Where it has rung several times since the last wait, that is once.
    pub async fn ring(&self) {
        loop {
            let Ok(mut ready) = self.0.readable().await else {
                // Without an event loop nothing is waited for any more.
                return std::future::pending().await;
            };
            match read(self.0.get_ref(), &mut [0; 8]) {
                Err(Errno::EAGAIN) => ready.clear_ready(),
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn it_rings_after_each_interval_and_once_for_several() {
        const INTERVAL: Duration = Duration::from_millis(20);
        let started = Instant::now();
        let alarm = Alarm::every(INTERVAL).unwrap();
        alarm.ring().await;
        alarm.ring().await;
        assert!(started.elapsed() >= INTERVAL * 2);
        std::thread::sleep(INTERVAL * 3);
        let late = Instant::now();
        alarm.ring().await;
        alarm.ring().await;
        assert!(late.elapsed() < INTERVAL * 3, "{:?}", late.elapsed());
    }
}
