//! One network namespace under `/run/netns`, as ip-netns(8) lays it out, so that `ip -n` and netdrop find its name.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

use super::Skip;

const FOLDER: &str = "/run/netns";
const PREFIX: &str = "ndtest";

/// A network namespace of our own; it and all its links go when this is dropped.
pub struct Namespace {
    name: String,
    file: File,
    inode: u64,
}

impl Namespace {
    /// Makes the namespace `ndtest-<pid>-<number>-<role>` with the loopback up and IPv6 off for links made later.
    pub fn create(role: &str) -> Result<Self> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}-{}-{number}-{role}", std::process::id());
        let path = PathBuf::from(FOLDER).join(&name);
        fs::create_dir_all(FOLDER).with_context(|| format!("can't make {FOLDER}"))?;
        File::create(&path).with_context(|| format!("can't make {}", path.display()))?;
        // A thread of its own: unshare(2) moves only the calling thread.
        let bound = std::thread::scope(|scope| {
            scope
                .spawn(|| -> Result<()> {
                    unshare(CloneFlags::CLONE_NEWNET).context("unshare(CLONE_NEWNET)")?;
                    mount(
                        Some("/proc/thread-self/ns/net"),
                        &path,
                        None::<&str>,
                        MsFlags::MS_BIND,
                        None::<&str>,
                    )
                    .context("bind mount of the namespace")
                })
                .join()
                .expect("the thread only returns errors")
        });
        if let Err(error) = bound {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        let file = File::open(&path)?;
        let inode = file.metadata()?.ino();
        let namespace = Self { name, file, inode };
        // IPv6 sends router solicitations and listener reports unasked: it is on only where a scenario tests it.
        for scope in ["all", "default"] {
            namespace.sysctl(&format!("net/ipv6/conf/{scope}/disable_ipv6"), "1")?;
        }
        namespace.ip(&["link set lo up"])?;
        Ok(namespace)
    }

    /// The name under `/run/netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The inode of `/proc/…/ns/net`, which identifies the namespace.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Path that iproute2 takes as the argument of `netns`.
    pub fn path(&self) -> String {
        format!("{FOLDER}/{}", self.name)
    }

    /// Runs `work` inside the namespace; sockets opened there stay there.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.file, CloneFlags::CLONE_NEWNET)
                    .with_context(|| format!("setns({})", self.name))?;
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A command that will run inside the namespace.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let namespace = self.file.as_raw_fd();
        // SAFETY: setns(2) is async-signal-safe and the descriptor lives as long as `self`.
        unsafe {
            command.pre_exec(move || match libc::setns(namespace, libc::CLONE_NEWNET) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        command
    }

    /// Runs `line`, words split at blanks, with `input` on its standard input; fails with what it printed. A program that is not installed is a [`Skip`].
    pub fn run_with_input(&self, line: &str, input: &str) -> Result<()> {
        let mut words = line.split_whitespace();
        let program = words.next().context("an empty command line")?;
        let spawned = self
            .command(program)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match spawned {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Skip(format!("{program} is not installed")).into());
            }
            other => other.with_context(|| format!("can't run {program}"))?,
        };
        if let Some(mut pipe) = child.stdin.take() {
            // A program that failed early closes its input; its own message says more than EPIPE would.
            let _ = std::io::Write::write_all(&mut pipe, input.as_bytes());
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let said = [&output.stderr[..], &output.stdout[..]].concat();
            let said = String::from_utf8_lossy(&said);
            bail!("`{line}` {input:?}: {}", said.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        Ok(())
    }

    /// Runs lines of ip(8) in one process.
    pub fn ip(&self, lines: &[&str]) -> Result<()> {
        self.run_with_input("ip -batch -", &(lines.join("\n") + "\n"))
    }

    /// Runs a command that needs a kernel feature: its refusal skips the scenario, with the kernel's words.
    pub fn feature(&self, what: &str, line: &str, input: &str) -> Result<()> {
        self.run_with_input(line, input).map_err(|error| match error.downcast::<Skip>() {
            Ok(skip) => skip.into(),
            Err(error) => Skip(format!("no {what} here: {error}")).into(),
        })
    }

    /// Writes `/proc/sys/<key>` as seen inside the namespace.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        self.enter(|| {
            fs::write(format!("/proc/sys/{key}"), value).with_context(|| format!("sysctl {key}={value}"))
        })
    }

    /// A counter of `/proc/net/snmp` or `netstat` inside the namespace, such as (`Udp`, `RcvbufErrors`).
    pub fn counter(&self, group: &str, name: &str) -> Result<u64> {
        self.enter(|| {
            let text = fs::read_to_string("/proc/thread-self/net/snmp")?
                + &fs::read_to_string("/proc/thread-self/net/netstat")?;
            let prefix = format!("{group}:");
            let mut lines = text.lines().filter(|line| line.starts_with(&prefix));
            let (names, values) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
            let found = names.split_whitespace().zip(values.split_whitespace()).find(|(key, _)| *key == name);
            let (_, value) = found.with_context(|| format!("no counter {group}.{name}"))?;
            Ok(value.parse()?)
        })
    }

    /// A line of `/proc/net/snmp6`, such as `Udp6RcvbufErrors`.
    pub fn counter6(&self, name: &str) -> Result<u64> {
        self.enter(|| {
            let text = fs::read_to_string("/proc/thread-self/net/snmp6")?;
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            Ok(line.with_context(|| format!("no counter {name}"))?.trim().parse()?)
        })
    }

    /// The index and name of each device inside.
    pub fn devices(&self) -> Result<Vec<(u32, String)>> {
        self.enter(|| {
            let list = nix::net::if_::if_nameindex()?;
            Ok(list.iter().map(|link| (link.index(), link.name().to_string_lossy().into_owned())).collect())
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&PathBuf::from(self.path()));
    }
}

fn remove(path: &PathBuf) {
    // Nothing can be done about a failure here; the next run's `remove_leftovers` tries again.
    let _ = umount2(path, MntFlags::MNT_DETACH);
    let _ = fs::remove_file(path);
}

/// Removes namespaces of earlier runs that were killed.
pub fn remove_leftovers() {
    for entry in fs::read_dir(FOLDER).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').nth(1)?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !PathBuf::from(format!("/proc/{pid}")).exists()) {
            remove(&entry.path());
        }
    }
}
