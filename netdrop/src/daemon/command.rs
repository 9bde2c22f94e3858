//! The command of `netdrop run`: started, given what only netdrop was told, waited for.
//!
//! Both share the terminal and its foreground process group. What the terminal sends (Ctrl-C, Ctrl-\, a hang-up) reaches the command
//! by itself; what somebody sends to netdrop alone is passed on. The two differ in `si_code`: the kernel's own or a process's.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use nix::libc;
use signal_hook_registry::{SigId, register_sigaction, unregister};
use tokio::process::{Child, Command as Process};

/// What is passed on. Signals that stop and continue concern the whole group.
const PASSED_ON: [i32; 6] =
    [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2];

/// A command that runs.
#[derive(Debug)]
pub struct Command {
    child: Child,
    signals: Vec<SigId>,
    target: Arc<Target>,
}

/// The process to pass signals on to, and those that came before it was there.
#[derive(Debug, Default)]
struct Target {
    /// 0 before it is there, -1 when it is gone.
    pid: AtomicI32,
    /// A bit a signal.
    early: AtomicU64,
}

impl Target {
    const GONE: i32 = -1;

    /// Called by the signal's handler: loads and stores atomics, and makes a system call.
    fn pass_on(&self, signal: i32) {
        self.early.fetch_or(1 << signal, Ordering::SeqCst);
        self.deliver();
    }

    fn is_now(&self, pid: i32) {
        self.pid.store(pid, Ordering::SeqCst);
        self.deliver();
    }

    /// Whoever comes last of the process and the signal finds the other.
    fn deliver(&self) {
        let pid = self.pid.load(Ordering::SeqCst);
        if pid == 0 {
            return;
        }
        let signals = self.early.swap(0, Ordering::SeqCst);
        for signal in PASSED_ON.into_iter().filter(|signal| pid > 0 && signals & (1 << signal) != 0) {
            // SAFETY: kill(2) is async-signal-safe and takes any numbers.
            unsafe { libc::kill(pid, signal) };
        }
    }
}

/// Why a command could not be started or followed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no such program.
    #[error("can't start {0}: there is no such program; is it installed, and in PATH?")]
    NotFound(String),
    /// The kernel refuses to run it.
    #[error("can't start {program}: {error}")]
    NotRunnable {
        /// Its name.
        program: String,
        /// Why not.
        error: io::Error,
    },
    /// Signals couldn't be caught, or its end not awaited.
    #[error("can't follow the command: {0}")]
    Follow(io::Error),
}

impl CommandError {
    /// What env(1), timeout(1) and shells end with then.
    pub fn exit_code(&self) -> u8 {
        const NOT_RUNNABLE: u8 = 126;
        const NOT_FOUND: u8 = 127;
        match self {
            Self::NotFound(_) => NOT_FOUND,
            Self::NotRunnable { .. } => NOT_RUNNABLE,
            Self::Follow(_) => 1,
        }
    }
}

impl Command {
    /// Starts it with netdrop's own input, output and terminal; in the cgroup `cgroup` (a folder), where one is given, so that
    /// all sockets of it and its children belong there. Called inside of the event loop.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(words: &[OsString], cgroup: Option<&Path>) -> Result<Self, CommandError> {
        let [program, arguments @ ..] = words else {
            return Err(CommandError::NotFound(String::new()));
        };
        let name = || program.to_string_lossy().into_owned();
        let mut command = Process::new(program);
        command.args(arguments);
        if let Some(cgroup) = cgroup {
            let members = OpenOptions::new().write(true).open(cgroup.join("cgroup.procs"));
            enter(&mut command, members.map_err(CommandError::Follow)?);
        }
        // Before it is there, so that no signal ends netdrop alone.
        let target = Arc::new(Target::default());
        let signals = catch(&target).map_err(CommandError::Follow)?;
        let started = command.spawn();
        let child = started.map_err(|error| {
            release(&signals);
            match error.kind() {
                io::ErrorKind::NotFound => CommandError::NotFound(name()),
                _ => CommandError::NotRunnable { program: name(), error },
            }
        })?;
        target.is_now(child.id().map_or(Target::GONE, u32::cast_signed));
        Ok(Self { child, signals, target })
    }

    /// Waits until it has ended. Processes that it left behind are not waited for.
    ///
    /// # Errors
    /// When the kernel can't say.
    pub async fn ended(&mut self) -> Result<ExitStatus, CommandError> {
        let status = self.child.wait().await;
        // From here on its number may be another's.
        self.target.is_now(Target::GONE);
        status.map_err(CommandError::Follow)
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        release(&self.signals);
    }
}

/// Gives the signals up again.
fn release(signals: &[SigId]) {
    for signal in signals {
        let _ = unregister(*signal);
    }
}

/// The exit code that stands for how it ended: its own, or 128 and the signal, as in shells.
pub fn exit_code(status: ExitStatus) -> u8 {
    const SIGNALLED: i32 = 128;
    let code = status.code().or_else(|| status.signal().map(|signal| SIGNALLED + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Lets the new process enter a cgroup before it becomes the command.
fn enter(command: &mut Process, members: File) {
    // The writer itself (cgroups(7)).
    const SELF: &[u8] = b"0";
    // SAFETY: between fork and exec only a system call is made.
    unsafe {
        command.pre_exec(move || rustix::io::write(&members, SELF).map(drop).map_err(io::Error::from));
    }
}

/// Passes on what processes send to this one.
fn catch(target: &Arc<Target>) -> io::Result<Vec<SigId>> {
    PASSED_ON
        .into_iter()
        .map(|signal| {
            let target = Arc::clone(target);
            let pass_on = move |info: &libc::siginfo_t| {
                // Zero or less: kill(2), sigqueue(3), tgkill(2). More: the kernel, for the terminal.
                if info.si_code <= 0 {
                    target.pass_on(signal);
                }
            };
            // SAFETY: the handler does what it may, see `Target::pass_on`.
            unsafe { register_sigaction(signal, pass_on) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A signal to this process is passed on to the commands of all tests in it.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    fn run(words: &[&str]) -> Result<u8, CommandError> {
        let _alone = ONE_AT_A_TIME.lock();
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut command = Command::start(&words, None)?;
            command.ended().await.map(exit_code)
        })
    }

    #[rstest::rstest]
    #[case(&["true"], 0)]
    #[case(&["sh", "-c", "exit 7"], 7)]
    #[case(&["sh", "-c", "kill -TERM $$"], 143)]
    #[case(&["sh", "-c", "sleep 2 & exit 3"], 3)]
    fn its_exit_code_is_told(#[case] words: &[&str], #[case] code: u8) {
        assert_eq!(run(words).unwrap(), code);
    }

    #[test]
    fn what_can_t_be_started_is_told_as_shells_do() {
        let missing = run(&["netdrop-no-such-program"]).unwrap_err();
        assert_eq!(missing.exit_code(), 127);
        assert!(missing.to_string().contains("there is no such program"), "{missing}");
        let folder = run(&["/"]).unwrap_err();
        assert_eq!((folder.exit_code(), folder.to_string().starts_with("can't start /: ")), (126, true));
    }

    #[test]
    fn what_is_sent_to_netdrop_alone_reaches_the_command_once() {
        let words = [
            "sh",
            "-c",
            "trap 'n=$((n+1))' USR1; kill -USR1 $PPID; i=0; while [ -z \"$n\" ] && [ $i -lt 100 ]; do sleep 0.05; i=$((i+1)); done; exit ${n:-0}",
        ];
        assert_eq!(run(&words).unwrap(), 1);
    }
}
