//! What ends a run from outside: signals, or the end of the command that it follows.

use std::process::ExitStatus;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::command::{Command, CommandError};
use super::run::{RunError, Woken};

/// What ends a run from outside.
#[derive(Debug)]
pub enum Stop {
    /// SIGINT or SIGTERM, caught from before the attachment is announced, so that none is lost.
    Signals(Signals),
    /// The end of a command, whose signals they are.
    Command(Box<Followed>),
}

/// A command, and how it ended.
#[derive(Debug)]
pub struct Followed {
    command: Command,
    status: Option<Result<ExitStatus, CommandError>>,
}

impl Stop {
    /// Ends with this command.
    pub fn with(command: Command) -> Self {
        Self::Command(Box::new(Followed { command, status: None }))
    }

    pub(super) async fn woken(&mut self) -> Woken {
        match self {
            Self::Signals(signals) => signals.woken().await,
            Self::Command(followed) => {
                followed.status = Some(followed.command.ended().await);
                Woken::Stop
            }
        }
    }

    /// How the command ended; none where there is no command, or it runs still.
    pub(super) fn into_status(self) -> Option<Result<ExitStatus, CommandError>> {
        match self {
            Self::Signals(_) => None,
            Self::Command(followed) => followed.status,
        }
    }
}

/// Starts to catch a signal.
pub(super) fn catch(kind: SignalKind) -> Result<Signal, RunError> {
    signal(kind).map_err(|error| RunError::Wait { what: "signals", error })
}

/// The signals that a run listens to. One that comes after this is made is kept until the run looks.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    resized: Signal,
}

impl Signals {
    /// Starts to catch them.
    ///
    /// # Errors
    /// When the kernel refuses a handler.
    pub fn new() -> Result<Self, RunError> {
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            resized: catch(SignalKind::window_change())?,
        })
    }

    pub(super) async fn woken(&mut self) -> Woken {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Woken::Stop,
            _ = self.terminate.recv() => Woken::Stop,
            _ = self.resized.recv() => Woken::Resized,
        }
    }
}
