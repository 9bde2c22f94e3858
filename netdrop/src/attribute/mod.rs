//! From counters before and after a run, and what netdrop counted in between, to the rules that dropped and the losses
//! that devices counted by themselves. Pure: snapshots in, an [`Attribution`] out.

mod cause;
mod devices;
mod firewall;
mod hooks;
mod settle;
#[cfg(test)]
mod tests;
mod verdicts;

use std::collections::BTreeMap;

pub use cause::{Cause, cause};
pub use verdicts::{Split, Verdicts};

use crate::counters::snapshot::Snapshot;
use crate::model::{Attribution, BpfProgram, Device, Family, Netns};

/// Drops of one kind that netdrop counted in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Inode of the network namespace.
    pub netns: u32,
    /// Index of the device; 0 where it has none.
    pub ifindex: u32,
    /// What decided it.
    pub cause: Cause,
    /// The packet's family, where it is IP.
    pub family: Option<Family>,
    /// Where netfilter decided them, as far as call chains tell; nothing for other causes.
    pub split: Split,
    /// How many.
    pub packets: u64,
}

/// What is known of one network namespace over a run. The snapshots enclose the run: their counters grew by at least what
/// netdrop counted.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// The namespace.
    pub netns: &'a Netns,
    /// At the start; empty for a namespace that was made later.
    pub before: &'a Snapshot,
    /// At the end.
    pub after: &'a Snapshot,
    /// netdrop's drops there.
    pub drops: &'a [Dropped],
    /// Names of eBPF programs by their numbers.
    pub programs: &'a BTreeMap<u32, String>,
}

/// Compares. `with_rules` is false where the snapshots hold nothing but devices.
pub fn attribute(window: &Window<'_>, with_rules: bool) -> Attribution {
    let mut attribution = Attribution {
        devices: devices::counts(window),
        notes: window.after.notes.clone(),
        ..Attribution::default()
    };
    if with_rules {
        attribution.verdicts = verdicts::counts(window);
        firewall::attribute(window, &mut attribution);
        hooks::attribute(window, &mut attribution);
    }
    attribution
}

impl Attribution {
    /// Adds another namespace's.
    pub fn extend(&mut self, other: Self) {
        self.rules.extend(other.rules);
        self.verdicts.extend(other.verdicts);
        self.devices.extend(other.devices);
        self.notes.extend(other.notes);
    }
}

impl Window<'_> {
    fn device(&self, ifindex: u32) -> Device {
        let links = self.after.devices.iter().map(|device| &device.link);
        let name = links.clone().find(|link| link.index == ifindex).map(|link| link.name.clone());
        Device { index: ifindex, name }
    }

    fn program(&self, id: u32) -> BpfProgram {
        BpfProgram { id, name: self.programs.get(&id).cloned() }
    }

    /// The namespace as a sentence calls it.
    fn place(&self) -> String {
        let Netns { inode, name, .. } = self.netns;
        name.clone().unwrap_or_else(|| inode.to_string())
    }
}
