//! `netdrop serve` as a child process, and what its web server says.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::lab::{Folder, Namespace, until};
use crate::runner::Bench;
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Generous, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running daemon, in a network namespace.
pub struct Daemon<'n> {
    child: Child,
    namespace: &'n Namespace,
    address: SocketAddr,
    stderr: Arc<Mutex<String>>,
    _folder: Folder,
}

/// An answer of its web server.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl<'n> Daemon<'n> {
    /// Starts it with `settings`, and waits until it is ready. It listens at `address`, which the settings must not name.
    pub fn start(
        bench: &Bench,
        namespace: &'n Namespace,
        address: SocketAddr,
        settings: &str,
    ) -> Result<Self> {
        Self::start_with(bench, namespace, address, settings, |_| {})
    }

    /// As [`Self::start`], after `prepare` has changed its surroundings.
    pub fn start_with(
        bench: &Bench,
        namespace: &'n Namespace,
        address: SocketAddr,
        settings: &str,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let folder = Folder::create()?;
        let config = folder.file("netdrop.toml");
        fs::write(&config, settings).context("can't write the settings")?;
        let mut command = namespace.command(&bench.netdrop.to_string_lossy());
        command.args(["serve", "--config", &config, "--set", &format!("http.listen={address}")]);
        prepare(&mut command);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let stderr = Arc::new(Mutex::new(String::new()));
        let (said, shared) = (child.stderr.take().context("stderr is piped")?, Arc::clone(&stderr));
        std::thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                shared.lock().expect("nobody panics with it").push_str(&(line + "\n"));
            }
        });
        let mut daemon = Self { child, namespace, address, stderr, _folder: folder };
        until("the daemon to be ready", PATIENCE, || {
            if let Some(status) = daemon.child.try_wait()? {
                bail!("it ended with {status}: {}", daemon.said());
            }
            Ok(daemon.get("/readyz").ok().filter(|answer| answer.status == 200).map(drop))
        })
        .with_context(|| daemon.said())?;
        Ok(daemon)
    }

    /// What it has said on standard error.
    pub fn said(&self) -> String {
        self.stderr.lock().expect("nobody panics with it").clone()
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// GET of a path.
    pub fn get(&self, path: &str) -> Result<Answer> {
        get(self.namespace, self.address, path)
    }

    /// The sum of the samples of `/metrics` whose line begins with `name` and holds all of `labels`, as in `reason="X"`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        let answer = self.get("/metrics")?;
        ensure!(answer.status == 200, "/metrics: {answer:?}");
        Ok(sum(&answer.body, name, labels))
    }

    /// A line of `/proc/PID/status`, in its unit.
    pub fn status(&self, name: &str) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
        number.with_context(|| format!("no {name} in its status"))
    }

    /// Its open descriptors.
    pub fn descriptors(&self) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.pid()))?.count())
    }

    /// Ends it as systemd does, and gives what it said.
    pub fn stop(mut self) -> Result<String> {
        kill(self.pid(), Signal::SIGTERM)?;
        let status = until("the daemon to end", PATIENCE, || Ok(self.child.try_wait()?))?;
        ensure!(status.success(), "it ended with {status}: {}", self.said());
        Ok(self.said())
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// GET of a path at an address inside a namespace.
pub fn get(namespace: &Namespace, address: SocketAddr, path: &str) -> Result<Answer> {
    let text = namespace.enter(|| {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    })?;
    let (head, body) = text.split_once("\r\n\r\n").context("an answer without an end of its head")?;
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    Ok(Answer { status: status.with_context(|| format!("no status: {head}"))?, body: body.to_owned() })
}

/// See [`Daemon::metric`].
fn sum(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let samples = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (with, value) = rest.rsplit_once(' ')?;
        let whole_name = with.is_empty() || with.starts_with('{');
        (whole_name && labels.iter().all(|label| with.contains(label))).then(|| value.parse::<f64>().ok())?
    });
    samples.sum()
}
