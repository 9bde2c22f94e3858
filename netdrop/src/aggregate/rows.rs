//! Groups of counters that are alike in what was asked for, with their names.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::knowledge::class_of;
use crate::model::{CountKey, Counts, Row};
use crate::order::InOrder as _;

use super::flows::FlowKey;
use super::{By, Dimension, Example, Names, order};

/// What makes a row one row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RowKey {
    function: Option<String>,
    count: CountKey,
    flow: FlowKey,
}

/// A row under way.
#[derive(Debug)]
struct Group {
    row: Row,
    /// When its example was recorded.
    recorded: u64,
}

/// The rows of one summary.
pub(super) struct Rows<'a, N> {
    by: By,
    names: &'a mut N,
    groups: HashMap<RowKey, Group>,
}

impl<'a, N: Names> Rows<'a, N> {
    pub fn new(by: By, names: &'a mut N) -> Self {
        Self { by, names, groups: HashMap::new() }
    }

    /// Adds counts to the row that they belong to.
    pub fn add(&mut self, key: CountKey, flow: FlowKey, counts: Counts, total: Counts) {
        let key = self.key(key, flow);
        let group = match self.groups.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let row = named(self.by, entry.key(), self.names);
                entry.insert(Group { row, recorded: 0 })
            }
        };
        group.row.counts += counts;
        group.row.total += total;
    }

    /// Shows an example with the row that it belongs to, if it is later than the one that the row has.
    pub fn offer(&mut self, key: CountKey, example: &Example) {
        let key = self.key(key, FlowKey::default());
        if let Some(group) = self.groups.get_mut(&key)
            && example.recorded > group.recorded
        {
            group.recorded = example.recorded;
            group.row.example = Some(example.flow);
        }
    }

    fn key(&mut self, key: CountKey, flow: FlowKey) -> RowKey {
        let mut count = self.by.mask(key);
        let mut function = None;
        if self.by.has(Dimension::Function) && !self.by.has(Dimension::Site) {
            let site = self.names.site(count.address);
            // A trap is no function's: it stays what it is.
            if site.trap.is_none() {
                let name = site.function.clone();
                function = Some(name.unwrap_or_else(|| format!("{:#x}", count.address)));
                count.address = 0;
            }
        }
        RowKey { function, count, flow }
    }

    /// Ordered; the row of all others, if it has any.
    pub fn finish(self, estimated: bool, other: (Counts, Counts)) -> Vec<Row> {
        let other = Row { counts: other.0, total: other.1, other: true, ..Row::default() };
        let other = Some(other).filter(|row| row.total.packets > 0);
        let rows = self.groups.into_values().map(|group| group.row).chain(other);
        let mut rows: Vec<_> = rows.map(|row| Row { estimated, ..row }).collect();
        rows.order_by(order);
        rows
    }
}

/// A row without counts, its names resolved.
fn named(by: By, key: &RowKey, names: &mut impl Names) -> Row {
    let count = key.count;
    let has_site = by.has(Dimension::Site) || (by.has(Dimension::Function) && key.function.is_none());
    let site = has_site.then(|| names.site(count.address));
    let reason = count.reason.map(|number| names.reason(number));
    let name = reason.as_ref().map(|reason| reason.name.as_str());
    Row {
        class: by.has(Dimension::Reason).then(|| match &site {
            Some(site) => site.class(name),
            None => class_of(name, key.function.as_deref()),
        }),
        site,
        function: key.function.clone(),
        reason,
        device: (count.ifindex != 0).then(|| names.device(count.netns, count.ifindex)),
        netns: (count.netns != 0).then(|| names.netns(count.netns)),
        protocol: Some(count.protocol).filter(|protocol| protocol.is_known()),
        source: key.flow.source,
        destination: key.flow.destination,
        port: key.flow.port,
        owner: key.flow.owner.clone(),
        workload: key.flow.workload.clone(),
        ..Row::default()
    }
}
