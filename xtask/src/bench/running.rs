//! One tool at work: from its start to what it says at its end.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use super::bpf::{Program, Statistics};
use super::flood::Flood;
use super::tool::{Kind, PERF_PIPES, Tool};

/// A tool that takes longer to attach, or to end, is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a pipe holds at most without further privileges: a tool shall not wait for the bench.
const PIPE_BYTES: i32 = 1 << 20;

/// A tool that is attached.
pub struct Running {
    child: Child,
    kind: Kind,
    listeners: Vec<JoinHandle<Heard>>,
    /// From exec until it was attached.
    pub start_up: Duration,
}

/// What a tool said on one of its outputs.
#[derive(Default)]
struct Heard {
    counted: Option<u64>,
    last_lines: Vec<String>,
}

/// Resident memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// `VmHWM`
    pub peak: u64,
    /// `VmRSS`
    pub now: u64,
}

impl Running {
    /// Starts a tool that follows drops and waits until it is attached. `folder` is where perf looks for its pipes.
    pub fn start(tool: &Tool, flood: &Flood, folder: &Path) -> Result<Self> {
        Self::start_with(tool, flood, folder, || flood.send_one())
    }

    /// The same for any tool: `poke` makes one of the events that it waits for.
    pub fn start_with(
        tool: &Tool,
        flood: &Flood,
        folder: &Path,
        poke: impl Fn() -> Result<()> + Sync,
    ) -> Result<Self> {
        let mut pipes = (tool.kind == Kind::Perf).then(|| PerfPipes::make(folder)).transpose()?;
        let (sender, attached) = channel();
        let start = Instant::now();
        let mut child = Command::new(&tool.command[0])
            .args(&tool.command[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", tool.name))?;
        let outputs = (child.stdout.take(), child.stderr.take());
        let (Some(stdout), Some(stderr)) = outputs else { bail!("{} has no pipes", tool.name) };
        let _ = fcntl(&stdout, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
        let listeners = vec![listen(stdout, tool.kind, sender.clone()), listen(stderr, tool.kind, sender)];
        let mut running = Self { child, kind: tool.kind, listeners, start_up: Duration::ZERO };
        let attached_at = match &mut pipes {
            Some(pipes) => pipes.wait_for_answer(),
            None if tool.kind == Kind::Netdrop => said_so(&attached),
            None => first_run(&mut running.child, flood, &poke),
        };
        match attached_at {
            Ok(at) => running.start_up = at - start,
            Err(error) => bail!("{error}: {}", running.give_up()),
        }
        Ok(running)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The BPF programs that it has loaded.
    pub fn programs(&self) -> Result<Vec<Program>> {
        Program::held_by(self.child.id())
    }

    pub fn memory(&self) -> Result<Memory> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        memory(&status).with_context(|| format!("{path} tells no resident memory"))
    }

    /// Interrupts it; returns what it lost of `drops`.
    pub fn stop(self, drops: u64) -> Result<u64> {
        let kind = self.kind;
        kind.lost(self.end()?, drops)
    }

    /// Interrupts it, as Ctrl-C does; returns the sum of what its lines said that it counted.
    pub fn end(mut self) -> Result<Option<u64>> {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGINT).context("it ended by itself")?;
        let start = Instant::now();
        while self.child.try_wait().context("cannot wait for it")?.is_none() {
            ensure!(start.elapsed() < PATIENCE, "it did not end within {} s", PATIENCE.as_secs());
            thread::sleep(Duration::from_millis(5));
        }
        let counts = self.listeners.drain(..).filter_map(|listener| listener.join().ok()?.counted);
        Ok(counts.reduce(|sum, count| sum + count))
    }

    /// Ends it at once; returns the last lines it said.
    fn give_up(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let heard = self.listeners.drain(..).filter_map(|listener| listener.join().ok());
        heard.flat_map(|heard| heard.last_lines).collect::<Vec<_>>().join("; ")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads all that a tool says, so that it never waits, and remembers what matters.
fn listen(from: impl Read + Send + 'static, kind: Kind, attached: Sender<Instant>) -> JoinHandle<Heard> {
    thread::spawn(move || {
        const KEPT: usize = 3;
        let mut heard = Heard::default();
        let mut reader = BufReader::with_capacity(1 << 18, from);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            let at = Instant::now();
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            if kind.says_attached(text) {
                // The receiver is gone once the tool is known to be attached.
                let _ = attached.send(at);
            }
            if let Some(count) = kind.count_in(text) {
                heard.counted = Some(heard.counted.unwrap_or(0) + count);
            }
            if heard.last_lines.len() == KEPT {
                heard.last_lines.remove(0);
            }
            heard.last_lines.push(text.to_owned());
            line.clear();
        }
        heard
    })
}

fn said_so(attached: &Receiver<Instant>) -> Result<Instant> {
    attached.recv_timeout(PATIENCE).context("it did not say that it is attached")
}

/// Pokes each millisecond until one of the process' programs has run.
fn first_run(child: &mut Child, flood: &Flood, poke: &(impl Fn() -> Result<()> + Sync)) -> Result<Instant> {
    let _statistics = Statistics::enable()?;
    let start = Instant::now();
    // On the flood's CPU, because the tool needs its own.
    flood.on_its_cpu(|| {
        while start.elapsed() < PATIENCE {
            poke()?;
            let at = Instant::now();
            ensure!(child.try_wait()?.is_none(), "it ended at once");
            for program in Program::held_by(child.id())? {
                if program.runs()?.count > 0 {
                    return Ok(at);
                }
            }
            thread::sleep(Duration::from_millis(1));
        }
        bail!("none of its programs ran within {} s", PATIENCE.as_secs())
    })
}

/// perf answers a `ping` once its events are open.
struct PerfPipes {
    _control: File,
    answer: File,
}

impl PerfPipes {
    fn make(folder: &Path) -> Result<Self> {
        let [mut control, answer] = PERF_PIPES.map(|name| open_pipe(&folder.join(name)));
        if let Ok(control) = &mut control {
            control.write_all(b"ping\n").context("cannot write to perf's pipe")?;
        }
        Ok(Self { _control: control?, answer: answer? })
    }

    fn wait_for_answer(&mut self) -> Result<Instant> {
        let mut fds = [PollFd::new(self.answer.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(PATIENCE).context("a shorter time than poll(2) takes")?;
        ensure!(poll(&mut fds, timeout)? > 0, "perf did not answer on its pipe");
        let at = Instant::now();
        let mut answer = [0; 16];
        let bytes = self.answer.read(&mut answer).context("cannot read perf's answer")?;
        ensure!(answer[..bytes].starts_with(b"ack"), "perf did not answer `ack`");
        Ok(at)
    }
}

/// Opened for both directions, a named pipe keeps nobody waiting for its other end.
fn open_pipe(path: &Path) -> Result<File> {
    let _ = fs::remove_file(path);
    mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).with_context(|| format!("cannot make {}", path.display()))?;
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.with_context(|| format!("cannot open {}", path.display()))
}

/// From the text of `/proc/PID/status` (`proc_pid_status(5)`).
fn memory(status: &str) -> Option<Memory> {
    let bytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    };
    Some(Memory { peak: bytes("VmHWM:")?, now: bytes("VmRSS:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(memory(status), Some(Memory { peak: 2 << 20, now: 1 << 20 }));
        assert_eq!(memory("VmHWM:\t 1 kB\n"), None);
    }
}
