//! Other tools, asked once: they run in the caller's network namespace.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A listing of some ten thousand rules takes a second or two: a tool that takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(10);

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
    /// It didn't end, and was ended.
    #[error("`{tool}` didn't end within {} s", deadline.as_secs_f32())]
    Late {
        /// The tool.
        tool: &'static str,
        /// How long it was waited for.
        deadline: Duration,
    },
}

/// Runs a tool to its end, which has to come soon, and gives what it writes.
pub fn output(tool: &'static str, arguments: &[&str]) -> Result<Vec<u8>, CommandError> {
    output_within(tool, arguments, DEADLINE)
}

fn output_within(
    tool: &'static str,
    arguments: &[&str],
    deadline: Duration,
) -> Result<Vec<u8>, CommandError> {
    let mut command = Command::new(tool);
    command.args(arguments).env("LC_ALL", "C").stdin(Stdio::null());
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| {
            match error.kind() {
                io::ErrorKind::NotFound => CommandError::Missing(tool),
                _ => CommandError::Start { tool, error },
            }
        })?;
    let end = Instant::now() + deadline;
    let [written, said] = [child.stdout.take().map(read_out), child.stderr.take().map(read_out)];
    let until_end =
        |text: Receiver<Vec<u8>>| text.recv_timeout(end.saturating_duration_since(Instant::now())).ok();
    let (Some(written), Some(said)) = (written.and_then(until_end), said.and_then(until_end)) else {
        // It may have ended at that moment. What the kernel itself holds up ends when it is let go, which nobody waits for.
        let _ = child.kill();
        thread::spawn(move || child.wait());
        return Err(CommandError::Late { tool, deadline });
    };
    let status = child.wait().map_err(|error| CommandError::Start { tool, error })?;
    if !status.success() {
        let message = String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned();
        return Err(CommandError::Failed { tool, message: format!("{message} ({status})") });
    }
    Ok(written)
}

/// What is written until the pipe is closed, by a thread of its own: a tool waits where a pipe is full.
fn read_out(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if pipe.read_to_end(&mut bytes).is_ok() {
            // Nobody waits for it any more where it came late.
            let _ = sender.send(bytes);
        }
    });
    receiver
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

    #[test]
    fn one_that_never_ends_is_ended() {
        let late = output_within("tail", &["-f", "/dev/null"], Duration::from_millis(10)).unwrap_err();
        assert_eq!(late.to_string(), "`tail` didn't end within 0.01 s");
    }

    #[test]
    fn more_than_pipes_hold_is_read() {
        let written = output("sh", &["-c", "head -c 200000 /dev/zero | tee /dev/stderr"]).unwrap();
        assert_eq!(written.len(), 200_000);
    }
}
