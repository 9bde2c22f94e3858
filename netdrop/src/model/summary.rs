//! Exact counts over a time.

use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use super::tcp::TcpSummary;
use super::{
    Accounts, Attribution, Device, Endpoint, Explanation, Netns, OwnerName, Protocol, Reason, Site,
    Timestamp, Workload,
};
use crate::knowledge::Class;

/// What the kernel counts by, in the kernel's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CountKey {
    /// The drop's location.
    pub address: u64,
    /// The reason's number; absent where the kernel has none.
    pub reason: Option<u32>,
    /// Interface index; 0 where the packet has no device.
    pub ifindex: u32,
    /// Inode of the network namespace; 0 where it isn't known.
    pub netns: u32,
    /// Its protocol.
    pub protocol: Protocol,
}

/// Packets and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Drops: skbs, a GSO packet counts as one.
    pub packets: u64,
    /// The sum of the packets' lengths, see [`super::Packet::length`].
    pub bytes: u64,
}

impl Counts {
    /// What was added since `earlier`; never negative.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(earlier.packets),
            bytes: self.bytes.saturating_sub(earlier.bytes),
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// One line of a summary: the counts of all drops that are alike in what was asked for by `--by`.
/// Members that the rows don't tell apart are absent.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// Drops and bytes in this interval (in an `end`: in all).
    pub counts: Counts,
    /// Since the start.
    pub total: Counts,
    /// True where the counts are estimated from sampled details (rows by flow, src, dst, port, owner, container), not exact.
    pub estimated: bool,
    /// Where.
    pub site: Option<Arc<Site>>,
    /// The function alone (`--by function`).
    pub function: Option<String>,
    /// Why.
    pub reason: Option<Arc<Reason>>,
    /// The kind of loss, by reason and where that says nothing by function; absent where rows don't tell reasons apart.
    pub class: Option<Class>,
    /// Which device.
    pub device: Option<Arc<Device>>,
    /// Which network namespace.
    pub netns: Option<Arc<Netns>>,
    /// Which protocol.
    pub protocol: Option<Protocol>,
    /// Source (`--by flow`, `--by src`).
    pub source: Option<Endpoint>,
    /// Destination (`--by flow`, `--by dst`).
    pub destination: Option<Endpoint>,
    /// The destination port alone (`--by port` without an address).
    pub port: Option<u16>,
    /// Who has the socket (`--by owner`).
    pub owner: Option<OwnerName>,
    /// Where that is at home, else what runs in the namespace (`--by container`).
    pub workload: Option<Arc<Workload>>,
    /// True for the one row that sums what the bounded table of flows could not tell apart and what no detail stands for.
    pub other: bool,
    /// A flow seen lately at this row, to show with it.
    pub example: Option<(Endpoint, Endpoint)>,
}

impl Row {
    /// The function, whether rows tell its sites apart or not; absent for a trap, and where it isn't known.
    pub fn function(&self) -> Option<&str> {
        self.function.as_deref().or_else(|| self.site.as_ref()?.function.as_deref())
    }

    /// What tells why it was dropped: the reason or, where the kernel gives none, the function.
    pub fn cause_name(&self) -> Option<&str> {
        let reason = self.reason.as_ref().map(|reason| reason.name.as_str());
        reason.filter(|name| *name != "NOT_SPECIFIED").or_else(|| self.function())
    }

    /// What it would be counted by: all that tells rows by site, reason, device, namespace and protocol apart.
    pub fn count_key(&self) -> CountKey {
        CountKey {
            address: self.site.as_ref().map_or(0, |site| site.address),
            reason: self.reason.as_ref().map(|reason| reason.number),
            ifindex: self.device.as_ref().map_or(0, |device| device.index),
            netns: self.netns.as_ref().map_or(0, |netns| netns.inode),
            protocol: self.protocol.unwrap_or_default(),
        }
    }
}

/// The counts of one interval, or at the end of the whole run.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// When it was taken.
    pub time: Timestamp,
    /// What it covers: since the summary before, or since the start.
    pub interval: Duration,
    /// Since the start.
    pub elapsed: Duration,
    /// The rows, most drops first.
    pub rows: Vec<Row>,
    /// The accounts of this interval (in an `end`: of all).
    pub accounts: Accounts,
    /// The accounts since the start.
    pub total: Accounts,
    /// What other counters say of the run; empty but at the end.
    pub attribution: Attribution,
    /// TCP's own events, where they are asked for.
    pub tcp: Option<Arc<TcpSummary>>,
    /// What the doctor found that explains some of these drops; empty where nobody asked it.
    pub findings: Arc<[Explanation]>,
}
