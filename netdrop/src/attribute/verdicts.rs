//! Where netfilter dropped, by the call chains of its drops: how the packets of each of the kernel's counters, which don't tell hooks
//! apart, fall to them.

use std::collections::{BTreeMap, HashMap};
use std::ops::AddAssign;

use super::{Cause, Window};
use crate::model::{CountKey, Verdict, VerdictCount};
use crate::order::InOrder as _;

/// What details told. As many counters as the kernel's table holds, and as many verdicts as there are hooks.
#[derive(Debug, Default)]
pub struct Verdicts {
    seen: HashMap<CountKey, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    weights: BTreeMap<Verdict, u64>,
    details: u64,
}

/// How a counter's packets fall to verdicts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    /// The packets of each verdict. One of which nothing is known stands for drops whose call chain doesn't tell.
    pub shares: BTreeMap<Verdict, u64>,
    /// Whether some packets had no details: then what several verdicts share is estimated.
    pub sampled: bool,
}

impl AddAssign for Split {
    fn add_assign(&mut self, other: Self) {
        for (verdict, packets) in other.shares {
            *self.shares.entry(verdict).or_default() += packets;
        }
        self.sampled |= other.sampled;
    }
}

impl Verdicts {
    /// Takes a drop with its details; `weight` as in [`crate::model::Drop`].
    pub fn record(&mut self, key: CountKey, verdict: Verdict, weight: u64) {
        let seen = self.seen.entry(key).or_default();
        let sum = seen.weights.entry(verdict).or_default();
        *sum = sum.saturating_add(weight);
        seen.details += 1;
    }

    /// How the `packets` of a counter fall to what its details told.
    pub fn split(&self, key: &CountKey, packets: u64) -> Split {
        let nothing = Seen::default();
        let Seen { weights, details } = self.seen.get(key).unwrap_or(&nothing);
        let told: u128 = weights.values().map(|weight| u128::from(*weight)).sum();
        if told == 0 {
            return Split { shares: BTreeMap::from([(Verdict::default(), packets)]), sampled: true };
        }
        // No more than the packets, as no weight is more than all that was told.
        let part =
            |weight: u64| u64::try_from(u128::from(packets) * u128::from(weight) / told).unwrap_or(packets);
        let mut shares: BTreeMap<Verdict, u64> =
            weights.iter().map(|(verdict, weight)| (*verdict, part(*weight))).collect();
        let rest = packets - shares.values().sum::<u64>();
        if let Some(most) = shares.values_mut().max() {
            *most += rest;
        }
        Split { shares, sampled: *details < packets }
    }
}

/// The drops by netfilter in a namespace, by place; none where no call chain told of one.
pub fn counts(window: &Window<'_>) -> Vec<VerdictCount> {
    let mut sums: BTreeMap<Verdict, (u64, bool)> = BTreeMap::new();
    for drops in window.drops.iter().filter(|one| one.cause == Cause::Netfilter) {
        let Split { shares, sampled } = &drops.split;
        for (verdict, packets) in shares {
            let (sum, estimated) = sums.entry(*verdict).or_default();
            *sum += packets;
            *estimated |= *sampled && shares.len() > 1;
        }
    }
    if sums.keys().all(Verdict::is_unknown) {
        return Vec::new();
    }
    let count = |(verdict, (packets, estimated))| VerdictCount {
        netns: Some(window.netns.clone()),
        verdict,
        packets,
        estimated,
    };
    let mut counts: Vec<_> = sums.into_iter().map(count).collect();
    counts.order_by_key(|count| std::cmp::Reverse(count.packets));
    counts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Hook, Protocol};

    fn key(address: u64) -> CountKey {
        CountKey { address, reason: Some(2), ifindex: 1, netns: 7, protocol: Protocol::default() }
    }

    fn at(hook: Hook) -> Verdict {
        Verdict { hook: Some(hook), ..Verdict::default() }
    }

    const INPUT: Option<Hook> = Some(Hook::Input);
    const FORWARD: Option<Hook> = Some(Hook::Forward);

    #[rstest::rstest]
    #[case::every_packet(2, &[(INPUT, 1), (FORWARD, 1)], &[(INPUT, 1), (FORWARD, 1)], false)]
    #[case::one_place(1000, &[(INPUT, 1), (INPUT, 600)], &[(INPUT, 1000)], true)]
    #[case::estimated(1000, &[(INPUT, 1), (FORWARD, 2)], &[(INPUT, 333), (FORWARD, 667)], true)]
    #[case::some_unknown(4, &[(INPUT, 2), (None, 2)], &[(None, 2), (INPUT, 2)], true)]
    #[case::no_details(5, &[], &[(None, 5)], true)]
    #[case::a_weight_of_nothing(5, &[(INPUT, 0)], &[(None, 5)], true)]
    fn packets_fall_to_places(
        #[case] packets: u64,
        #[case] details: &[(Option<Hook>, u64)],
        #[case] shares: &[(Option<Hook>, u64)],
        #[case] sampled: bool,
    ) {
        let mut verdicts = Verdicts::default();
        for (hook, weight) in details {
            verdicts.record(key(1), hook.map_or(Verdict::default(), at), *weight);
        }
        verdicts.record(key(2), at(Hook::Output), 7);
        let shares =
            shares.iter().map(|(hook, packets)| (hook.map_or(Verdict::default(), at), *packets)).collect();
        assert_eq!(verdicts.split(&key(1), packets), Split { shares, sampled });
    }

    proptest! {
        /// Whatever was seen: no packet is lost, none added.
        #[test]
        fn shares_sum_to_the_packets(packets in any::<u64>(), weights in proptest::collection::vec(any::<u64>(), 0..4)) {
            let mut verdicts = Verdicts::default();
            for (weight, hook) in weights.iter().zip([Hook::Input, Hook::Forward, Hook::Output, Hook::Input]) {
                verdicts.record(key(1), at(hook), *weight);
            }
            let sum: u128 = verdicts.split(&key(1), packets).shares.values().map(|share| u128::from(*share)).sum();
            prop_assert_eq!(sum, u128::from(packets));
        }
    }
}
