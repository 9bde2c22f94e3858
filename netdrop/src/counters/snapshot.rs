//! All counters of one network namespace at one moment.

use super::classifiers::{self, Classifier};
use super::ethtool::Ethtool;
use super::firewall::{self, Firewall};
use super::links::{self, Link};
use super::losses::loss;
use crate::model::Direction;
use crate::probe::tcx_programs;

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What devices counted: a dump of the links, a call to each driver. No other program is started.
    Devices,
    /// Rules, filters and programs as well.
    Rules,
    /// The words of nftables' rules too, which are needed once.
    RulesWithText,
}

/// What the namespace counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Its devices.
    pub devices: Vec<DeviceCounters>,
    /// The filters of tc on them.
    pub classifiers: Vec<Classifier>,
    /// The programs attached by `BPF_TCX_INGRESS` and `BPF_TCX_EGRESS`.
    pub tcx: Vec<TcxProgram>,
    /// The firewall's rules.
    pub firewall: Firewall,
    /// What couldn't be read: one sentence each.
    pub notes: Vec<String>,
}

/// An eBPF program in front of a device's filters (kernels from 6.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcxProgram {
    /// The device's index.
    pub ifindex: u32,
    /// Which way.
    pub direction: Direction,
    /// The kernel's number for it.
    pub id: u32,
}

/// A device with its counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceCounters {
    /// Name, programs and the kernel's own counters.
    pub link: Link,
    /// The driver's counters of losses.
    pub driver: Vec<(String, u64)>,
}

/// Asks everything in the caller's namespace. What can't be read is noted.
pub fn read(depth: Depth) -> Snapshot {
    let mut snapshot = Snapshot::default();
    match links::read() {
        Ok(links) => {
            snapshot.devices = links.into_iter().map(|link| with_driver(link, &mut snapshot.notes)).collect();
        }
        Err(error) => snapshot.notes.push(format!("the counters of devices can't be read: {error}.")),
    }
    if depth == Depth::Devices {
        return snapshot;
    }
    for device in &snapshot.devices {
        let ifindex = device.link.index;
        for direction in [Direction::Ingress, Direction::Egress] {
            let programs = tcx_programs(ifindex, direction).into_iter();
            snapshot.tcx.extend(programs.map(|id| TcxProgram { ifindex, direction, id }));
        }
        match classifiers::read(ifindex) {
            Ok(filters) => snapshot.classifiers.extend(filters),
            Err(error) => {
                snapshot.notes.push(format!("the filters of {} can't be read: {error}.", device.link.name));
            }
        }
    }
    snapshot.firewall = firewall::read(depth == Depth::RulesWithText);
    snapshot
}

fn with_driver(link: Link, notes: &mut Vec<String>) -> DeviceCounters {
    let counters = Ethtool::new().and_then(|ethtool| ethtool.read(&link.name));
    let driver = counters.unwrap_or_else(|error| {
        notes.push(format!("the driver of {} doesn't tell its counters: {error}.", link.name));
        Vec::new()
    });
    // Only losses are kept: a network card may have thousands of counters.
    DeviceCounters { driver: driver.into_iter().filter(|(name, _)| loss(name).is_some()).collect(), link }
}
