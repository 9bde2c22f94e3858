//! Other tools, asked once: they run in the caller's network namespace.

use std::io;
use std::process::{Command, Stdio};

/// Why a tool gave no listing.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no such tool.
    #[error("`{0}` is not installed")]
    Missing(&'static str),
    /// It couldn't be started.
    #[error("can't run `{tool}`: {error}")]
    Start {
        /// The tool.
        tool: &'static str,
        /// Why not.
        error: io::Error,
    },
    /// It failed.
    #[error("`{tool}` failed: {message}")]
    Failed {
        /// The tool.
        tool: &'static str,
        /// The first line that it says of it.
        message: String,
    },
}

/// Runs a tool to its end and gives what it writes.
pub fn output(tool: &'static str, arguments: &[&str]) -> Result<Vec<u8>, CommandError> {
    let command = Command::new(tool).args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).output();
    let output = command.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => CommandError::Missing(tool),
        _ => CommandError::Start { tool, error },
    })?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned();
        return Err(CommandError::Failed { tool, message: format!("{message} ({})", output.status) });
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_writes_or_why_not() {
        assert_eq!(output("echo", &["a", "b"]).unwrap(), b"a b\n");
        assert!(matches!(output("no-such-tool", &[]), Err(CommandError::Missing("no-such-tool"))));
        let failed = output("sh", &["-c", "echo sorry >&2; exit 3"]).unwrap_err().to_string();
        assert_eq!(failed, "`sh` failed: sorry (exit status: 3)");
    }
}
