//! netdrop as a child process: start, wait for its attach, read its lines, end it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::lab::until;
use crate::report::{Report, Row, Watcher};

/// Generous, because a virtual machine without acceleration is slow.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running `netdrop watch --format json`.
pub struct Netdrop {
    child: Child,
    state: Arc<Mutex<State>>,
    schema: &'static jsonschema::Validator,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    /// What the first so many of them have come to.
    so_far: Report,
    read: usize,
    stdout_closed: bool,
    stderr: String,
    stderr_closed: bool,
}

impl Netdrop {
    /// Starts `netdrop watch --format json <arguments>` and waits until its program is attached.
    pub fn start<A: AsRef<OsStr>>(path: &Path, arguments: &[A]) -> Result<Self> {
        Self::start_with(path, arguments, |_| {})
    }

    /// As [`Self::start`], after `prepare` has changed its surroundings.
    pub fn start_with<A: AsRef<OsStr>>(
        path: &Path,
        arguments: &[A],
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let mut netdrop = Self::spawn(path, arguments, prepare)?;
        netdrop.read();
        Ok(netdrop)
    }

    /// As [`Self::start`], but nobody reads its standard output until [`Self::read`].
    pub fn start_unread<A: AsRef<OsStr>>(path: &Path, arguments: &[A]) -> Result<Self> {
        Self::spawn(path, arguments, |_| {})
    }

    fn spawn<A: AsRef<OsStr>>(
        path: &Path,
        arguments: &[A],
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let schema = schema(path)?;
        let mut command = Command::new(path);
        command.args(["watch", "--format", "json", "--interval", "200ms"]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        prepare(&mut command);
        let mut child = command.spawn().with_context(|| format!("can't run {}", path.display()))?;
        let state = Arc::new(Mutex::new(State::default()));
        let stderr = child.stderr.take().context("stderr is piped")?;
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lock(&shared).stderr.push_str(&(line + "\n"));
            }
            lock(&shared).stderr_closed = true;
        });
        let netdrop = Self { child, state, schema };
        until("netdrop to attach", PATIENCE, || {
            let state = netdrop.state();
            if state.stderr.contains("attached") {
                return Ok(Some(()));
            }
            ensure!(!state.stderr_closed, "netdrop ended before it attached: {}", state.stderr.trim());
            Ok(None)
        })?;
        Ok(netdrop)
    }

    /// Starts to read its standard output.
    pub fn read(&mut self) {
        let Some(stdout) = self.child.stdout.take() else { return };
        let shared = Arc::clone(&self.state);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                lock(&shared).lines.push(line);
            }
            lock(&shared).stdout_closed = true;
        });
    }

    /// Closes the reading end of its standard output.
    pub fn close_stdout(&mut self) {
        drop(self.child.stdout.take());
        lock(&self.state).stdout_closed = true;
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(self.pid(), signal)?)
    }

    /// The drop lines that it has written so far.
    pub fn drops_so_far(&self) -> Vec<Value> {
        self.so_far().drops
    }

    /// Waits for its end by itself or by an earlier signal; gives status, all lines, and standard error.
    pub fn wait(&mut self) -> Result<(ExitStatus, Vec<Value>, String)> {
        self.read();
        let status = until("netdrop to end", PATIENCE, || Ok(self.child.try_wait()?))?;
        until("the end of netdrop's output", PATIENCE, || {
            let state = self.state();
            Ok((state.stdout_closed && state.stderr_closed).then_some(()))
        })?;
        let mut state = self.state();
        let lines = std::mem::take(&mut state.lines);
        let values = lines.iter().map(|line| self.checked(line)).collect::<Result<_>>()?;
        Ok((status, values, state.stderr.clone()))
    }

    /// Waits for the end and takes the totals of the `end` line.
    pub fn report(&mut self) -> Result<Report> {
        let (status, lines, stderr) = self.wait()?;
        ensure!(status.success(), "netdrop ended with {status}: {}", stderr.trim());
        let end = lines.last().filter(|line| line["kind"] == "end").context("no `end` line at the end")?;
        let report = Report {
            rows: rows(end)?,
            accounts: Some(serde_json::from_value(end["accounts"].clone()).context("accounts of `end`")?),
            drops: lines.iter().filter(|line| line["kind"] == "drop").cloned().collect(),
        };
        Ok(report)
    }

    fn checked(&self, line: &str) -> Result<Value> {
        let value: Value = serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
        if let Err(error) = self.schema.validate(&value) {
            bail!("against the schema: {error} at {}: {line}", error.instance_path());
        }
        Ok(value)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Watcher for Netdrop {
    fn so_far(&self) -> Report {
        let state = &mut *self.state();
        for line in &state.lines[state.read..] {
            let Ok(value) = serde_json::from_str::<Value>(line) else { continue };
            match value["kind"].as_str() {
                Some("summary") => state.so_far.rows.extend(rows(&value).unwrap_or_default()),
                Some("drop") => state.so_far.drops.push(value),
                _ => {}
            }
        }
        state.read = state.lines.len();
        state.so_far.clone()
    }

    fn finish(mut self: Box<Self>) -> Result<Report> {
        self.signal(Signal::SIGINT)?;
        self.report()
    }
}

impl Drop for Netdrop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command line of netdrop gave, when it ends by itself.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `command` to its end; fails if it takes too long.
pub fn run_to_end(command: &mut Command) -> Result<Ended> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let readers = [
        child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
    ]
    .map(|pipe| {
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = pipe.map(|mut pipe| pipe.read_to_string(&mut text));
            text
        })
    });
    let status = until("netdrop to end", PATIENCE, || Ok(child.try_wait()?));
    if status.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let [stdout, stderr] = readers.map(|reader| reader.join().unwrap_or_default());
    Ok(Ended { code: status?.code(), stdout, stderr })
}

fn rows(line: &Value) -> Result<Vec<Row>> {
    serde_json::from_value(line["rows"].clone()).with_context(|| format!("rows of {}", line["kind"]))
}

/// What all lines are checked against, compiled once a run: all that runs is the same netdrop.
pub(crate) fn schema(path: &Path) -> Result<&'static jsonschema::Validator> {
    static SCHEMA: OnceLock<jsonschema::Validator> = OnceLock::new();
    if let Some(schema) = SCHEMA.get() {
        return Ok(schema);
    }
    let ended = run_to_end(Command::new(path).args(["watch", "--schema"]))
        .with_context(|| format!("can't run {}", path.display()))?;
    ensure!(ended.code == Some(0), "`netdrop watch --schema` failed: {}", ended.stderr.trim());
    let schema = serde_json::from_str(&ended.stdout).context("the schema is not JSON")?;
    let schema = jsonschema::validator_for(&schema)
        .map_err(|error| anyhow::anyhow!("the schema is invalid: {error}"))?;
    Ok(SCHEMA.get_or_init(|| schema))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no thread panics with the lock")
}
