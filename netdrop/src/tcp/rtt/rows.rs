//! Rows that read alike are one: the kernel tells sockets apart where people tell processes apart.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::model::tcp::{Histogram, RttRow, RttWhat};
use crate::model::{Endpoint, OwnerName, Workload};
use crate::order::InOrder as _;

/// What a row is told apart by.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    what: RttWhat,
    others: bool,
    local: (Option<Endpoint>, Option<u16>),
    remote: (Option<Endpoint>, Option<u16>),
    gateway: Option<IpAddr>,
    device: Option<u32>,
    netns: Option<u32>,
    owner: Option<(Option<OwnerName>, Arc<Workload>)>,
}

fn key(row: &RttRow) -> Key {
    Key {
        what: row.what,
        others: row.others,
        local: (row.local, row.local_port),
        remote: (row.remote, row.remote_port),
        gateway: row.gateway,
        device: row.device.as_ref().map(|device| device.index),
        netns: row.netns.as_ref().map(|netns| netns.inode),
        owner: row.owner.as_ref().map(|owner| (owner.first(), Arc::clone(&owner.workload))),
    }
}

/// The same times in rows that all differ and are of something: most of the interval first, then most in all; those of all others last.
pub fn merged(rows: impl IntoIterator<Item = RttRow>) -> Vec<RttRow> {
    let mut apart: BTreeMap<Key, RttRow> = BTreeMap::new();
    for row in rows.into_iter().filter(|row| row.total.count() > 0) {
        let key = key(&row);
        if let Some(same) = apart.get_mut(&key) {
            same.interval.add(&row.interval);
            same.total.add(&row.total);
        } else {
            apart.insert(key, row);
        }
    }
    let mut rows: Vec<RttRow> = apart.into_values().collect();
    rows.order_by_key(|row| (row.others, std::cmp::Reverse((row.interval.count(), row.total.count()))));
    rows
}

/// What to look at where there is room for one: samples, and only where there are none smoothed times.
pub fn foremost(rows: &[RttRow]) -> Option<RttWhat> {
    rows.iter().filter(|row| row.total.count() > 0).map(|row| row.what).max()
}

/// All rows' times of `what` in one.
pub fn sum(rows: &[RttRow], what: RttWhat, of: impl Fn(&RttRow) -> &Histogram) -> Histogram {
    let mut sum = Histogram::default();
    rows.iter().filter(|row| row.what == what).for_each(|row| sum.add(of(row)));
    sum
}

#[cfg(test)]
mod tests {
    use super::super::samples::{histogram, of_all, owned, to};
    use super::*;

    #[test]
    fn sockets_of_one_process_are_one_row() {
        let times = |us| histogram(&[(us, 10)]);
        let rows = merged([
            owned(7, "wget", times(100)),
            owned(8, "curl", times(200)),
            owned(7, "wget", times(300)),
        ]);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].owner.as_ref().unwrap().first().unwrap().pid, 7);
        assert_eq!((rows[0].total.count(), rows[0].total.sum_us), (20, 4000));
        assert_eq!((rows[1].interval.count(), rows[1].interval.sum_us), (10, 2000));
    }

    #[test]
    fn most_come_first_and_others_last() {
        let mut others = of_all(histogram(&[(5, 99)]));
        others.others = true;
        let rows =
            merged([others, to("10.0.0.1", histogram(&[(5, 1)])), to("10.0.0.2", histogram(&[(5, 3)]))]);
        assert_eq!(rows.iter().map(|row| row.total.count()).collect::<Vec<_>>(), [3, 1, 99]);
    }

    #[test]
    fn smoothed_times_are_never_added_to_samples() {
        let mut smoothed = of_all(histogram(&[(5, 3)]));
        smoothed.what = RttWhat::Smoothed;
        let rows = merged([of_all(histogram(&[(7, 4)])), smoothed]);
        assert_eq!(rows.len(), 2);
        assert_eq!(foremost(&rows), Some(RttWhat::Sample));
        assert_eq!(sum(&rows, RttWhat::Sample, |row| &row.total), histogram(&[(7, 4)]));
        assert_eq!(foremost(&rows[1..]), Some(RttWhat::Smoothed));
        assert_eq!(foremost(&[]), None);
    }

    #[test]
    fn what_was_never_counted_is_no_row() {
        let mut others = of_all(Histogram::default());
        others.others = true;
        let mut smoothed = of_all(histogram(&[(5, 3)]));
        smoothed.what = RttWhat::Smoothed;
        assert_eq!(foremost(&[others.clone(), smoothed.clone()]), Some(RttWhat::Smoothed));
        assert_eq!(merged([others, smoothed]).len(), 1);
    }
}
