//! Source lines of the kernel that runs, where its debug information is installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::failures::drops;
use crate::lab::{Lab, Skip};
use crate::netdrop::{Netdrop, run_to_end};
use crate::runner::Bench;
use crate::scenario::System;

pub fn table() -> Vec<System> {
    vec![System::new("lines-live", live), System::new("lines-of-another-build", another_build)]
}

/// netdrop finds the file by itself; addr2line(1), told where the kernel was linked to, is the second witness.
fn live(bench: &Bench) -> Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let file = format!("/usr/lib/debug/boot/vmlinux-{}", release.trim());
    if !Path::new(&file).exists() {
        return Err(Skip(format!("no debug information of this kernel at {file}")).into());
    }
    let lab = Lab::alone()?;
    let inode = lab.receiver.inode().to_string();
    let mut netdrop = Netdrop::start(&bench.netdrop, &["--all", "--netns", &inode])?;
    drops(&lab.receiver, 3)?;
    netdrop.signal(Signal::SIGINT)?;
    let report = netdrop.report()?;
    ensure!(report.drops.len() == 3, "{} drop lines, not 3", report.drops.len());

    let running = start_of_text(&fs::read_to_string("/proc/kallsyms")?).context("no _stext in kallsyms")?;
    let linked = start_of_text(&output("nm", &[&file])?).with_context(|| format!("no _stext in {file}"))?;
    for drop in &report.drops {
        let address = drop["address"].as_str().context("a drop line without its address")?;
        let returns_to = u64::from_str_radix(address.trim_start_matches("0x"), 16)?;
        // The call ends where it returns to.
        let call = format!("{:#x}", returns_to - running + linked - 1);
        let lines = output("addr2line", &["--inlines", "--exe", &file, &call])?;
        let source =
            drop["source"].as_str().with_context(|| format!("a drop line without its source: {drop}"))?;
        // `/build/folder/net/ipv4/udp.c:2432 (discriminator 3)`
        let is_there = lines
            .lines()
            .any(|line| line.split(' ').next().is_some_and(|line| line.ends_with(&format!("/{source}"))));
        ensure!(is_there, "{source} for {call}, where addr2line has {lines}");
    }
    Ok(())
}

/// What belongs to another build is refused, not half used.
fn another_build(bench: &Bench) -> Result<()> {
    let stranger = std::env::current_exe()?.to_string_lossy().into_owned();
    let mut command = Command::new(&bench.netdrop);
    let ended = run_to_end(command.args(["watch", "--duration", "100ms", "--vmlinux", &stranger]))?;
    ensure!(ended.code == Some(1), "exit code {:?}, not 1: {}", ended.code, ended.stderr.trim());
    let complaint = format!("no source lines: {stranger} is of another build");
    ensure!(ended.stderr.contains(&complaint), "{complaint:?} isn't said: {}", ended.stderr.trim());
    Ok(())
}

/// The address of `_stext` in lines of kallsyms or nm(1): address, kind, name.
fn start_of_text(symbols: &str) -> Option<u64> {
    let line = symbols.lines().find(|line| line.ends_with(" _stext"))?;
    u64::from_str_radix(line.split(' ').next()?, 16).ok()
}

fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("can't run {program} (Debian: binutils)"))?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
