//! The kernel's cumulative counters, as growth per interval.

use std::collections::HashMap;

use crate::model::{CountKey, Counts};

/// Remembers each counter's last value. As many keys as the kernel's table holds, so bounded by it; where that gives up
/// some, so may this.
#[derive(Debug, Default)]
pub struct Counters {
    kept: HashMap<CountKey, Kept>,
    /// The totals of those that were given up.
    forgotten: Counts,
}

#[derive(Debug, Default)]
struct Kept {
    /// The sum over the CPUs in the reading under way.
    reading: Counts,
    /// The growth in the last reading.
    delta: Counts,
    /// The largest value that was read.
    total: Counts,
}

impl Counters {
    /// Takes a reading of all counters: cumulative values in any order; those of one key (one a CPU) are summed.
    ///
    /// A counter never goes back. A smaller or missing value comes from a table that was read while it changed: it grows
    /// by nothing now, and by the whole difference when it is read in full again.
    pub fn update(&mut self, reading: impl IntoIterator<Item = (CountKey, Counts)>) {
        for kept in self.kept.values_mut() {
            kept.reading = Counts::default();
        }
        for (key, counts) in reading {
            self.kept.entry(key).or_default().reading += counts;
        }
        for kept in self.kept.values_mut() {
            kept.delta = kept.reading.since(kept.total);
            kept.total += kept.delta;
        }
    }

    /// Gives up these counters, which must not be in the readings to come; their sum stays.
    pub fn forget(&mut self, gone: impl Fn(&CountKey) -> bool) {
        for (_, kept) in self.kept.extract_if(|key, _| gone(key)) {
            self.forgotten += kept.total;
        }
    }

    /// What those had counted that were given up.
    pub fn forgotten(&self) -> Counts {
        self.forgotten
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Each key with its growth in the last reading and its total.
    pub fn iter(&self) -> impl Iterator<Item = (CountKey, Counts, Counts)> {
        self.kept.iter().map(|(key, kept)| (*key, kept.delta, kept.total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Protocol;

    fn key(address: u64) -> CountKey {
        CountKey { address, reason: Some(2), ifindex: 1, netns: 7, protocol: Protocol::default() }
    }

    fn counts(packets: u64) -> Counts {
        Counts { packets, bytes: packets * 60 }
    }

    fn read(counters: &mut Counters, reading: &[(u64, u64)]) -> Vec<(u64, u64, u64)> {
        counters.update(reading.iter().map(|(address, packets)| (key(*address), counts(*packets))));
        let mut rows: Vec<_> =
            counters.iter().map(|(key, d, t)| (key.address, d.packets, t.packets)).collect();
        rows.sort_unstable();
        rows
    }

    #[test]
    fn values_of_one_key_are_summed_and_their_growth_is_told() {
        let mut counters = Counters::default();
        assert_eq!(read(&mut counters, &[(1, 5), (2, 1), (1, 6)]), [(1, 11, 11), (2, 1, 1)]);
        assert_eq!(read(&mut counters, &[(2, 1), (1, 6), (1, 6)]), [(1, 1, 12), (2, 0, 1)]);
    }

    #[test]
    fn a_counter_that_vanishes_keeps_its_total_and_counts_once_when_it_comes_back() {
        let mut counters = Counters::default();
        assert_eq!(read(&mut counters, &[(1, 5)]), [(1, 5, 5)]);
        assert_eq!(read(&mut counters, &[]), [(1, 0, 5)]);
        assert_eq!(read(&mut counters, &[(1, 3)]), [(1, 0, 5)]);
        assert_eq!(read(&mut counters, &[(1, 8)]), [(1, 3, 8)]);
    }

    #[test]
    fn what_is_forgotten_stays_in_the_sum_and_begins_anew() {
        let mut counters = Counters::default();
        read(&mut counters, &[(1, 5), (2, 7)]);
        counters.forget(|key| key.address == 2);
        assert_eq!((counters.forgotten(), counters.len()), (counts(7), 1));
        assert_eq!(read(&mut counters, &[(1, 5), (2, 3)]), [(1, 0, 5), (2, 3, 3)]);
        assert_eq!(counters.forgotten(), counts(7));
    }
}
