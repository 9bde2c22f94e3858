//! The machine that is measured, and what must be so on it meanwhile.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::workspace;

const STATISTICS: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// While it lives, the kernel takes no times of BPF programs but when the bench asks for them; what was set before is
/// put back. It goes on if the setting can't be changed, but then traced floods pay for the clock.
pub struct Untimed(Option<String>);

impl Untimed {
    pub fn start() -> Self {
        let before = fs::read_to_string(STATISTICS).unwrap_or_default();
        if before.trim() != "1" {
            return Self(None);
        }
        if let Err(error) = fs::write(STATISTICS, "0") {
            println!("{STATISTICS} stays 1 ({error}): the flood's rates are a little too low");
            return Self(None);
        }
        Self(Some(before))
    }
}

impl Drop for Untimed {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = fs::write(STATISTICS, before);
        }
    }
}

/// Mounts tracefs where bpftrace and perf look for it, in a mount namespace that ends with this process.
pub fn mount_tracefs() -> Result<()> {
    const DEBUGFS: &str = "/sys/kernel/debug";
    const TRACEFS: &str = "/sys/kernel/tracing";
    if Path::new(DEBUGFS).join("tracing/events").exists() && Path::new(TRACEFS).join("events").exists() {
        return Ok(());
    }
    let nothing = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace for tracefs")?;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .context("cannot make the mounts private")?;
    for (kind, path) in [("debugfs", DEBUGFS), ("tracefs", TRACEFS)] {
        // Mounted already is as good; what is missing is seen below.
        let _ = mount(Some(kind), path, Some(kind), MsFlags::empty(), nothing);
    }
    ensure!(Path::new(TRACEFS).join("events").exists(), "cannot mount tracefs at {TRACEFS}");
    Ok(())
}

/// Date, kernel, CPU and the peers' versions, a line each.
pub fn describe() -> Vec<(&'static str, String)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let said = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().ok();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        text.filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".to_owned())
    };
    let mut lines = vec![
        ("date", said("date", "--utc")),
        ("kernel", read("/proc/sys/kernel/osrelease")),
        ("CPU", processor(&read("/proc/cpuinfo"))),
    ];
    let peers = [("bpftrace", "bpftrace"), ("perf", "perf")];
    let installed = peers.into_iter().filter(|(_, program)| workspace::which(program).is_some());
    lines.extend(installed.map(|(name, program)| (name, said(program, "--version"))));
    lines
}

/// From the text of `/proc/cpuinfo`: how many of which.
fn processor(cpuinfo: &str) -> String {
    let values = |key: &str| {
        let lines = cpuinfo.lines().filter(|line| line.starts_with(key)).collect::<Vec<_>>();
        lines
            .into_iter()
            .filter_map(|line| Some(line.split_once(':')?.1.trim().to_owned()))
            .collect::<Vec<_>>()
    };
    let count = values("processor").len();
    format!("{count} × {}", values("model name").first().map_or("unknown", String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted_and_named() {
        let one = "processor\t: 0\nmodel name\t: Some CPU @ 2.0GHz\nflags\t\t: fpu\n\n";
        assert_eq!(processor(&one.repeat(2)), "2 × Some CPU @ 2.0GHz");
        assert_eq!(processor(""), "0 × unknown");
    }
}
