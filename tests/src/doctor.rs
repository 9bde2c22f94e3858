//! `netdrop doctor` as a child process: what it found, and its remedies as a person applies them.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::lab::guest::in_guest;
use crate::lab::{Namespace, Skip};
use crate::netdrop::schema;
use crate::runner::Bench;

/// A signal ends it long before.
const WINDOW: &str = "10m";

/// What one examination printed.
pub struct Told {
    pub findings: Vec<Value>,
    pub unchecked: Vec<Value>,
    pub summary: Value,
}

impl Told {
    /// Reads the lines, each within the schema.
    pub fn read(bench: &Bench, text: &str) -> Result<Self> {
        let schema = schema(&bench.netdrop)?;
        let (mut findings, mut unchecked, mut summary) = (Vec::new(), Vec::new(), None);
        for line in text.lines() {
            let value: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
            if let Some(error) = schema.iter_errors(&value).next() {
                bail!("{line} isn't within the schema: {error}");
            }
            match value["kind"].as_str() {
                Some("doctor.finding") => findings.push(value),
                Some("doctor.unchecked") => unchecked.push(value),
                Some("doctor.summary") => summary = Some(value),
                other => bail!("a line of kind {other:?}"),
            }
        }
        Ok(Self { findings, unchecked, summary: summary.context("there is no summary")? })
    }

    /// The one finding of a check.
    pub fn one(&self, check: &str) -> Result<&Value> {
        let found: Vec<_> = self.findings.iter().filter(|finding| finding["check"] == check).collect();
        match found[..] {
            [one] => Ok(one),
            _ => bail!(
                "{} findings of {check} among {:?}, unchecked {:?}",
                found.len(),
                self.findings,
                self.unchecked
            ),
        }
    }

    /// Fails where a check found something.
    pub fn none(&self, check: &str) -> Result<()> {
        let found = self.findings.iter().find(|finding| finding["check"] == check);
        ensure!(found.is_none(), "{check} finds after the remedy: {found:?}");
        let unchecked = self.unchecked.iter().find(|one| one["check"] == check);
        ensure!(unchecked.is_none(), "{check} couldn't look: {unchecked:?}");
        Ok(())
    }
}

/// `netdrop doctor` whose window has begun.
pub struct Doctor {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Doctor {
    /// Starts it and waits until it has read the counters.
    pub fn start(bench: &Bench, arguments: &[&str]) -> Result<Self> {
        Self::start_as(Command::new(&bench.netdrop), arguments)
    }

    /// For a namespace alone.
    pub fn of(bench: &Bench, namespace: &Namespace, only: &str) -> Result<Self> {
        Self::start(bench, &["--netns", namespace.name(), "--only", only])
    }

    pub fn start_as(mut command: Command, arguments: &[&str]) -> Result<Self> {
        command.args(["doctor", "--format", "json", "--window", WINDOW]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("can't run netdrop")?;
        let mut stderr = BufReader::new(child.stderr.take().context("it is piped")?);
        let mut said = String::new();
        while !said.contains("counters are read") {
            if stderr.read_line(&mut said)? == 0 {
                bail!("netdrop ended before it began: {}", said.trim());
            }
        }
        Ok(Self { child, stderr })
    }

    /// Ends the window.
    pub fn end(mut self, bench: &Bench) -> Result<Told> {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT)?;
        let (mut text, mut said) = (String::new(), String::new());
        self.child.stdout.take().context("it is piped")?.read_to_string(&mut text)?;
        self.stderr.read_to_string(&mut said)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "netdrop ended with {status}: {said}");
        Told::read(bench, &text)
    }
}

/// What happens while `work` runs, as the doctor of that namespace sees it.
pub fn examined(
    bench: &Bench,
    namespace: &Namespace,
    only: &str,
    work: impl FnOnce() -> Result<()>,
) -> Result<Told> {
    let doctor = Doctor::of(bench, namespace, only)?;
    work()?;
    doctor.end(bench)
}

/// All that was counted since the boot, as the doctor judges it.
pub fn since_boot(bench: &Bench, only: &str) -> Result<Told> {
    let arguments = ["doctor", "--since-boot", "--format", "json", "--only", only];
    let output = Command::new(&bench.netdrop).args(arguments).output().context("can't run netdrop")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Told::read(bench, &String::from_utf8(output.stdout)?)
}

/// Runs each command of a finding's remedies in a shell, as a person would who copies it. There must be one.
pub fn apply(finding: &Value) -> Result<()> {
    let remedies = finding["remedies"].as_array().context("no remedies")?;
    let commands: Vec<&str> = remedies
        .iter()
        .filter_map(|remedy| remedy["now"].as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    ensure!(!commands.is_empty(), "no command among {remedies:?}");
    for command in commands {
        let output = Command::new("sh").args(["-c", command]).output().context("no shell")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`{command}`: {said}");
    }
    Ok(())
}

/// A setting of the whole host, as it was at the end.
pub struct Kept(Vec<(&'static str, String)>);

impl Kept {
    /// Guests alone may be put through it.
    pub fn of_guest(files: &[&'static str]) -> Result<Self> {
        in_guest("settings of the whole host are changed")?;
        let kept = files.iter().map(|file| {
            let text = std::fs::read_to_string(format!("/proc/sys/{file}"))
                .map_err(|error| Skip(format!("no {file} here: {error}")))?;
            Ok((*file, text))
        });
        Ok(Self(kept.collect::<Result<_>>()?))
    }

    pub fn set(file: &str, value: &str) -> Result<()> {
        std::fs::write(format!("/proc/sys/{file}"), value).with_context(|| format!("can't set {file}"))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for (file, value) in &self.0 {
            // What remains is told by the cases to come.
            let _ = Self::set(file, value.trim());
        }
    }
}
