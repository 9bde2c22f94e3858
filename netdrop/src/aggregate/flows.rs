//! Sums over detailed drops: rows by flow, source, destination, port, owner, container, which the kernel's counters don't tell apart.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{CountKey, Counts, Drop, Endpoint, OwnerName, Workload};
use crate::order::InOrder as _;

use super::By;

/// The part of a flow that rows tell apart, and whose it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) struct FlowKey {
    pub source: Option<Endpoint>,
    pub destination: Option<Endpoint>,
    /// The destination port.
    pub port: Option<u16>,
    pub owner: Option<OwnerName>,
    pub workload: Option<Arc<Workload>>,
}

/// The growth since the last summary, and the total.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    pub delta: Counts,
    pub total: Counts,
}

impl Sums {
    fn add(&mut self, counts: Counts) {
        self.delta += counts;
        self.total += counts;
    }
}

/// A table of at most `limit` flows; what has no place in it is summed in `other`.
#[derive(Debug)]
pub(super) struct Flows {
    limit: usize,
    rows: HashMap<(CountKey, FlowKey), Sums>,
    other: Sums,
}

impl Flows {
    pub fn new(limit: usize) -> Self {
        Self { limit, rows: HashMap::new(), other: Sums::default() }
    }

    /// Adds the drops that `drop` stands for.
    pub fn record(&mut self, by: By, drop: &Drop<'_>) {
        let counts = Counts {
            packets: drop.weight,
            // An estimate: those sampled out are taken to be as long as this one.
            bytes: drop.weight.saturating_mul(u64::from(drop.packet.length)),
        };
        let key = (by.mask(count_key(drop)), by.flow(drop));
        if let Some(sums) = self.rows.get_mut(&key) {
            sums.add(counts);
        } else if self.rows.len() < self.limit {
            self.rows.entry(key).or_default().add(counts);
        } else {
            self.other.add(counts);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (CountKey, FlowKey, Sums)> {
        self.rows.iter().map(|((key, flow), sums)| (*key, flow.clone(), *sums))
    }

    pub fn other(&self) -> Sums {
        self.other
    }

    /// The drops that all rows together stand for, since the start.
    pub fn total(&self) -> Counts {
        let mut total = self.other.total;
        self.rows.values().for_each(|sums| total += sums.total);
        total
    }

    /// Starts the next interval. A full table gives up its smaller half, so that flows to come have a place; the sum stays.
    pub fn turn(&mut self) {
        self.other.delta = Counts::default();
        for sums in self.rows.values_mut() {
            sums.delta = Counts::default();
        }
        if self.rows.len() < self.limit {
            return;
        }
        let mut rows: Vec<_> = self.rows.drain().collect();
        rows.order_by(|(one, its), (other, others)| {
            others.total.packets.cmp(&its.total.packets).then_with(|| one.cmp(other))
        });
        for (_, sums) in rows.drain(self.limit / 2..) {
            self.other.total += sums.total;
        }
        self.rows.extend(rows);
    }
}

/// What the kernel counted `drop` under.
pub(super) fn count_key(drop: &Drop<'_>) -> CountKey {
    CountKey {
        address: drop.site.address,
        reason: drop.reason.map(|reason| reason.number),
        ifindex: drop.device.map_or(0, |device| device.index),
        netns: drop.netns.map_or(0, |netns| netns.inode),
        protocol: drop.packet.protocol,
    }
}
