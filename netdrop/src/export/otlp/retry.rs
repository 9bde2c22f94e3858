//! When to try again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

/// What is known after an export that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// The receiver will not take it (OTLP specification, "Failures": not retryable).
    Never,
    /// It may take it later.
    Later,
    /// It says when: `Retry-After`, `RetryInfo`.
    After(Duration),
}

/// Exponential back-off with jitter, for one batch.
#[derive(Debug)]
pub(super) struct Backoff {
    until: Instant,
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(30);
    /// A batch is given up after so long; also when the receiver says to come back later than that.
    pub const PATIENCE: Duration = Duration::from_mins(5);

    /// For a batch that is sent the first time now.
    pub fn new(now: Instant) -> Self {
        Self { until: now + Self::PATIENCE, next: Self::FIRST }
    }

    /// How long to wait; nothing where it is to be given up.
    pub fn wait(&mut self, retry: Retry, now: Instant) -> Option<Duration> {
        let wait = match retry {
            Retry::Never => return None,
            // Never before it was said; spread, so that a fleet doesn't come back as one.
            Retry::After(wait) => wait.saturating_add(jitter(Self::FIRST)),
            Retry::Later => {
                let wait = self.next / 2 + jitter(self.next);
                self.next = (self.next * 2).min(Self::LONGEST);
                wait
            }
        };
        (now.checked_add(wait)? <= self.until).then_some(wait)
    }
}

/// Anything from nothing to `most`.
fn jitter(most: Duration) -> Duration {
    // The standard library's hash keys are random; no more is needed of chance here.
    let chance = RandomState::new().hash_one(0_u8) & 0xffff;
    most * u32::try_from(chance).unwrap_or(0) / 0x1_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_half_a_minute_and_end() {
        let start = Instant::now();
        let (mut backoff, mut now, mut expected) = (Backoff::new(start), start, Backoff::FIRST);
        let mut tries = 0;
        while let Some(wait) = backoff.wait(Retry::Later, now) {
            assert!(wait >= expected / 2 && wait <= expected * 3 / 2, "{wait:?} is not about {expected:?}");
            now += wait;
            tries += 1;
            expected = (expected * 2).min(Backoff::LONGEST);
        }
        assert!((8..=30).contains(&tries), "{tries} tries");
        assert!(now - start <= Backoff::PATIENCE);
    }

    #[test]
    fn a_receiver_that_says_when_is_heard() {
        let now = Instant::now();
        let mut backoff = Backoff::new(now);
        let wait = backoff.wait(Retry::After(Duration::from_secs(7)), now).unwrap();
        assert!((Duration::from_secs(7)..=Duration::from_secs(8)).contains(&wait));
        assert_eq!(backoff.wait(Retry::After(Duration::MAX), now), None);
        assert_eq!(backoff.wait(Retry::After(Duration::from_hours(1)), now), None);
        assert_eq!(backoff.wait(Retry::Never, now), None);
    }
}
