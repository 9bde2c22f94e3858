//! What a watcher saw, be it netdrop or bpftrace.

use std::fmt;

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

/// One counted kind of drop: a row of `summary` and `end` lines.
#[derive(Clone, Debug, Deserialize)]
pub struct Row {
    pub count: u64,
    pub reason: Option<String>,
    pub class: Option<String>,
    pub function: Option<String>,
    pub address: Option<String>,
    pub device: Option<Device>,
    pub netns: Option<Netns>,
    pub protocol: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Device {
    pub index: u32,
    pub name: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Netns {
    pub inode: u64,
}

impl Row {
    /// What a `drop` line has in common with a row; its `weight` is the count.
    pub fn of_drop(drop: &Value) -> Result<Self> {
        let mut row = drop.clone();
        row["count"] = drop["weight"].clone();
        row["protocol"] = drop["packet"]["protocol"].clone();
        Ok(serde_json::from_value(row)?)
    }

    /// The function without the compiler's suffix (`.isra.0`, `.part.0`).
    pub fn plain_function(&self) -> &str {
        self.function.as_deref().map_or("", |name| name.split('.').next().unwrap_or(name))
    }

    /// The namespace's inode, when known.
    pub fn inode(&self) -> Option<u64> {
        self.netns.as_ref().map(|netns| netns.inode)
    }

    /// The device's name, when known.
    pub fn device_name(&self) -> Option<&str> {
        self.device.as_ref().and_then(|device| device.name.as_deref())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
        let device = self.device.as_ref().map_or("-".into(), |device| {
            format!("{}({})", device.name.as_deref().unwrap_or("?"), device.index)
        });
        let netns = self.inode().map_or("-".into(), |inode| inode.to_string());
        write!(
            f,
            "{:>7} {} {} dev={device} netns={netns} proto={}",
            self.count,
            text(&self.reason),
            text(&self.function),
            text(&self.protocol)
        )
    }
}

/// The accounts of what was seen and what became of its details.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Accounts {
    pub seen: u64,
    pub detailed: u64,
    pub sampled_out: u64,
    pub ring_full: u64,
    pub filtered: u64,
    pub table_full: u64,
    pub recursion_misses: u64,
}

/// All that a watcher saw from attach to end.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Exact totals.
    pub rows: Vec<Row>,
    /// The `drop` lines; an observer has none.
    pub drops: Vec<Value>,
    /// The accounts of the `end` line.
    pub accounts: Option<Accounts>,
}

impl Report {
    /// The packets counted in rows that `wanted` accepts.
    pub fn count(&self, wanted: impl Fn(&Row) -> bool) -> u64 {
        self.rows.iter().filter(|row| wanted(row)).map(|row| row.count).sum()
    }
}

/// Something that counts drops while a scenario runs.
pub trait Watcher {
    /// Counts and details up to now; may lag behind the kernel by an interval. A row may come in parts.
    fn so_far(&self) -> Report;
    /// Ends the watcher and takes its totals.
    fn finish(self: Box<Self>) -> Result<Report>;
}
