//! `[log]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Turn;
use crate::output::Limit;

/// Where drops are written, as lines of JSON (`netdrop watch --schema`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Where to; several are possible, none is the default.
    pub to: Vec<Target>,
    /// The file of `to = ["file"]`; an existing one is continued. Compressed where the name ends in .zst.
    pub file: PathBuf,
    /// When to turn to a new file, as in 100M, 1h; empty: never.
    pub rotate: Turn,
    /// How many older files stay.
    pub keep: u32,
    /// Whether each drop in detail is written; capture.rate says of how many there are details.
    pub drops: bool,
    /// Whether the exact counts of each interval are written.
    pub summaries: bool,
}

/// A place for lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Standard output, for a sidecar.
    Stdout,
    /// The file.
    File,
    /// The system's log (RFC 5424 to /dev/log).
    Syslog,
    /// systemd's journal, with a field for each thing.
    Journald,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            to: Vec::new(),
            file: "/var/log/netdrop/drops.jsonl".into(),
            rotate: Turn(Some(Limit::Size(100 << 20))),
            keep: 5,
            drops: true,
            summaries: false,
        }
    }
}

impl Target {
    /// What is lost of its lines is counted by this name.
    pub const fn stage(self) -> &'static str {
        match self {
            Self::Stdout => "log_stdout",
            Self::File => "log_file",
            Self::Syslog => "log_syslog",
            Self::Journald => "log_journald",
        }
    }
}
