//! `netdrop run`: the command's end, signals and terminal are its own; the drops are those of its window.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::libc;
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, setsid};
use serde_json::Value;

use super::socket::{FullServer, with_receiving_socket};
use crate::lab::{Folder, Lab, until};
use crate::netdrop::{Ended, run_to_end};
use crate::runner::Bench;
use crate::scenario::System;

const PATIENCE: Duration = Duration::from_mins(1);
const PACKETS: u64 = 100;

pub fn table() -> Vec<System> {
    vec![
        System::new("run-ends-with-the-commands-code", |bench| code(bench, &["sh", "-c", "exit 7"], 7)),
        System::new("run-ends-with-the-commands-signal", |bench| {
            code(bench, &["sh", "-c", "kill -TERM $$"], 143)
        }),
        System::new("run-of-no-program", |bench| code(bench, &["netdrop-no-such-program"], 127)),
        System::new("run-of-what-is-no-program", |bench| code(bench, &["/"], 126)),
        System::new("run-shorter-than-a-millisecond", |bench| code(bench, &["true"], 0)),
        System::new("run-daemonizes", daemonizes),
        System::new("run-counts-its-window", window),
        System::new("run-output-is-the-commands", |bench| {
            let ended = run(bench, &[], &["sh", "-c", "echo out; echo err >&2"])?;
            ensure!(ended.stdout == "out\n", "standard output: {:?}", ended.stdout);
            ensure!(ended.stderr.contains("err\n") && ended.stderr.contains(" drops"), "{}", ended.stderr);
            Ok(())
        }),
        System::new("run-fails-on", fails_on),
        System::new("run-repeats", repeats),
        System::new("run-warm-up-longer-than-the-command", |bench| {
            let ended = run(bench, &["--warmup", "30s"], &["true"])?;
            ensure!(
                ended.code == Some(1) && ended.stderr.contains("ended in the warm-up"),
                "{}",
                ended.stderr
            );
            Ok(())
        }),
        System::new("run-scope-tree", scope_tree),
        System::new("run-terminate-netdrop-alone", terminated),
        System::new("run-ctrl-c-reaches-the-command-once", ctrl_c),
    ]
}

fn run(bench: &Bench, flags: &[&str], command: &[&str]) -> Result<Ended> {
    run_to_end(Command::new(&bench.netdrop).arg("run").args(flags).arg("--").args(command))
}

fn code(bench: &Bench, command: &[&str], expected: i32) -> Result<()> {
    let ended = run(bench, &[], command)?;
    ensure!(ended.code == Some(expected), "ended with {:?}: {}", ended.code, ended.stderr);
    Ok(())
}

/// What the command leaves behind isn't waited for.
fn daemonizes(bench: &Bench) -> Result<()> {
    const LEFT: &str = "20";
    let start = Instant::now();
    // In a cgroup of its own, which must go away all the same.
    let script = format!("sleep {LEFT} </dev/null >/dev/null 2>&1 & echo $!");
    let ended = run(bench, &["--scope", "tree"], &["sh", "-c", &script])?;
    let left: i32 = ended.stdout.trim().parse().with_context(|| format!("no process: {}", ended.stderr))?;
    let lives = kill(Pid::from_raw(left), Signal::SIGKILL);
    ensure!(ended.code == Some(0), "ended with {:?}: {}", ended.code, ended.stderr);
    ensure!(lives.is_ok(), "what the command left was ended with it, after {:?}", start.elapsed());
    Ok(())
}

/// A command that lives until its standard input is closed, under `netdrop run` in a namespace; the report is a line of JSON.
struct Window {
    child: Child,
    folder: Folder,
}

impl Window {
    fn open(bench: &Bench, lab: &Lab, flags: &[&str], command: &[&str]) -> Result<Self> {
        let folder = Folder::create()?;
        let mut netdrop = lab.receiver.command(&bench.netdrop.to_string_lossy());
        netdrop
            .args(["run", "--format", "json", "--output"])
            .arg(report(&folder))
            .args(flags)
            .arg("--")
            .args(command);
        let child = netdrop.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        Ok(Self { child, folder })
    }

    /// The next line of the command's.
    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let stdout = self.child.stdout.as_mut().context("it is piped")?;
        BufReader::with_capacity(1, stdout).read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Ends the command; gives what is left of its output, and netdrop's last line.
    fn close(mut self) -> Result<(String, Value)> {
        drop(self.child.stdin.take());
        let status = until("netdrop to end", PATIENCE, || Ok(self.child.try_wait()?))?;
        let mut rest = String::new();
        self.child.stdout.take().context("it is piped")?.read_to_string(&mut rest)?;
        let mut said = String::new();
        self.child.stderr.take().context("it is piped")?.read_to_string(&mut said)?;
        ensure!(status.success(), "ended with {status}: {said}");
        let lines = fs::read_to_string(report(&self.folder))?;
        let end = lines.lines().last().context("no report")?;
        Ok((rest, serde_json::from_str(end)?))
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn report(folder: &Folder) -> PathBuf {
    PathBuf::from(folder.file("report.json"))
}

fn counted(end: &Value, reason_or_function: &str) -> u64 {
    let rows = end["rows"].as_array().into_iter().flatten();
    let has = |row: &&Value| row["reason"] == reason_or_function || row["function"] == reason_or_function;
    rows.filter(has).filter_map(|row| row["count"].as_u64()).sum()
}

/// Exactly what is dropped while the command runs, in its namespace.
fn window(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let sender = lab.receiver.enter(|| Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?))?;
    let refuse = |packets| -> Result<()> {
        for _ in 0..packets {
            sender.send_to(b"hey", (Ipv4Addr::LOCALHOST, 9))?;
        }
        Ok(())
    };
    refuse(7)?;
    let mut window = Window::open(bench, &lab, &["--scope", "netns"], &["sh", "-c", "echo ready; cat"])?;
    ensure!(window.line()? == "ready", "the command didn't start");
    refuse(PACKETS)?;
    let (_, end) = window.close()?;
    refuse(7)?;
    let rows: u64 =
        end["rows"].as_array().into_iter().flatten().filter_map(|row| row["count"].as_u64()).sum();
    ensure!(rows == PACKETS, "{rows} of {PACKETS} counted: {end}");
    Ok(())
}

/// Two servers that differ in nothing but that one of them is the command.
fn scope_tree(bench: &Bench) -> Result<()> {
    let lab = with_receiving_socket()?;
    let other = FullServer::bind(&lab.receiver, 0)?;
    let this = std::env::current_exe()?;
    let mut window = Window::open(bench, &lab, &["--scope", "tree"], &[&this.to_string_lossy(), "--unread"])?;
    let address: SocketAddr = window.line()?.parse().context("the command told no address")?;
    for _ in 0..PACKETS {
        other.sender.send_to(b"hey", address)?;
        other.sender.send_to(b"hey", other.address)?;
    }
    let (rest, end) = window.close()?;
    let dropped: u64 = rest.trim().parse().with_context(|| format!("the command told no drops: {rest:?}"))?;
    let seen = counted(&end, "SOCKET_RCVBUFF");
    ensure!(
        dropped > PACKETS / 2 && seen == dropped,
        "its socket dropped {dropped}, {seen} were reported: {end}"
    );
    ensure!(end["accounts"]["filtered"].as_u64() >= Some(PACKETS), "the other's are left out: {end}");
    Ok(())
}

fn fails_on(bench: &Bench) -> Result<()> {
    let folder = Folder::create()?;
    let junit = PathBuf::from(folder.file("junit.xml"));
    let script = "true";
    let flags = ["--fail-on", "drops>=0", "--fail-on", "lost>0", "--junit", &junit.to_string_lossy()];
    let ended = run(bench, &flags, &["sh", "-c", script])?;
    ensure!(ended.code == Some(3), "ended with {:?}: {}", ended.code, ended.stderr);
    ensure!(ended.stderr.contains("netdrop: --fail-on drops>=0: "), "{}", ended.stderr);
    ensure!(!ended.stderr.contains("--fail-on lost"), "{}", ended.stderr);
    let xml = fs::read_to_string(&junit)?;
    ensure!(xml.contains("tests=\"2\" failures=\"1\""), "{xml}");
    // What makes no sense is refused before anything runs.
    let ended = run(bench, &["--fail-on", "class=kongestion"], &["sh", "-c", "echo ran"])?;
    ensure!(ended.code == Some(2) && ended.stdout.is_empty(), "{:?}: {}", ended.code, ended.stdout);
    Ok(())
}

fn repeats(bench: &Bench) -> Result<()> {
    let ended = run(bench, &["--repeat", "3"], &["sh", "-c", "echo once; exit 4"])?;
    ensure!(
        ended.code == Some(4) && ended.stdout == "once\n".repeat(3),
        "{:?}: {}",
        ended.code,
        ended.stdout
    );
    ensure!(ended.stderr.contains("3 runs: "), "{}", ended.stderr);
    Ok(())
}

/// Counts the interrupts that it gets until it is told to stop; says when it is ready.
const COUNTING: &str =
    "n=0; trap 'n=$((n+1))' INT; echo ready; while [ ! -e \"$0\" ]; do sleep 0.05; done; echo got $n";

/// A signal to netdrop alone is for the command.
fn terminated(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let mut window = Window::open(
        bench,
        &lab,
        &[],
        &["sh", "-c", "trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.05; done"],
    )?;
    ensure!(window.line()? == "ready", "the command didn't start");
    kill(Pid::from_raw(window.child.id().cast_signed()), Signal::SIGTERM)?;
    let status = until("netdrop to end", PATIENCE, || Ok(window.child.try_wait()?))?;
    ensure!(window.line()? == "told" && status.code() == Some(5), "ended with {status}");
    Ok(())
}

/// A terminal's interrupt reaches its whole foreground group: netdrop must not pass it on as well.
fn ctrl_c(bench: &Bench) -> Result<()> {
    const CTRL_C: &[u8] = b"\x03";
    let folder = Folder::create()?;
    let stop = PathBuf::from(folder.file("stop"));
    let pty = openpty(None, None)?;
    let mut child = on_terminal(bench, &pty.slave, &stop)?;
    drop(pty.slave);
    let mut terminal = fs::File::from(pty.master);
    let mut seen = expect(&mut terminal, String::new(), "ready")?;
    terminal.write_all(CTRL_C)?;
    // The terminal shows it as soon as it has sent the signal.
    seen = expect(&mut terminal, seen, "^C")?;
    fs::write(&stop, "")?;
    seen = expect(&mut terminal, seen, "got ")?;
    let status = until("netdrop to end", PATIENCE, || Ok(child.try_wait()?));
    let _ = child.kill();
    let status = status?;
    ensure!(seen.contains("got 1"), "{seen}");
    ensure!(status.success(), "ended with {status}: {seen}");
    Ok(())
}

/// `netdrop run` as the leader of a session on this terminal.
fn on_terminal(bench: &Bench, terminal: &OwnedFd, stop: &Path) -> Result<Child> {
    let end = || -> Result<Stdio> { Ok(terminal.as_fd().try_clone_to_owned()?.into()) };
    let mut command = Command::new(&bench.netdrop);
    command.args(["run", "--output"]).arg(stop.with_extension("report"));
    command.args(["--", "sh", "-c", COUNTING]).arg(stop).stdin(end()?).stdout(end()?).stderr(end()?);
    // SAFETY: both are system calls.
    unsafe {
        command.pre_exec(|| {
            setsid()?;
            match libc::ioctl(0, libc::TIOCSCTTY, 0) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    command.spawn().context("can't run netdrop on a terminal")
}

/// Reads on until the text was seen; what was read.
fn expect(terminal: &mut fs::File, mut seen: String, text: &str) -> Result<String> {
    let mut bytes = [0; 256];
    while !seen.contains(text) || !seen.ends_with('\n') && text == "got " {
        let count = terminal.read(&mut bytes).unwrap_or(0);
        ensure!(count > 0, "the terminal was closed before {text:?}: {seen}");
        seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    Ok(seen)
}

/// For [`scope_tree`]: a server that doesn't read. Says where it listens, and at its end how many datagrams it refused.
pub fn unread() -> Result<()> {
    let server = FullServer::here()?;
    println!("{}", server.address);
    std::io::stdin().read_to_end(&mut Vec::new())?;
    println!("{}", server.refused()?);
    Ok(())
}
