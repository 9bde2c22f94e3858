//! The signals that the daemon listens to.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::daemon::RunError;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// SIGINT, SIGTERM.
    Stop,
    /// SIGHUP.
    Reload,
}

/// Caught from when this is made, and kept until the loop looks.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Starts to catch them.
    ///
    /// # Errors
    /// When the kernel refuses a handler.
    pub fn new() -> Result<Self, RunError> {
        let on = |kind| signal(kind).map_err(|error| RunError::Wait { what: "signals", error });
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }
}
