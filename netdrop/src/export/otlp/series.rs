//! Rows → the series of a metric: bounded, monotone, and exact in their sum.

use std::collections::BTreeMap;

use super::label::Label;
use crate::model::{Counts, Row};

/// The attributes' values, in the order of the labels.
pub(super) type Key = Box<[Option<String>]>;

/// Which attributes have a series of their own: who came first keeps it. What the others count is in `rest`, so that the
/// sum over all series is the sum over all rows.
#[derive(Debug)]
pub(super) struct Series {
    labels: Vec<Label>,
    most: usize,
    own: BTreeMap<Key, Counts>,
    rest: Counts,
    total: Counts,
}

impl Series {
    /// At most `most` series told apart by `labels`, and the rest.
    pub fn new(labels: Vec<Label>, most: usize) -> Self {
        Self { labels, most, own: BTreeMap::new(), rest: Counts::default(), total: Counts::default() }
    }

    /// Takes the rows' counts since the start.
    ///
    /// No series ever goes back. One whose rows are gone (their network namespace has ended, say, and they were summed up
    /// elsewhere) stays as it was, and what was added elsewhere is not counted twice.
    pub fn update(&mut self, rows: &[Row]) {
        let mut sums: BTreeMap<Key, Counts> = BTreeMap::new();
        let mut total = Counts::default();
        for row in rows {
            total += row.total;
            if row.other {
                continue;
            }
            let key: Key = self.labels.iter().map(|label| label.value(row)).collect();
            if self.own.len() < self.most && !self.own.contains_key(&key) {
                self.own.insert(key.clone(), Counts::default());
            }
            if self.own.contains_key(&key) {
                *sums.entry(key).or_default() += row.total;
            }
        }
        let mut told = Counts::default();
        for (key, counts) in &mut self.own {
            *counts = larger(*counts, sums.get(key).copied().unwrap_or_default());
            told += *counts;
        }
        self.total = larger(self.total, total);
        self.rest = larger(self.rest, self.total.since(told));
    }

    /// The labels.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The series with attributes of their own.
    pub fn own(&self) -> impl ExactSizeIterator<Item = (&Key, Counts)> {
        self.own.iter().map(|(key, counts)| (key, *counts))
    }

    /// All others together; absent where there were none.
    pub fn rest(&self) -> Option<Counts> {
        (self.rest != Counts::default()).then_some(self.rest)
    }
}

fn larger(one: Counts, other: Counts) -> Counts {
    Counts { packets: one.packets.max(other.packets), bytes: one.bytes.max(other.bytes) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(function: u8, packets: u64) -> Row {
        let total = Counts { packets, bytes: packets * 100 };
        Row { function: Some(format!("f{function}")), total, ..Row::default() }
    }

    fn told(series: &Series) -> BTreeMap<Option<Key>, Counts> {
        let own = series.own().map(|(key, counts)| (Some(key.clone()), counts));
        own.chain(series.rest().map(|rest| (None, rest))).collect()
    }

    fn sum(series: &Series) -> Counts {
        told(series).values().fold(Counts::default(), |mut sum, counts| {
            sum += *counts;
            sum
        })
    }

    #[test]
    fn rows_of_the_same_attributes_are_one_series() {
        let mut series = Series::new(vec![Label::Function], 10);
        series.update(&[row(1, 3), row(1, 4), row(2, 5)]);
        assert_eq!(series.own().map(|(_, counts)| counts.packets).collect::<Vec<_>>(), [7, 5]);
        assert_eq!(series.rest(), None);
    }

    #[test]
    fn a_row_that_is_summed_up_elsewhere_is_not_counted_twice() {
        let mut series = Series::new(vec![Label::Function], 10);
        series.update(&[row(1, 3), row(2, 5)]);
        series.update(&[row(2, 5), Row { other: true, ..row(0, 4) }]);
        assert_eq!(series.own().map(|(_, counts)| counts.packets).collect::<Vec<_>>(), [3, 5]);
        assert_eq!(series.rest().map(|rest| rest.packets), Some(1));
    }

    proptest! {
        /// Whatever drops, and whichever rows go and are summed up in the one of all others: no series goes back, there are
        /// never more than allowed, and their sum is the rows'.
        #[test]
        fn series_are_bounded_monotone_and_exact(
            most in 0_usize..6,
            steps in prop::collection::vec((prop::collection::vec((0_u8..8, 1_u64..1000), 0..10), prop::option::of(0_u8..8)), 1..20),
        ) {
            let mut series = Series::new(vec![Label::Function], most);
            let (mut counts, mut gone) = (BTreeMap::<u8, u64>::new(), 0);
            for (drops, ends) in steps {
                for (function, packets) in drops {
                    *counts.entry(function).or_default() += packets;
                }
                gone += ends.and_then(|function| counts.remove(&function)).unwrap_or(0);
                let mut rows: Vec<Row> = counts.iter().map(|(function, packets)| row(*function, *packets)).collect();
                rows.push(Row { other: true, ..row(0, gone) });
                let before = told(&series);
                series.update(&rows);
                let after = told(&series);
                prop_assert!(series.own().len() <= most);
                for (key, counts) in before {
                    prop_assert!(after[&key].packets >= counts.packets && after[&key].bytes >= counts.bytes);
                }
                let packets = counts.values().sum::<u64>() + gone;
                prop_assert_eq!(sum(&series), Counts { packets, bytes: packets * 100 });
            }
        }
    }
}
