//! A bounded table of rows: sums of detailed events' weights by what `--by` tells apart. What no detail stood for, and what had no
//! place, is the difference to the kernel's exact counts.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;

use super::by::{By, Key};
use crate::model::tcp::{TcpEvent, TcpNumbers, TcpOwner};
use crate::model::{Device, Endpoint, Netns};
use crate::order::InOrder as _;

/// Rows that are kept, 1 to 2 MB of them.
const LIMIT: usize = 4096;

/// Counts of `N` kinds that rows tell apart as columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts<const N: usize>(pub [u64; N]);

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Counts<N> {
    /// All kinds.
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, more)| *sum += more);
    }

    fn less(&self, other: &Self) -> Self {
        let mut less = *self;
        less.0.iter_mut().zip(&other.0).for_each(|(left, part)| *left = left.saturating_sub(*part));
        less
    }
}

/// One row.
#[derive(Debug, Clone)]
pub struct Row<T, const N: usize> {
    /// What it is of.
    pub key: Key<T>,
    /// Since the last summary.
    pub interval: Counts<N>,
    /// Since the start.
    pub total: Counts<N>,
    /// The event seen last; absent for the row of all others.
    pub last: Option<Last>,
}

impl<T, const N: usize> Row<T, N> {
    /// Whether it is the row of what no other stands for.
    pub const fn is_others(&self) -> bool {
        self.last.is_none()
    }
}

/// What rows show of the event seen last.
#[derive(Debug, Clone)]
pub struct Last {
    /// Its addresses.
    pub local: Option<Endpoint>,
    /// Its addresses.
    pub remote: Option<Endpoint>,
    /// Its device.
    pub device: Option<Arc<Device>>,
    /// Its namespace.
    pub netns: Option<Arc<Netns>>,
    /// Its owner.
    pub owner: Option<TcpOwner>,
    /// What TCP knew.
    pub numbers: Option<Box<TcpNumbers>>,
}

impl Last {
    fn of(event: &TcpEvent) -> Self {
        Self {
            local: event.local,
            remote: event.remote,
            device: event.device.clone(),
            netns: event.netns.clone(),
            owner: event.owner.clone(),
            numbers: event.numbers.map(Box::new),
        }
    }
}

/// The table.
#[derive(Debug)]
pub struct Rows<T, const N: usize> {
    by: By,
    limit: usize,
    table: HashMap<Key<T>, Row<T, N>>,
}

impl<T: Clone + Eq + Hash + Ord, const N: usize> Rows<T, N> {
    /// Of rows by `by`.
    pub fn new(by: By) -> Self {
        Self { by, limit: LIMIT, table: HashMap::new() }
    }

    /// Adds the events that `event` stands for, to the column `kind`.
    pub fn record(&mut self, event: &TcpEvent, what: T, kind: usize) {
        let key = self.by.key(event, what);
        let is_full = self.table.len() >= self.limit;
        let row = match self.table.entry(key) {
            Entry::Occupied(row) => row.into_mut(),
            Entry::Vacant(_) if is_full => return,
            Entry::Vacant(place) => {
                let key = place.key().clone();
                let counts = (Counts::default(), Counts::default());
                place.insert(Row { key, interval: counts.0, total: counts.1, last: None })
            }
        };
        row.interval.0[kind] += u64::from(event.weight);
        row.total.0[kind] += u64::from(event.weight);
        // A later event may know less: a process that has gone.
        let before = row.last.take().and_then(|last| last.owner);
        row.last = Some(Last::of(event)).map(|last| Last { owner: last.owner.or(before), ..last });
    }

    /// The rows, most of the interval first, then most of all; last the one of what the kernel counted (`interval`, `total`) and no
    /// row stands for.
    pub fn rows(&self, interval: &Counts<N>, total: &Counts<N>) -> Vec<Row<T, N>> {
        let mut rows: Vec<_> = self.table.values().cloned().collect();
        rows.order_by(|one, other| {
            let most = |row: &Row<T, N>| Reverse((row.interval.sum(), row.total.sum()));
            most(one).cmp(&most(other)).then_with(|| one.key.cmp(&other.key))
        });
        let mut told = (Counts::default(), Counts::default());
        for row in &rows {
            told.0.add(&row.interval);
            told.1.add(&row.total);
        }
        let others = Row {
            key: Key::default(),
            interval: interval.less(&told.0),
            total: total.less(&told.1),
            last: None,
        };
        rows.extend(Some(others).filter(|others| others.total.sum() > 0));
        rows
    }

    /// Starts the next interval. A full table gives up its smaller half, so that rows to come have a place.
    pub fn turn(&mut self) {
        self.table.values_mut().for_each(|row| row.interval = Counts::default());
        if self.table.len() < self.limit {
            return;
        }
        let mut rows: Vec<_> = self.table.drain().collect();
        rows.order_by(|(one, its), (other, others)| {
            others.total.sum().cmp(&its.total.sum()).then_with(|| one.cmp(other))
        });
        rows.truncate(self.limit / 2);
        self.table.extend(rows);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::by::Dimension;
    use super::super::samples::{endpoint, event};
    use super::*;
    use crate::model::tcp::TcpKind;

    fn of_port(port: u16, weight: u32) -> TcpEvent {
        let remote = endpoint(&format!("10.0.0.2:{port}"));
        TcpEvent { remote: Some(remote), weight, ..event(TcpKind::ResetReceived { state: 1 }) }
    }

    proptest! {
        /// Whatever has no place: rows sum to the kernel's count.
        #[test]
        fn rows_sum_to_the_exact_count(events in prop::collection::vec((0_u16..40, 1_u32..9, 0_usize..2), 0..200)) {
            let mut table = Rows::<u8, 2> { limit: 8, ..Rows::new([Dimension::Flow].into_iter().collect()) };
            let (mut exact, mut interval) = (Counts([3, 0]), Counts([3, 0]));
            for (index, (port, weight, kind)) in events.into_iter().enumerate() {
                table.record(&of_port(port, weight), 0, kind);
                exact.0[kind] += u64::from(weight);
                interval.0[kind] += u64::from(weight);
                if index % 50 == 49 {
                    let rows = table.rows(&interval, &exact);
                    prop_assert_eq!(rows.iter().map(|row| row.interval.sum()).sum::<u64>(), interval.sum());
                    table.turn();
                    interval = Counts::default();
                }
                prop_assert!(table.table.len() <= 8);
            }
            let rows = table.rows(&interval, &exact);
            prop_assert_eq!(rows.iter().map(|row| row.total.sum()).sum::<u64>(), exact.sum());
            prop_assert!(rows.last().is_some_and(Row::is_others));
        }
    }

    #[test]
    fn the_most_come_first_and_an_owner_once_known_stays() {
        let mut table = Rows::<u8, 1>::new([Dimension::RemotePort].into_iter().collect());
        table.record(&of_port(80, 1), 0, 0);
        table.record(&TcpEvent { owner: None, ..of_port(80, 1) }, 0, 0);
        table.record(&of_port(443, 5), 0, 0);
        let rows = table.rows(&Counts([7]), &Counts([7]));
        let ports: Vec<_> = rows.iter().map(|row| (row.key.remote_port, row.total.sum())).collect();
        assert_eq!(ports, [(Some(443), 5), (Some(80), 2)]);
        assert!(rows[1].last.as_ref().unwrap().owner.is_some());
    }
}
