//! How netdrop ends: by request, by misuse, by what breaks around it. One clear line, the right code, nothing left behind.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::filters::kernel_has_reasons;
use crate::bpf::program_ids;
use crate::lab::{Lab, Namespace, Skip, until};
use crate::netdrop::{Ended, Netdrop, run_to_end};
use crate::runner::Bench;
use crate::scenario::System;

const PATIENCE: Duration = Duration::from_secs(30);
const NOBODY: u32 = 65_534;

pub fn table() -> Vec<System> {
    vec![
        System::new("end-not-root", not_root),
        System::new("end-unknown-flag", |bench| {
            let ended = watch(bench, &["--no-such-flag"])?;
            misuse(&ended, "--no-such-flag")
        }),
        System::new("end-unknown-reason-is-suggested", |bench| {
            if !kernel_has_reasons()? {
                return Err(Skip("this kernel gives no drop reasons".into()).into());
            }
            misuse(&watch(bench, &["--reason", "NO_SOKET"])?, "NO_SOCKET")
        }),
        System::new("end-unknown-device-is-suggested", |bench| {
            // `lo` is the one device that every machine has.
            misuse(&watch(bench, &["--device", "l0"])?, "lo")
        }),
        System::new("end-bad-duration", |bench| misuse(&watch(bench, &["--duration", "soon"])?, "soon")),
        System::new("end-bad-address", |bench| {
            misuse(&watch(bench, &["--host", "10.0.0.0/33"])?, "10.0.0.0/33")
        }),
        System::new("end-by-sigint", |bench| by_signal(bench, Signal::SIGINT)),
        System::new("end-by-sigterm", |bench| by_signal(bench, Signal::SIGTERM)),
        System::new("end-by-duration", |bench| {
            let mut netdrop = Netdrop::start(&bench.netdrop, &["--duration", "300ms"])?;
            netdrop.report().map(drop)
        }),
        System::new("end-by-count", by_count),
        System::new("end-by-closed-pipe", closed_pipe),
        System::new("end-output-disk-full", disk_full),
        System::new("end-output-to-a-file", output_file),
        System::new("end-by-kill-leaves-nothing", |bench| leaves_nothing(bench, Signal::SIGKILL)),
        System::new("end-by-sigint-leaves-nothing", |bench| leaves_nothing(bench, Signal::SIGINT)),
    ]
}

/// Runs `netdrop watch` with arguments that end it at once.
fn watch(bench: &Bench, arguments: &[&str]) -> Result<Ended> {
    // The duration ends one that wrongly accepted them.
    run_to_end(Command::new(&bench.netdrop).args(["watch", "--duration", "100ms"]).args(arguments))
}

fn misuse(ended: &Ended, named: &str) -> Result<()> {
    ensure!(ended.code == Some(2), "exit code {:?}, not 2: {}", ended.code, ended.stderr.trim());
    ensure!(ended.stderr.contains(named), "{named:?} isn't named: {}", ended.stderr.trim());
    Ok(())
}

/// As nobody, from a place where nobody may execute it.
fn not_root(bench: &Bench) -> Result<()> {
    let folder = PathBuf::from(format!("/tmp/netdrop-tests-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let copy = folder.join("netdrop");
    let result = copy_and_run(bench, &copy);
    let _ = fs::remove_dir_all(&folder);
    let ended = result?;
    ensure!(ended.code == Some(4), "exit code {:?}, not 4: {}", ended.code, ended.stderr.trim());
    let lines = ended.stderr.lines().count();
    ensure!(lines == 1, "{lines} lines, not one: {}", ended.stderr.trim());
    ensure!(ended.stderr.contains("root") || ended.stderr.contains("CAP_"), "{}", ended.stderr.trim());
    Ok(())
}

fn copy_and_run(bench: &Bench, copy: &PathBuf) -> Result<Ended> {
    fs::copy(&bench.netdrop, copy).with_context(|| format!("can't copy {}", bench.netdrop.display()))?;
    for path in [copy.parent().context("it has one")?, copy] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    let mut command = Command::new(copy);
    command.args(["watch", "--duration", "100ms"]).current_dir("/").uid(NOBODY).gid(NOBODY);
    run_to_end(&mut command)
}

fn by_signal(bench: &Bench, signal: Signal) -> Result<()> {
    let lab = Lab::alone()?;
    let mut netdrop = Netdrop::start(&bench.netdrop, &["--all"])?;
    drops(&lab.receiver, 3)?;
    netdrop.signal(signal)?;
    let report = netdrop.report()?;
    let count = report.count(|row| row.inode() == Some(lab.receiver.inode()));
    ensure!(count == 3, "the final summary has {count} of 3");
    Ok(())
}

fn by_count(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let inode = lab.receiver.inode().to_string();
    let mut netdrop = Netdrop::start(&bench.netdrop, &["--all", "--netns", &inode, "--count", "3"])?;
    drops(&lab.receiver, 10)?;
    let report = netdrop.report()?;
    ensure!(report.drops.len() == 3, "{} drop lines with --count 3", report.drops.len());
    Ok(())
}

/// As `netdrop watch | head -1`.
fn closed_pipe(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let mut netdrop = Netdrop::start_unread(&bench.netdrop, &["--all"])?;
    netdrop.close_stdout();
    drops(&lab.receiver, 3)?;
    let (status, _, stderr) = netdrop.wait()?;
    ensure!(status.code() == Some(0), "{status}: {}", stderr.trim());
    ensure!(!stderr.contains("anic"), "{}", stderr.trim());
    Ok(())
}

/// Standard output has the counts although the file takes nothing.
fn disk_full(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let mut netdrop = Netdrop::start_unread(&bench.netdrop, &["--all", "--output", "/dev/full"])?;
    netdrop.read();
    drops(&lab.receiver, 3)?;
    // It may end by itself on the error, or at the signal with it.
    let _ = netdrop.signal(Signal::SIGINT);
    let (status, lines, stderr) = netdrop.wait()?;
    ensure!(status.code() == Some(1), "{status}, not exit code 1: {}", stderr.trim());
    let errors = stderr.lines().filter(|line| line.contains("/dev/full")).count();
    ensure!(errors == 1, "{errors} lines name /dev/full, not one: {}", stderr.trim());
    let shown = ["udp_rcv", "__udp4_lib_rcv"].iter().any(|site| stderr.contains(site))
        || lines.iter().any(|line| line["kind"] == "end");
    ensure!(shown, "the counts are lost: {}", stderr.trim());
    Ok(())
}

fn output_file(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let path = format!("/tmp/netdrop-tests-{}.jsonl", std::process::id());
    let mut netdrop = Netdrop::start(&bench.netdrop, &["--all", "--output", &path])?;
    drops(&lab.receiver, 3)?;
    netdrop.signal(Signal::SIGINT)?;
    let ended = netdrop.wait();
    let written = fs::read_to_string(&path);
    let _ = fs::remove_file(&path);
    let (status, _, stderr) = ended?;
    ensure!(status.success(), "{status}: {}", stderr.trim());
    let written = written.context("no output file")?;
    ensure!(written.lines().last().is_some_and(|line| line.contains("\"end\"")), "no `end` line in the file");
    Ok(())
}

/// Whatever ends the process, the kernel frees its programs.
fn leaves_nothing(bench: &Bench, signal: Signal) -> Result<()> {
    let mut netdrop = Netdrop::start(&bench.netdrop, &["--all"])?;
    let programs = programs_of(netdrop.pid().as_raw())?;
    ensure!(!programs.is_empty(), "netdrop holds no BPF program although it says it is attached");
    netdrop.signal(signal)?;
    netdrop.wait()?;
    until("the kernel to free netdrop's programs", PATIENCE, || {
        let left = program_ids()?;
        Ok((!programs.iter().any(|id| left.contains(id))).then_some(()))
    })
}

/// The program ids in `/proc/<pid>/fdinfo`: of program descriptors and of links.
fn programs_of(pid: i32) -> Result<Vec<u32>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        let text = fs::read_to_string(entry?.path()).unwrap_or_default();
        ids.extend(text.lines().filter_map(|line| line.strip_prefix("prog_id:")?.trim().parse::<u32>().ok()));
    }
    Ok(ids)
}

/// Datagrams to a closed port of loopback, all of them dropped.
pub fn drops(namespace: &Namespace, count: u64) -> Result<()> {
    let socket = namespace.enter(|| Ok(UdpSocket::bind("127.0.0.1:0")?))?;
    let before = namespace.counter("Udp", "NoPorts")?;
    for _ in 0..count {
        socket.send_to(b"hey", "127.0.0.1:9")?;
    }
    until(
        "the drops",
        PATIENCE,
        || Ok((namespace.counter("Udp", "NoPorts")? >= before + count).then_some(())),
    )
}
