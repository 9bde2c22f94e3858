//! The series of `netdrop_drops_total` and `netdrop_drop_bytes_total`: bounded, exact in their sum, and never going back.

use std::collections::BTreeMap;

use super::Label;
use crate::model::{Counts, Row};

/// What all labels of the one series say that sums the rest.
pub const OTHER: &str = "other";

/// Sums of drops by their labels. Who comes first keeps a series of its own for as long as the daemon runs; when there
/// are as many as may be, what else comes is summed in one more.
#[derive(Debug)]
pub struct Series {
    labels: Vec<Label>,
    /// Series in all, the other one included.
    limit: usize,
    named: BTreeMap<Vec<String>, Counts>,
    other: Counts,
    /// The sum over all.
    sum: Counts,
}

impl Series {
    /// At most `limit` series by `labels`.
    pub fn new(labels: &[Label], limit: usize) -> Self {
        Self {
            labels: labels.to_vec(),
            limit,
            named: BTreeMap::new(),
            other: Counts::default(),
            sum: Counts::default(),
        }
    }

    /// Takes the growth that a summary's rows tell, each summary once. Afterwards the sum over all series is that of the
    /// rows' totals.
    ///
    /// What the totals grew by beyond the rows' growth (a summary that was missed; drops that no detail stands for) is
    /// the other series'. When rows later tell of such drops after all, they have been counted: no drop is counted twice.
    pub fn record(&mut self, rows: &[Row]) {
        let mut total = Counts::default();
        for row in rows {
            total += row.total;
        }
        let mut left = total.since(self.sum);
        self.sum += left;
        for row in rows.iter().filter(|row| row.counts.packets > 0 && !row.other) {
            let counts = Counts {
                packets: row.counts.packets.min(left.packets),
                bytes: row.counts.bytes.min(left.bytes),
            };
            left = left.since(counts);
            let values = self.labels.iter().map(|label| label.of(row)).collect();
            self.add(values, counts);
        }
        self.other += left;
    }

    fn add(&mut self, values: Vec<String>, counts: Counts) {
        if let Some(sum) = self.named.get_mut(&values) {
            *sum += counts;
        } else if self.named.len() + 1 < self.limit {
            self.named.insert(values, counts);
        } else {
            self.other += counts;
        }
    }

    /// Other labels or another limit from here on. What was counted stays: summed over labels that go, and with an empty
    /// value for labels that come.
    pub fn change(&mut self, labels: &[Label], limit: usize) {
        if self.labels == labels && self.limit == limit {
            return;
        }
        let places: Vec<_> =
            labels.iter().map(|label| self.labels.iter().position(|known| known == label)).collect();
        let before = std::mem::replace(self, Self::new(labels, limit));
        (self.other, self.sum) = (before.other, before.sum);
        for (values, counts) in before.named {
            let value = |place: &Option<usize>| place.map_or_else(String::new, |place| values[place].clone());
            self.add(places.iter().map(value).collect(), counts);
        }
    }

    /// The names of the labels.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.labels.iter().map(|label| label.name())
    }

    /// Every series: its labels' values and its counts. The other one is last, once there is anything in it.
    pub fn iter(&self) -> impl Iterator<Item = (Vec<&str>, Counts)> {
        let other = (self.other.packets > 0).then(|| (vec![OTHER; self.labels.len()], self.other));
        let series =
            self.named.iter().map(|(values, counts)| (values.iter().map(String::as_str).collect(), *counts));
        series.chain(other)
    }

    /// How many series there are, the other one included.
    pub fn count(&self) -> usize {
        self.named.len() + usize::from(self.other.packets > 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(function: &str, delta: u64, total: u64) -> Row {
        let counts = |packets| Counts { packets, bytes: packets * 60 };
        Row { function: Some(function.into()), counts: counts(delta), total: counts(total), ..Row::default() }
    }

    fn series(series: &Series) -> Vec<(String, u64)> {
        series.iter().map(|(values, counts)| (values.join(","), counts.packets)).collect()
    }

    #[test]
    fn who_comes_first_keeps_a_series() {
        let mut table = Series::new(&[Label::Function], 3);
        table.record(&[row("a", 1, 1), row("b", 2, 2)]);
        table.record(&[row("c", 9, 9), row("a", 1, 2), row("b", 0, 2)]);
        assert_eq!(series(&table), [("a".into(), 2), ("b".into(), 2), ("other".into(), 9)]);
        assert_eq!(table.count(), 3);
    }

    #[test]
    fn rows_that_vanish_stay_counted() {
        let mut table = Series::new(&[Label::Function], 9);
        table.record(&[row("a", 5, 5), row("b", 1, 1)]);
        // The aggregator gave up `a`: its total is in the row of all others.
        let other = Row { other: true, ..row("", 0, 5) };
        table.record(&[row("b", 2, 3), other]);
        assert_eq!(series(&table), [("a".into(), 5), ("b".into(), 3)]);
    }

    #[test]
    fn a_missed_summary_is_in_the_other_series() {
        let mut table = Series::new(&[Label::Function], 9);
        table.record(&[row("a", 1, 4)]);
        assert_eq!(series(&table), [("a".into(), 1), ("other".into(), 3)]);
    }

    #[test]
    fn other_labels_keep_what_was_counted() {
        let mut table = Series::new(&[Label::Function, Label::Device], 9);
        table.record(&[row("a", 5, 5), row("b", 1, 1)]);
        table.change(&[Label::Reason, Label::Function], 9);
        assert_eq!(series(&table), [(",a".into(), 5), (",b".into(), 1)]);
        table.change(&[Label::Reason], 9);
        assert_eq!(series(&table), [(String::new(), 6)]);
    }

    proptest! {
        /// Whatever comes: the sum is exact, no series goes back, and there are never more than may be.
        #[test]
        fn sums_are_exact_and_series_never_go_back(
            summaries in prop::collection::vec(prop::collection::vec((0_u8..12, 0_u64..100), 0..12), 0..12),
            lost in prop::collection::vec(any::<bool>(), 12),
            limit in 1_usize..8,
        ) {
            let mut table = Series::new(&[Label::Function], limit);
            let mut totals = BTreeMap::<u8, u64>::new();
            let mut before = BTreeMap::new();
            for (summary, lost) in summaries.iter().zip(lost) {
                let mut deltas = BTreeMap::<u8, u64>::new();
                for (name, count) in summary {
                    *totals.entry(*name).or_default() += count;
                    *deltas.entry(*name).or_default() += count;
                }
                if lost {
                    continue;
                }
                let rows: Vec<_> = totals
                    .iter()
                    .map(|(name, total)| row(&name.to_string(), deltas.get(name).copied().unwrap_or(0), *total))
                    .collect();
                table.record(&rows);
                let after: BTreeMap<_, _> = series(&table).into_iter().collect();
                prop_assert!(after.len() <= limit);
                prop_assert_eq!(after.values().sum::<u64>(), totals.values().sum::<u64>());
                let kept = |(name, count)| after.get(name).is_some_and(|now| now >= count);
                prop_assert!(before.iter().all(kept), "{:?} {:?}", before, after);
                before = after;
            }
        }
    }
}
