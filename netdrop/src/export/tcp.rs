//! What metrics of TCP tell, whatever they are written as.

use std::collections::BTreeMap;

use netdrop_common::tcp::rtt_bucket_start;

use crate::model::tcp::{Counted, Histogram, RttWhat, TcpSummary};

/// Upper bounds of the round-trip times' buckets, in µs: powers of two from 16 µs to 67 s.
pub(super) const BOUNDS_US: [u64; 23] = {
    let mut bounds = [16; 23];
    let mut place = 1;
    while place < bounds.len() {
        bounds[place] = bounds[place - 1] * 2;
        place += 1;
    }
    bounds
};

/// What acknowledgements told in the interval, all rows together: rows may come and go.
pub(super) fn samples(tcp: &TcpSummary) -> Histogram {
    let mut sum = Histogram::default();
    tcp.rtt.iter().filter(|row| row.what == RttWhat::Sample).for_each(|row| sum.add(&row.interval));
    sum
}

/// How many of them lie below one of the bounds.
pub(super) fn up_to(times: &Histogram, bound_us: u64) -> u64 {
    let within = |place: &usize| rtt_bucket_start(place + 1) <= bound_us;
    (0..times.buckets.len()).take_while(within).map(|place| times.buckets[place]).sum()
}

/// Of microseconds.
#[expect(clippy::cast_precision_loss, reason = "microseconds")]
pub(super) fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

/// Resets sent in the interval, by the kernel's reason; an empty one where it tells none.
pub(super) fn resets_sent(tcp: &TcpSummary) -> BTreeMap<&str, u64> {
    let mut sums = BTreeMap::new();
    for count in tcp.counts.iter().filter(|count| count.counted() == Counted::ResetSent) {
        *sums.entry(tcp.detail_name(count).unwrap_or_default()).or_default() += count.counts.events;
    }
    sums
}
