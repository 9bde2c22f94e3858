//! What systemd is told (`sd_notify(3)`), where it asks to be told: `NOTIFY_SOCKET`, `WATCHDOG_USEC`.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::debug;

/// Tells systemd.
#[derive(Debug)]
pub struct Notify {
    wanted: bool,
    watchdog: Option<Interval>,
}

impl Notify {
    /// Finds out what is wanted.
    pub fn new() -> Self {
        let beat = |limit: Duration| {
            // Twice as often as needed, as sd_watchdog_enabled(3) advises.
            let mut beat = interval(limit / 2);
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            beat
        };
        let watchdog = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()).map(beat);
        Self { wanted: std::env::var_os("NOTIFY_SOCKET").is_some(), watchdog }
    }

    /// All is up.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// The settings are being read again; [`Notify::ready`] ends it.
    pub fn reloading(&self) {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            self.tell(&[NotifyState::Reloading, now]);
        }
    }

    /// A line for `systemctl status`.
    pub fn status(&self, status: &str) {
        self.tell(&[NotifyState::Status(status)]);
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// Waits until the watchdog is to be told that the loop goes on; for ever where there is none.
    pub async fn beat(&mut self) {
        match &mut self.watchdog {
            Some(beat) => _ = beat.tick().await,
            None => std::future::pending().await,
        }
    }

    /// The loop goes on.
    pub fn alive(&self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    fn tell(&self, state: &[NotifyState<'_>]) {
        if self.wanted
            && let Err(error) = sd_notify::notify(state)
        {
            debug!("systemd can't be told: {error}");
        }
    }
}
