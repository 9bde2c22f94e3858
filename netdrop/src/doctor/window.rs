//! What checks look at: two snapshots of a network namespace, and the drops between them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::evidence::{Drops, Evidence, Example, Moved, rate};
use super::parts::{Counters, Sysctls};
use super::{Part, Snapshot, Unread};
use crate::model::{Owner, Row};
use crate::owner::Socket;

/// Knows whose a socket is.
pub trait Whose {
    /// The processes that hold it; `None` where that isn't known.
    fn owner(&self, socket: Socket) -> Option<Arc<Owner>>;
}

/// Nobody knows.
impl Whose for () {
    fn owner(&self, _socket: Socket) -> Option<Arc<Owner>> {
        None
    }
}

/// The network namespace that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Home {
    /// Its inode.
    pub inode: u32,
    /// Its name, where it isn't the caller's own.
    pub name: Option<String>,
    /// What `setns(2)` enters it by; absent for the caller's own.
    pub enter: Option<PathBuf>,
}

impl Home {
    /// What concerns the whole host is of all namespaces.
    pub(super) const EVERYWHERE: Self = Self { inode: 0, name: None, enter: None };
}

/// What time it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// The seconds between two readings.
    Window,
    /// All since the boot: nothing was counted before, and what was may be long over.
    SinceBoot,
}

/// What checks look at.
pub struct Window<'a> {
    /// At the start.
    pub before: &'a Snapshot,
    /// At the end.
    pub after: &'a Snapshot,
    /// The time between them.
    pub lasted: Duration,
    /// What that time is.
    pub span: Span,
    /// The rows of drops of the whole host in that time, by site, reason, device, namespace and protocol; or why there are none.
    pub drops: Result<&'a [Row], Unread>,
    /// Where.
    pub home: &'a Home,
    /// Whose sockets are.
    pub whose: &'a dyn Whose,
}

impl Window<'_> {
    /// A part as it was at both ends.
    ///
    /// # Errors
    /// When it couldn't be read.
    pub fn both<P: Part>(&self) -> Result<(&P, &P), Unread> {
        const { assert!(!P::AT_END, "it is read at the end alone") };
        Ok((self.before.get()?, self.after.get()?))
    }

    /// A part as it was at the end.
    ///
    /// # Errors
    /// When it couldn't be read.
    pub fn now<P: Part>(&self) -> Result<&P, Unread> {
        self.after.get()
    }

    /// A counter of `/proc/net/snmp`, `netstat` or `snmp6`: `delta("TcpExt", "ListenOverflows")`.
    ///
    /// # Errors
    /// When the kernel doesn't have it, or the files can't be read.
    pub fn delta(&self, group: &str, name: &str) -> Result<Moved, Unread> {
        let (before, after) = self.both::<Counters>()?;
        let from = Counters::file_of(group);
        let missing = || Unread::new(from, format!("this kernel has no counter {group}{name}"));
        let now = after.get(group, name).ok_or_else(missing)?;
        let pair = (before.get(group, name).unwrap_or(0), now);
        Ok(self.moved(format!("{group}{name}"), pair, from))
    }

    /// A counter of 64 bits in this window.
    pub fn moved(&self, name: impl Into<String>, pair: (u64, u64), from: impl Into<String>) -> Moved {
        Moved::new(name, pair, self.lasted, from)
    }

    /// So many a second in this window.
    pub fn rate(&self, count: u64) -> f64 {
        rate(count, self.lasted)
    }

    /// A setting that is a number, at the end: `sysctl("net.core.somaxconn")`.
    ///
    /// # Errors
    /// When it isn't there, or no number.
    pub fn sysctl(&self, key: &str) -> Result<u64, Unread> {
        self.now::<Sysctls>()?.number(key)
    }

    /// The same as evidence.
    pub fn setting(&self, key: &str) -> Option<Evidence> {
        // The kernel puts tabs between several numbers.
        let value = self.now::<Sysctls>().ok()?.get(key)?.replace('\t', " ");
        Some(Evidence::value(key, value, format!("/proc/sys/{}", key.replace('.', "/"))))
    }

    /// netdrop's own drops with one of these reasons or, where the kernel gives none, in one of these functions: those of this
    /// namespace, or of all where it concerns the host, and those whose namespace isn't known.
    pub fn drops_of(&self, names: &[&str]) -> Vec<Evidence> {
        let mut found: Vec<Drops> = Vec::new();
        for row in self.rows_of(names) {
            let drops = self.told(row);
            let same = |one: &&mut Drops| {
                (&one.function, one.offset, &one.reason) == (&drops.function, drops.offset, &drops.reason)
            };
            // Rows that differ by device or protocol alone are one here.
            match found.iter_mut().find(same) {
                Some(one) => {
                    one.drops += drops.drops;
                    one.rate = self.rate(one.drops);
                    one.example = one.example.take().or(drops.example);
                }
                None => found.push(drops),
            }
        }
        found.into_iter().map(Evidence::Drops).collect()
    }

    /// How many those of this namespace are.
    pub fn lost_by(&self, names: &[&str]) -> u64 {
        self.rows_of(names).map(|row| row.counts.packets).sum()
    }

    /// The rows of [`Self::drops_of`].
    pub fn rows_of<'w>(&'w self, names: &'w [&str]) -> impl Iterator<Item = &'w Row> {
        let rows: &'w [Row] = self.drops.as_ref().copied().unwrap_or_default();
        let is_here = |row: &&Row| match row.netns.as_ref().map_or(0, |netns| netns.inode) {
            0 => true,
            inode => self.home.inode == 0 || inode == self.home.inode,
        };
        let is_of = |row: &&Row| row.cause_name().is_some_and(|name| names.contains(&name));
        rows.iter().filter(is_of).filter(is_here)
    }

    /// The devices of those drops by name, the one with the most first.
    pub fn devices_of(&self, names: &[&str]) -> Vec<(String, u64)> {
        let mut devices: Vec<(String, u64)> = Vec::new();
        for row in self.rows_of(names) {
            let Some(name) = row.device.as_ref().and_then(|device| device.name.as_ref()) else { continue };
            match devices.iter_mut().find(|(one, _)| one == name) {
                Some((_, drops)) => *drops += row.counts.packets,
                None => devices.push((name.clone(), row.counts.packets)),
            }
        }
        devices.sort_by(|(one, of_one), (other, of_other)| (of_other, one).cmp(&(of_one, other)));
        devices
    }

    /// The device where most drops with one of these reasons were counted in this namespace.
    pub fn device_of(&self, names: &[&str]) -> Option<String> {
        self.devices_of(names).into_iter().next().map(|(name, _)| name)
    }

    /// A row as evidence.
    pub(super) fn told(&self, row: &Row) -> Drops {
        let packets = row.counts.packets;
        Drops {
            function: row.function().map(Into::into),
            offset: row.site.as_ref().map(|site| site.offset),
            reason: row.reason.as_ref().map(|reason| reason.name.clone()),
            drops: packets,
            rate: self.rate(packets),
            example: row.example.map(|(source, destination)| Example {
                source: source.to_string(),
                destination: destination.to_string(),
            }),
        }
    }

    /// ` of nginx(4242)`, or nothing where nobody is known.
    pub fn of_owner(&self, socket: Socket) -> String {
        let owner = self.whose.owner(socket).map(|owner| owner.to_string()).unwrap_or_default();
        if owner.is_empty() { owner } else { format!(" of {owner}") }
    }
}
