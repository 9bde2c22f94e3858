//! The kernel's cumulative counters, as growth per interval.

use std::collections::HashMap;

use crate::model::{CountKey, Counts};

/// Remembers each counter's last value. As many keys as the kernel's table holds, so bounded by it.
#[derive(Debug, Default)]
pub struct Counters {
    kept: HashMap<CountKey, Kept>,
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
}
