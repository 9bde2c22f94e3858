//! Who is measured.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::super::tool::{Absent, Kind, Tool};
use crate::workspace;

/// One histogram of all connections: the row that the limit is about.
pub const RTT: &str = "netdrop tcp rtt";
/// The row that bpftrace's stands beside.
pub const LIFE: &str = "netdrop tcp life";
/// The same.
pub const RETRANSMITS: &str = "netdrop tcp retransmits";
/// See `tcplife.bt`.
pub const BPFTRACE_LIFE: &str = "bpftrace, as tcplife.bt";
/// See `tcpretrans.bt`.
pub const BPFTRACE_RETRANSMITS: &str = "bpftrace, as tcpretrans.bt";

/// Ways to measure round-trip times.
pub fn rtt(netdrop: &Path) -> Vec<Tool> {
    vec![
        ours(netdrop, RTT, "rtt --format text"),
        ours(
            netdrop,
            "netdrop tcp rtt --srtt --sample --by remote,owner",
            "rtt --srtt --sample --by remote,owner --format text",
        ),
    ]
}

/// Who tells of each connection's end.
pub fn life(netdrop: &Path, folder: &Path) -> Result<(Vec<Tool>, Vec<Absent>)> {
    let ours = ours(netdrop, LIFE, "life --all --format text");
    beside(ours, BPFTRACE_LIFE, include_str!("tcplife.bt"), &folder.join("tcplife.bt"))
}

/// Who tells of each segment sent again.
pub fn retransmits(netdrop: &Path, folder: &Path) -> Result<(Vec<Tool>, Vec<Absent>)> {
    let ours = ours(netdrop, RETRANSMITS, "retransmits --all --format text");
    beside(ours, BPFTRACE_RETRANSMITS, include_str!("tcpretrans.bt"), &folder.join("tcpretrans.bt"))
}

fn ours(netdrop: &Path, name: &'static str, flags: &str) -> Tool {
    let words = flags.split_whitespace().map(OsString::from);
    Tool {
        name,
        kind: Kind::Netdrop,
        command: [netdrop.into(), "tcp".into()].into_iter().chain(words).collect(),
    }
}

/// Ours, and bpftrace with this program.
fn beside(ours: Tool, name: &'static str, program: &str, path: &Path) -> Result<(Vec<Tool>, Vec<Absent>)> {
    if workspace::which("bpftrace").is_none() {
        return Ok((vec![ours], vec![Absent { name, reason: "not installed (Debian: bpftrace)" }]));
    }
    fs::write(path, program).with_context(|| format!("cannot write {}", path.display()))?;
    let command = vec!["bpftrace".into(), path.into()];
    Ok((vec![ours, Tool { name, kind: Kind::Bpftrace, command }], Vec::new()))
}
