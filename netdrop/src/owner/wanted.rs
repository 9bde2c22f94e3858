//! When to search again: something was asked for that isn't known, and the last search is long enough ago.

use std::time::{Duration, Instant};

use super::recent::Recent;

/// Searches start at least so far apart.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(250);
/// They take at most one part in so many of the time: 5 %.
const SHARE: u32 = 20;
/// What was found (or not) is believed for so long; after that an interest in it makes for a new search.
const MAX_AGE: Duration = Duration::from_secs(10);
/// Keys that were searched for in vain, remembered. 64 KiB or so.
const REMEMBERED: usize = 2048;

/// What is to be searched for, and when.
#[derive(Debug)]
pub(super) struct Wanted {
    again: bool,
    last: Option<Search>,
    misses: Recent<u64, Miss>,
}

#[derive(Debug)]
struct Search {
    started: Instant,
    /// The time spent on it.
    cost: Duration,
}

#[derive(Debug)]
struct Miss {
    asked: Instant,
    searched: bool,
}

impl Default for Wanted {
    /// The first search is due at once.
    fn default() -> Self {
        Self { again: true, last: None, misses: Recent::new(REMEMBERED) }
    }
}

impl Wanted {
    /// Notes that `key` isn't known. True if a search since it was first asked for found nothing either.
    pub(super) fn miss(&mut self, key: u64, now: Instant) -> bool {
        let Some(miss) = self.misses.get_mut(&key) else {
            self.misses.insert(key, Miss { asked: now, searched: false });
            self.again = true;
            return false;
        };
        self.again |= !miss.searched;
        let searched = miss.searched;
        self.interest(now);
        searched
    }

    /// It is there.
    pub(super) fn found(&mut self, key: u64, now: Instant) {
        self.misses.remove(&key);
        self.interest(now);
    }

    /// Somebody is interested in what was found: a new search if the last one is old.
    fn interest(&mut self, now: Instant) {
        self.again |=
            self.last.as_ref().is_none_or(|last| now.saturating_duration_since(last.started) >= MAX_AGE);
    }

    /// What was found is no longer so.
    pub(super) const fn changed(&mut self) {
        self.again = true;
    }

    /// Whether to search now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let waited = self.last.as_ref().is_none_or(|last| {
            let interval = last.cost.saturating_mul(SHARE).max(SHORTEST_INTERVAL);
            now.saturating_duration_since(last.started) >= interval
        });
        self.again && waited
    }

    /// A search has ended that began at `started`: what was asked for before that is not there if it wasn't found.
    pub(super) fn searched(&mut self, started: Instant, cost: Duration) {
        self.again = false;
        for miss in self.misses.values_mut() {
            miss.searched |= miss.asked <= started;
            // It came while the search was under way.
            self.again |= !miss.searched;
        }
        self.last = Some(Search { started, cost });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_miss_is_searched_for_once() {
        let start = Instant::now();
        let mut wanted = Wanted::default();
        assert!(wanted.is_due(start), "the first search");
        wanted.searched(start, ms(1));
        assert!(!wanted.is_due(start + ms(9_000)), "nobody asked");

        assert!(!wanted.miss(7, start + ms(100)));
        assert!(!wanted.is_due(start + ms(249)), "too early");
        assert!(wanted.is_due(start + ms(250)));
        wanted.searched(start + ms(250), ms(1));
        assert!(wanted.miss(7, start + ms(300)), "searched for in vain");
        assert!(!wanted.is_due(start + ms(9_000)));
        assert!(wanted.miss(7, start + ms(10_250)), "still so as far as is known,");
        assert!(wanted.is_due(start + ms(10_250)), "but it may have changed");
    }

    #[test]
    fn a_search_does_not_answer_what_was_asked_during_it() {
        let start = Instant::now();
        let mut wanted = Wanted::default();
        wanted.miss(7, start + ms(5));
        wanted.searched(start, ms(10));
        assert!(!wanted.miss(7, start + ms(11)));
        assert!(wanted.is_due(start + ms(250)));
    }

    #[test]
    fn dear_searches_are_rare() {
        let start = Instant::now();
        let mut wanted = Wanted::default();
        wanted.searched(start, ms(200));
        wanted.changed();
        assert!(!wanted.is_due(start + ms(3_999)));
        assert!(wanted.is_due(start + ms(4_000)));
    }
}
