//! The table of histograms of round-trip times.

use std::collections::BTreeMap;
use std::io;

use aya::maps::{HashMap, Map, MapData, MapError};
use netdrop_common::tcp::{RTT_BUCKETS, RttHistogram, RttKey, SAMPLE, SRTT};
use netdrop_common::{bytes_of, read_plain};

use crate::probe::{ProbeError, sys};

/// A histogram with its key, in which no CPU is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RttTotal {
    /// Whose it is.
    pub key: RttKey,
    /// All CPUs' together.
    pub histogram: RttHistogram,
}

type KeyWords = [u64; size_of::<RttKey>() / 8];
type HistogramWords = [u64; size_of::<RttHistogram>() / 8];

#[derive(Debug)]
pub struct Rtt(HashMap<MapData, KeyWords, HistogramWords>);

impl Rtt {
    /// Puts in the one of all others for each CPU, so that it is there when nothing else has room.
    pub(super) fn new(map: MapData, cpus: u32, is_wanted: bool) -> Result<Self, ProbeError> {
        let empty = [0; size_of::<RttHistogram>()];
        for cpu in (0..cpus).filter(|_| is_wanted) {
            for what in [SRTT, SAMPLE] {
                let key = RttKey { cpu, what, others: 1, ..RttKey::default() };
                sys::map_update(map.fd(), bytes_of(&key), &empty)
                    .map_err(|error| ProbeError::Map { name: "TCP_RTT".into(), error })?;
            }
        }
        Map::HashMap(map).try_into().map(Self).map_err(failed)
    }

    /// All histograms, those of all others where anything is in them.
    pub fn read(&self) -> Result<Vec<RttTotal>, ProbeError> {
        let mut sums = BTreeMap::new();
        for entry in &self.0 {
            let (key, histogram) = entry.map_err(failed)?;
            add(&mut sums, &key, &histogram);
        }
        Ok(totals(sums))
    }

    /// Takes histograms out; what is counted of those at this moment is lost.
    pub fn forget(&mut self, gone: impl Fn(&RttKey) -> bool) -> Result<Vec<RttTotal>, ProbeError> {
        let keys: Vec<KeyWords> = self.0.keys().collect::<Result<_, _>>().map_err(failed)?;
        let mut sums = BTreeMap::new();
        for words in keys {
            if key_of(&words).is_some_and(|key| key.others == 0 && gone(&RttKey { cpu: 0, ..key })) {
                // Nobody else removes them.
                let histogram = self.0.get(&words, 0).map_err(failed)?;
                self.0.remove(&words).map_err(failed)?;
                add(&mut sums, &words, &histogram);
            }
        }
        Ok(totals(sums))
    }
}

fn key_of(words: &KeyWords) -> Option<RttKey> {
    read_plain(bytes_of(words))
}

fn add(sums: &mut BTreeMap<RttKey, RttHistogram>, key: &KeyWords, histogram: &HistogramWords) {
    let histogram = read_plain::<RttHistogram>(bytes_of(histogram));
    if let (Some(key), Some(histogram)) = (key_of(key), histogram) {
        let empty = RttHistogram { sum_us: 0, buckets: [0; RTT_BUCKETS] };
        let sum = sums.entry(RttKey { cpu: 0, ..key }).or_insert(empty);
        sum.sum_us += histogram.sum_us;
        for (sum, count) in sum.buckets.iter_mut().zip(histogram.buckets) {
            *sum += count;
        }
    }
}

fn totals(sums: BTreeMap<RttKey, RttHistogram>) -> Vec<RttTotal> {
    let used = |total: &RttTotal| total.histogram.buckets.iter().any(|count| *count != 0);
    sums.into_iter().map(|(key, histogram)| RttTotal { key, histogram }).filter(used).collect()
}

fn failed(error: MapError) -> ProbeError {
    ProbeError::Read { what: "the table of round-trip times", error: io::Error::other(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_histograms_of_all_cpus_are_one() {
        let mut sums = BTreeMap::new();
        let words = |key: &RttKey| -> KeyWords { read_plain(bytes_of(key)).unwrap() };
        for (cpu, remote_port, us, bucket) in [(0, 80, 7, 7), (1, 80, 8, 8), (1, 443, 1, 1)] {
            let mut histogram = [0; size_of::<RttHistogram>() / 8];
            (histogram[0], histogram[1 + bucket]) = (us, 1);
            add(&mut sums, &words(&RttKey { cpu, remote_port, ..RttKey::default() }), &histogram);
        }
        // One that was never counted in isn't told.
        let others = RttKey { others: 1, ..RttKey::default() };
        add(&mut sums, &words(&others), &[0; size_of::<RttHistogram>() / 8]);
        let totals = totals(sums);
        let told: Vec<_> = totals
            .iter()
            .map(|one| {
                (
                    one.key.cpu,
                    one.key.remote_port,
                    one.histogram.sum_us,
                    one.histogram.buckets.iter().sum::<u64>(),
                )
            })
            .collect();
        assert_eq!(told, [(0, 80, 15, 2), (0, 443, 1, 1)]);
    }
}
