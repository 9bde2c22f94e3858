//! Round-trip times, counted in buckets.

use std::ops::Range;

use netdrop_common::tcp::{RTT_BUCKETS, rtt_bucket_start};

/// A histogram of times: netdrop-common's buckets, four to each power of two.
///
/// What it tells of single times (quantiles, the least, the greatest) is the middle of the bucket that holds them, at most
/// [`Histogram::ERROR`] off; counts and the mean are exact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    /// Sum of all, µs.
    pub sum_us: u64,
    /// How many in each bucket.
    pub buckets: [u64; RTT_BUCKETS],
}

impl Default for Histogram {
    fn default() -> Self {
        Self { sum_us: 0, buckets: [0; RTT_BUCKETS] }
    }
}

impl Histogram {
    /// How far a bucket's middle may be off a time in it, as a part of that time; the last bucket has no end and no middle.
    pub const ERROR: f64 = 0.125;

    /// How many times.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The arithmetic mean, µs; absent when empty. Exact.
    pub fn mean_us(&self) -> Option<f64> {
        let count = self.count();
        #[expect(clippy::cast_precision_loss, reason = "a mean of microseconds")]
        (count > 0).then(|| self.sum_us as f64 / count as f64)
    }

    /// The number of the bucket that holds the quantile `q` (0 to 1), by the nearest rank: the least bucket up to whose end there
    /// are at least `q` of all. Absent when empty.
    pub fn quantile(&self, q: f64) -> Option<usize> {
        quantile_bucket(&self.buckets, q)
    }

    /// The buckets from the first to the last that isn't empty; absent when all are.
    pub fn span(&self) -> Option<Range<usize>> {
        let first = self.buckets.iter().position(|count| *count > 0)?;
        let last = self.buckets.iter().rposition(|count| *count > 0)?;
        Some(first..last + 1)
    }

    /// The times of bucket `number`, µs; the last one's go on.
    pub fn range_us(number: usize) -> Range<u64> {
        rtt_bucket_start(number)..rtt_bucket_start(number + 1)
    }

    /// Whether `number` is the last bucket, that has no end.
    pub const fn is_open(number: usize) -> bool {
        number + 1 >= RTT_BUCKETS
    }

    /// The middle of bucket `number`'s whole microseconds; of the last one its start.
    pub fn middle_us(number: usize) -> f64 {
        let Range { start, end } = Self::range_us(number);
        let last = if Self::is_open(number) { start } else { end - 1 };
        #[expect(clippy::cast_precision_loss, reason = "less than 2^32")]
        let sum = (start + last) as f64;
        sum / 2.0
    }

    /// What was added since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut buckets = self.buckets;
        buckets.iter_mut().zip(&earlier.buckets).for_each(|(now, then)| *now = now.saturating_sub(*then));
        Self { sum_us: self.sum_us.saturating_sub(earlier.sum_us), buckets }
    }

    /// These and `others`.
    pub fn add(&mut self, others: &Self) {
        self.sum_us += others.sum_us;
        self.buckets.iter_mut().zip(&others.buckets).for_each(|(sum, more)| *sum += more);
    }
}

/// The number of the bucket that holds the quantile `q` (0 to 1) of what was counted, by the nearest rank; absent when nothing was.
pub fn quantile_bucket(buckets: &[u64], q: f64) -> Option<usize> {
    let count: u64 = buckets.iter().sum();
    if count == 0 {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank between 1 and count"
    )]
    let rank = ((q * count as f64).ceil() as u64).clamp(1, count);
    let mut seen = 0;
    buckets.iter().position(|in_bucket| {
        seen += in_bucket;
        seen >= rank
    })
}

#[cfg(test)]
mod tests {
    use netdrop_common::tcp::rtt_bucket;
    use proptest::prelude::*;

    use super::*;

    fn of(times: &[u32]) -> Histogram {
        let mut histogram = Histogram::default();
        for time in times {
            histogram.sum_us += u64::from(*time);
            histogram.buckets[rtt_bucket(*time)] += 1;
        }
        histogram
    }

    #[test]
    fn empty_says_nothing() {
        let none = Histogram::default();
        assert_eq!((none.count(), none.mean_us(), none.quantile(0.5), none.span()), (0, None, None, None));
    }

    #[rstest::rstest]
    #[case(0, 0.0)]
    #[case(3, 3.0)]
    #[case(4, 4.0)]
    #[case(7, 7.0)]
    #[case(8, 8.5)]
    #[case(9, 8.5)]
    #[case(1000, 959.5)]
    #[case(1024, 1151.5)]
    fn short_times_are_exact(#[case] us: u32, #[case] middle: f64) {
        assert!((Histogram::middle_us(rtt_bucket(us)) - middle).abs() < 1e-9);
    }

    #[test]
    fn the_last_bucket_has_no_end() {
        let last = rtt_bucket(u32::MAX);
        assert!(Histogram::is_open(last) && !Histogram::is_open(last - 1));
        assert!((Histogram::middle_us(last) - 402_653_184.0).abs() < 1.0);
    }

    /// Times of all magnitudes up to the last bucket's start.
    fn time() -> impl Strategy<Value = u32> {
        (0_u32..28, any::<u32>()).prop_map(|(bits, any)| any & ((1 << bits) | ((1 << bits) - 1)))
    }

    proptest! {
        #[test]
        fn quantiles_are_within_the_bound(mut times in proptest::collection::vec(time(), 1..200), q in 0.0_f64..=1.0) {
            let histogram = of(&times);
            times.sort_unstable();
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place")]
            let rank = ((q * times.len() as f64).ceil() as usize).clamp(1, times.len());
            let exact = times[rank - 1];
            let bucket = histogram.quantile(q).unwrap();
            prop_assert!(Histogram::range_us(bucket).contains(&u64::from(exact)));
            prop_assert!((Histogram::middle_us(bucket) - f64::from(exact)).abs() <= Histogram::ERROR * f64::from(exact));
        }

        #[test]
        fn the_ends_hold_the_least_and_the_greatest(times in proptest::collection::vec(any::<u32>(), 1..50)) {
            let span = of(&times).span().unwrap();
            prop_assert_eq!(span.start, rtt_bucket(*times.iter().min().unwrap()));
            prop_assert_eq!(span.end, rtt_bucket(*times.iter().max().unwrap()) + 1);
        }

        #[test]
        fn sums_come_apart_again(a in proptest::collection::vec(any::<u32>(), 0..50), b in proptest::collection::vec(any::<u32>(), 0..50)) {
            let mut both = of(&a);
            both.add(&of(&b));
            prop_assert_eq!(both.since(&of(&a)), of(&b));
            prop_assert_eq!(both.count(), (a.len() + b.len()) as u64);
        }

        #[test]
        fn buckets_join(number in 0_usize..RTT_BUCKETS) {
            prop_assert_eq!(Histogram::range_us(number).end, Histogram::range_us(number + 1).start);
            let start = u32::try_from(Histogram::range_us(number).start).unwrap();
            prop_assert_eq!(rtt_bucket(start), number);
            prop_assert!(start == 0 || rtt_bucket(start - 1) == number - 1);
        }
    }
}
