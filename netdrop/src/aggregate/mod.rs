//! Counters and detailed drops in, rows out. Pure: no clock, no kernel; time and names are given.

mod by;
mod counters;
mod flows;
mod order;
mod rows;
mod series;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

pub use by::{By, ByError, Dimension};
pub use counters::Counters;
pub use order::order;
pub use series::Series;

use crate::model::{
    Accounts, Attribution, CountKey, Counts, Device, Drop, Endpoint, Netns, Reason, Row, Site, Summary,
    Timestamp,
};
use flows::{FlowKey, Flows};
use rows::Rows;

/// How many rows by flow are kept apart, and how many example flows: some 100 bytes each.
const FLOW_LIMIT: usize = 4096;

/// Who knows the names of the kernel's numbers; resolved once a row and summary, so expected to remember.
pub trait Names {
    /// The site at a code address.
    fn site(&mut self, address: u64) -> Arc<Site>;
    /// The reason with a number.
    fn reason(&mut self, number: u32) -> Arc<Reason>;
    /// The device with an index in the network namespace with inode number `netns` (0: not known).
    fn device(&mut self, netns: u32, ifindex: u32) -> Arc<Device>;
    /// The network namespace with an inode number.
    fn netns(&mut self, inode: u32) -> Arc<Netns>;
}

/// When a summary is taken, and the kernel's accounts then.
#[derive(Debug, Clone, Copy, Default)]
pub struct Now {
    /// Wall-clock time.
    pub time: Timestamp,
    /// Since the start, by a clock that never jumps.
    pub elapsed: Duration,
    /// The accounts since the start.
    pub accounts: Accounts,
}

/// Sums drops into rows.
#[derive(Debug)]
pub struct Aggregator {
    by: By,
    /// Whether the rows are sums over details.
    from_details: bool,
    counters: Counters,
    flows: Flows,
    examples: HashMap<CountKey, Example>,
    /// Detailed drops seen so far: tells which example is the latest.
    recorded: u64,
    /// The summary before.
    last: Now,
    /// What no flow stood for then.
    last_unsampled: Counts,
}

#[derive(Debug, Clone, Copy)]
struct Example {
    recorded: u64,
    flow: (Endpoint, Endpoint),
}

impl Aggregator {
    /// Rows that differ by `by`; time starts at zero.
    pub fn new(by: By) -> Self {
        Self::with_limit(by, FLOW_LIMIT)
    }

    /// The same rows as estimates from details, also where counters could tell them apart: a recording's may not.
    pub fn from_details(by: By) -> Self {
        Self { from_details: true, ..Self::new(by) }
    }

    fn with_limit(by: By, limit: usize) -> Self {
        Self {
            by,
            from_details: by.needs_details(),
            counters: Counters::default(),
            flows: Flows::new(limit),
            examples: HashMap::new(),
            recorded: 0,
            last: Now::default(),
            last_unsampled: Counts::default(),
        }
    }

    /// Takes a detailed drop: an example for its row, and the weight of rows by flow.
    pub fn record(&mut self, drop: &Drop<'_>) {
        self.recorded += 1;
        if self.from_details {
            self.flows.record(self.by, drop);
        } else if let (Some(source), Some(destination)) = (drop.packet.source, drop.packet.destination) {
            if self.examples.len() >= FLOW_LIMIT {
                self.examples.clear();
            }
            let example = Example { recorded: self.recorded, flow: (source, destination) };
            self.examples.insert(flows::count_key(drop), example);
        }
    }

    /// The rows of the time since the summary before. `counters` are the kernel's, cumulative, in any order.
    pub fn summary(
        &mut self,
        now: Now,
        counters: impl IntoIterator<Item = (CountKey, Counts)>,
        names: &mut impl Names,
    ) -> Summary {
        self.counters.update(counters);
        let rows = self.rows(&now, names, |delta, _| delta);
        let summary = Summary {
            time: now.time,
            interval: now.elapsed.saturating_sub(self.last.elapsed),
            elapsed: now.elapsed,
            rows,
            accounts: now.accounts.since(&self.last.accounts),
            total: now.accounts,
            attribution: Attribution::default(),
            tcp: None,
            findings: Arc::default(),
        };
        self.last_unsampled = self.unsampled();
        self.last = now;
        self.turn();
        summary
    }

    /// Starts the next interval of details; [`Aggregator::summary`] does it too.
    pub fn turn(&mut self) {
        self.flows.turn();
    }

    /// The rows of the whole run.
    pub fn end(
        &mut self,
        now: Now,
        counters: impl IntoIterator<Item = (CountKey, Counts)>,
        names: &mut impl Names,
    ) -> Summary {
        self.counters.update(counters);
        let rows = self.rows(&now, names, |_, total| total);
        Summary {
            time: now.time,
            interval: now.elapsed,
            elapsed: now.elapsed,
            rows,
            accounts: now.accounts,
            total: now.accounts,
            attribution: Attribution::default(),
            tcp: None,
            findings: Arc::default(),
        }
    }

    /// Gives up the counters of what is gone; what they had counted stays in the row of all others.
    pub fn forget(&mut self, gone: impl Fn(&CountKey) -> bool) {
        self.examples.retain(|key, _| !gone(key));
        self.counters.forget(gone);
    }

    /// What the kernel counted and no detail stood for yet: the end of a burst, details that were lost.
    fn unsampled(&self) -> Counts {
        let mut counted = self.counters.forgotten();
        self.counters.iter().for_each(|(_, _, total)| counted += total);
        counted.since(self.flows.total())
    }

    /// All rows, most drops first; `of` chooses the counts to show from growth and total.
    fn rows(&self, now: &Now, names: &mut impl Names, of: fn(Counts, Counts) -> Counts) -> Vec<Row> {
        let mut rows = Rows::new(self.by, names);
        if self.from_details {
            for (key, flow, sums) in self.flows.iter() {
                rows.add(key, flow, of(sums.delta, sums.total), sums.total);
            }
            let accounts = now.accounts;
            let exact = accounts.sampled_out + accounts.ring_full == 0
                && self.flows.total().packets == accounts.detailed;
            let mut other = self.flows.other();
            let unsampled = self.unsampled();
            other.total += unsampled;
            other.delta += unsampled.since(self.last_unsampled);
            return rows.finish(!exact, (of(other.delta, other.total), other.total));
        }
        for (key, delta, total) in self.counters.iter() {
            rows.add(key, FlowKey::default(), of(delta, total), total);
        }
        for (key, example) in &self.examples {
            rows.offer(*key, example);
        }
        let forgotten = self.counters.forgotten();
        rows.finish(false, (of(Counts::default(), forgotten), forgotten))
    }
}
