//! Who is measured: netdrop's ways to run, and its peers.

use std::ffi::OsString;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use crate::workspace;

/// A tool, and how it is run.
pub struct Tool {
    /// Its row's name.
    pub name: &'static str,
    pub kind: Kind,
    pub command: Vec<OsString>,
}

/// Whose tool it is: that says how one sees that it is attached, and what it lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Netdrop,
    Bpftrace,
    Perf,
}

/// A row that can't be measured here.
pub struct Absent {
    pub name: &'static str,
    pub reason: &'static str,
}

/// Counting only: the row that the limit of 25 ns is about.
pub const COUNTS: &str = "netdrop, counts only";
/// Counts and a fair sample of details.
const SAMPLE: &str = "netdrop, 1000 details a second";
/// The details of every drop: the row that the limit of 90 ns is about.
pub const DETAILS: &str = "netdrop, every drop in detail";
/// The peer that counts.
pub const BPFTRACE_COUNTS: &str = "bpftrace, count()";

/// The tools that are here, and those that are not. `folder` takes what perf records.
pub fn all(netdrop: &Path, folder: &Path) -> (Vec<Tool>, Vec<Absent>) {
    const COUNT: &str = "tracepoint:skb:kfree_skb { @[args->location, args->reason] = count(); }";
    const PRINT: &str =
        "tracepoint:skb:kfree_skb { printf(\"%p %d %x\\n\", args->location, args->reason, args->protocol); }";
    let watch = |name, flags: &str| {
        let words = flags.split_whitespace().map(OsString::from);
        Tool {
            name,
            kind: Kind::Netdrop,
            command: [netdrop.into(), "watch".into()].into_iter().chain(words).collect(),
        }
    };
    let mut tools = vec![
        watch(COUNTS, "--rate 0 --format json --interval 1s"),
        watch(SAMPLE, "--format json"),
        watch(DETAILS, "--all --snaplen 64 --format json"),
    ];
    let mut absent = Vec::new();
    if workspace::which("bpftrace").is_some() {
        for (name, program) in [(BPFTRACE_COUNTS, COUNT), ("bpftrace, printf of 3 fields", PRINT)] {
            tools.push(Tool {
                name,
                kind: Kind::Bpftrace,
                command: ["bpftrace", "-e", program].map(OsString::from).to_vec(),
            });
        }
    } else {
        absent.push(Absent { name: "bpftrace", reason: "not installed (Debian: bpftrace)" });
    }
    if workspace::which("perf").is_some() {
        tools.push(perf(folder));
    } else {
        absent.push(Absent { name: "perf record", reason: "not installed (Debian: linux-perf)" });
    }
    absent.push(Absent { name: "dropwatch", reason: dropwatch_is_missing() });
    (tools, absent)
}

/// Every drop with its socket, owner and call chain, written to a file.
pub fn explaining(netdrop: &Path, lines: &Path) -> Tool {
    let mut command: Vec<OsString> = vec![netdrop.into()];
    command.extend("watch --all --socket --stack --format json --output".split(' ').map(OsString::from));
    command.push(lines.into());
    Tool { name: "netdrop, every drop explained", kind: Kind::Netdrop, command }
}

/// The daemon as it is without settings, but for its port, which is nobody's.
pub fn daemon(netdrop: &Path) -> Tool {
    let mut command: Vec<OsString> = vec![netdrop.into()];
    command.extend("serve --config /dev/null --set http.listen=127.0.0.1:0".split(' ').map(OsString::from));
    Tool { name: "netdrop serve", kind: Kind::Netdrop, command }
}

/// The named pipes over which perf takes commands and answers them (perf-record(1), `--control`).
pub const PERF_PIPES: [&str; 2] = ["perf.control", "perf.answer"];

fn perf(folder: &Path) -> Tool {
    let [control, answer] = PERF_PIPES.map(|name| folder.join(name));
    let mut command: Vec<OsString> =
        ["perf", "record", "-e", "skb:kfree_skb", "-a", "-o"].map(OsString::from).to_vec();
    command.push(folder.join("perf.data").into());
    command.push(format!("--control=fifo:{},{}", control.display(), answer.display()).into());
    Tool { name: "perf record", kind: Kind::Perf, command }
}

fn dropwatch_is_missing() -> &'static str {
    let symbols = std::fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    if symbols.contains("net_dm_") {
        "not measured: it is driven by hand, at its prompt"
    } else {
        "this kernel has no drop_monitor loaded"
    }
}

impl Kind {
    /// Whether a line of the tool's says that it is attached. Only netdrop says it when it is so.
    pub fn says_attached(self, line: &str) -> bool {
        self == Self::Netdrop && line.starts_with("netdrop: attached")
    }

    /// What one line of the tool's says about lost events; perf's about recorded ones.
    pub fn count_in(self, line: &str) -> Option<u64> {
        match self {
            Self::Netdrop => end_of_netdrop(line),
            Self::Bpftrace => line.strip_prefix("Lost ")?.strip_suffix(" events")?.parse().ok(),
            Self::Perf => line.rsplit_once('(')?.1.split_once(" samples)")?.0.parse().ok(),
        }
    }

    /// The lost events of a run with `drops`, from the sum of what its lines said.
    pub fn lost(self, counted: Option<u64>, drops: u64) -> Result<u64> {
        match (self, counted) {
            (Self::Perf, Some(recorded)) => Ok(drops.saturating_sub(recorded)),
            (Self::Bpftrace, None) => Ok(0),
            (_, Some(lost)) => Ok(lost),
            (_, None) => anyhow::bail!("it ended without a word about what it lost"),
        }
    }
}

/// Details and counts that netdrop could not keep, as the last of its JSON lines has them.
fn end_of_netdrop(line: &str) -> Option<u64> {
    if !line.starts_with(r#"{"v":1,"kind":"end""#) {
        return None;
    }
    let accounts = &serde_json::from_str::<Value>(line).ok()?["accounts"];
    ["ring_full", "table_full", "recursion_misses"].iter().map(|account| accounts[*account].as_u64()).sum()
}

#[cfg(test)]
mod tests {
    use super::Kind::{Bpftrace, Netdrop, Perf};
    use super::*;

    #[test]
    fn what_was_lost_is_read_from_the_tools_own_words() {
        let end = r#"{"v":1,"kind":"end","rows":[],"accounts":{"seen":9,"ring_full":3,"table_full":2,"recursion_misses":1}}"#;
        let summary = end.replace("end", "summary");
        let cases: [(Kind, &str, Option<u64>); 7] = [
            (Netdrop, end, Some(6)),
            (Netdrop, &summary, None),
            (Netdrop, r#"{"v":1,"kind":"end"}"#, None),
            (Bpftrace, "Lost 43 events", Some(43)),
            (Bpftrace, "Lost events", None),
            (Perf, "[ perf record: Captured and wrote 9.986 MB p.data (100000 samples) ]", Some(100_000)),
            (Perf, "[ perf record: Woken up 41 times to write data ]", None),
        ];
        for (kind, line, expected) in cases {
            assert_eq!(kind.count_in(line), expected, "{line}");
        }
    }

    #[test]
    fn silence_is_a_loss_of_nothing_only_where_that_is_the_custom() {
        assert_eq!(Bpftrace.lost(None, 10).unwrap(), 0);
        assert_eq!(Perf.lost(Some(7), 10).unwrap(), 3);
        assert_eq!(Netdrop.lost(Some(4), 10).unwrap(), 4);
        assert!(Netdrop.lost(None, 10).is_err() && Perf.lost(None, 10).is_err());
    }
}
