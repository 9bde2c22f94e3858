//! Exit codes, and the one line that goes with each.

use std::process::ExitCode;

use crate::daemon::CommandError;
use crate::filter::FilterError;
use crate::kernel::identity::IdentityError;
use crate::probe::ProbeError;

/// Failures that have exit codes of their own; any other is 1.
#[derive(Debug, thiserror::Error)]
pub enum Exit {
    /// 2: what was asked for makes no sense here.
    #[error("{0}")]
    Usage(String),
    /// 4: this kernel or these privileges can't do it.
    #[error("{0}")]
    Unable(String),
}

impl From<IdentityError> for Exit {
    fn from(error: IdentityError) -> Self {
        Self::Unable(error.to_string())
    }
}

impl From<ProbeError> for Exit {
    fn from(error: ProbeError) -> Self {
        Self::Unable(error.to_string())
    }
}

impl From<FilterError> for Exit {
    fn from(error: FilterError) -> Self {
        match error {
            FilterError::NoReasons | FilterError::Symbols(_) => Self::Unable(error.to_string()),
            _ => Self::Usage(error.to_string()),
        }
    }
}

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const UNABLE: u8 = 4;

/// The code of a command's result; a failure is told on standard error. What `run` can't start has codes of its own.
pub fn code(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("netdrop: {error:#}");
    if let Some(command) = error.downcast_ref::<CommandError>() {
        return command.exit_code().into();
    }
    match error.downcast_ref::<Exit>() {
        Some(Exit::Usage(_)) => USAGE.into(),
        Some(Exit::Unable(_)) => UNABLE.into(),
        None => FAILED.into(),
    }
}

/// Prints what clap has to say: help and versions are no failures, and neither is a closed pipe behind them.
pub fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS }
}
