//! At most so many a second.

use std::time::Duration;

use tokio::time::Instant;

/// A token bucket by the generic cell rate algorithm: it holds the time at which the next one would be due without a burst.
/// It may give a second's worth at once, and has no timer.
#[derive(Debug)]
pub(super) struct Bucket {
    every: Duration,
    due: Instant,
}

impl Bucket {
    const BURST: Duration = Duration::from_secs(1);

    /// `rate` a second, from `now` on; at least one.
    pub fn new(rate: u32, now: Instant) -> Self {
        Self { every: Duration::from_secs(1) / rate.max(1), due: now }
    }

    /// Whether one more may pass.
    pub fn take(&mut self, now: Instant) -> bool {
        let next = self.due.max(now) + self.every;
        let passes = next <= now + Self::BURST;
        if passes {
            self.due = next;
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_is_a_seconds_worth() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, start);
        assert_eq!((0..100).filter(|_| bucket.take(start)).count(), 10);
        assert!(!bucket.take(start + Duration::from_millis(99)));
        assert!(bucket.take(start + Duration::from_millis(100)));
    }

    proptest! {
        /// Whatever the times: never more than the rate and one burst.
        #[test]
        fn never_more_than_the_rate(rate in 1_u32..1000, steps in prop::collection::vec(0_u64..50, 1..500)) {
            let start = Instant::now();
            let mut bucket = Bucket::new(rate, start);
            let (mut now, mut passed) = (start, 0_u64);
            for step in steps {
                now += Duration::from_millis(step);
                passed += u64::from(bucket.take(now));
            }
            let millis = u64::try_from((now - start).as_millis()).unwrap();
            // Rounding of a nanosecond a token lets one more through at most.
            prop_assert!(passed <= u64::from(rate) * (1000 + millis) / 1000 + 1);
        }
    }
}
