//! The counts of all programs that the daemon has had: what earlier ones counted, and what the present one does.

use std::collections::HashMap;

use crate::model::{Accounts, CountKey, Counts};

/// What a program has counted at one moment.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// By key, summed over the CPUs.
    pub counts: HashMap<CountKey, Counts>,
    /// Where its drops went.
    pub accounts: Accounts,
}

impl Reading {
    /// Of a program's counters.
    pub fn new(counters: impl Iterator<Item = (CountKey, Counts)>, accounts: Accounts) -> Self {
        let mut counts = HashMap::<CountKey, Counts>::new();
        counters.for_each(|(key, each)| *counts.entry(key).or_default() += each);
        Self { counts, accounts }
    }
}

/// What is added to the present program's counts, and what of them was another's to count.
#[derive(Debug, Default)]
pub struct Tally {
    before: Reading,
    not_counted: Reading,
}

impl Tally {
    /// What was counted in all, when the present program says `now`.
    pub fn total(&self, now: Reading) -> Reading {
        let Reading { mut counts, accounts } = now;
        for (key, skipped) in &self.not_counted.counts {
            if let Some(each) = counts.get_mut(key) {
                *each = each.since(*skipped);
            }
        }
        for (key, each) in &self.before.counts {
            *counts.entry(*key).or_default() += *each;
        }
        let accounts = accounts.since(&self.not_counted.accounts).plus(&self.before.accounts);
        Reading { counts, accounts }
    }

    /// Goes over to another program, at a moment at which the two say `old` and `new`: what came until then was the old
    /// one's to count, what comes from then on is the new one's.
    pub fn hand_over(&mut self, old: Reading, new: Reading) {
        self.before = self.total(old);
        self.not_counted = new;
    }

    /// Keeps what counters had that were taken out of the kernel's table.
    pub fn keep(&mut self, evicted: impl Iterator<Item = (CountKey, Counts)>) {
        for (key, counts) in evicted {
            let mut kept = counts;
            if let Some(skipped) = self.not_counted.counts.get_mut(&key) {
                kept = counts.since(*skipped);
                *skipped = skipped.since(counts);
            }
            *self.before.counts.entry(key).or_default() += kept;
        }
    }

    /// Gives up these keys, which must not be in the readings to come.
    pub fn forget(&mut self, gone: impl Fn(&CountKey) -> bool) {
        self.before.counts.retain(|key, _| !gone(key));
        self.not_counted.counts.retain(|key, _| !gone(key));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(address: u64) -> CountKey {
        CountKey { address, reason: None, ifindex: 0, netns: 0, protocol: crate::model::Protocol::default() }
    }

    fn counts(packets: u64) -> Counts {
        Counts { packets, bytes: packets * 60 }
    }

    fn reading(of: &HashMap<u64, u64>) -> Reading {
        let seen = of.values().sum();
        let accounts = Accounts { seen, sampled_out: seen, ..Accounts::default() };
        Reading::new(of.iter().map(|(address, packets)| (key(*address), counts(*packets))), accounts)
    }

    #[test]
    fn counters_of_several_cpus_are_one() {
        let reading =
            Reading::new([(key(1), counts(2)), (key(1), counts(3))].into_iter(), Accounts::default());
        assert_eq!(reading.counts[&key(1)], counts(5));
    }

    proptest! {
        /// However often programs take turns, and with whatever overlap: each drop is counted once.
        #[test]
        fn programs_take_turns_without_losing_or_doubling(
            steps in prop::collection::vec((0_u64..4, 1_u64..9, 0_u8..4), 0..60),
        ) {
            let mut tally = Tally::default();
            let mut truth = HashMap::<u64, u64>::new();
            let mut old = HashMap::<u64, u64>::new();
            // A program that is attached already and counts beside the old one.
            let mut new: Option<HashMap<u64, u64>> = None;
            for (address, packets, step) in steps {
                match (step, &mut new) {
                    (0, None) => new = Some(HashMap::new()),
                    (0, Some(counted)) => {
                        tally.hand_over(reading(&old), reading(counted));
                        old = std::mem::take(counted);
                        new = None;
                    }
                    (1, _) => {
                        // Taken out of the kernel's table.
                        let taken = old.remove(&address).unwrap_or(0);
                        tally.keep([(key(address), counts(taken))].into_iter());
                    }
                    _ => {
                        for each in [Some(&mut truth), Some(&mut old), new.as_mut()].into_iter().flatten() {
                            *each.entry(address).or_default() += packets;
                        }
                    }
                }
                let mut total = tally.total(reading(&old)).counts;
                total.retain(|_, counts| counts.packets > 0);
                let wanted: HashMap<_, _> =
                    truth.iter().map(|(address, packets)| (key(*address), counts(*packets))).collect();
                prop_assert_eq!(total, wanted);
            }
        }
    }
}
