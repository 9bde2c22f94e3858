//! Over weeks namespaces and devices come and go: their counters must not fill the tables.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::model::{CountKey, Counts};

/// Sweeps are so far apart, and a counter must have been quiet for so long.
pub const PAUSE: Duration = Duration::from_mins(1);

/// Finds counters of what is gone.
#[derive(Debug, Default)]
pub struct Sweep {
    /// What was gone at the last sweep, with what it had counted then.
    suspects: HashMap<CountKey, Counts>,
}

impl Sweep {
    /// The counters that belong to what is gone and that have not counted since the last sweep found them so. `devices`
    /// are those that there are, by namespace.
    pub fn gone(
        &mut self,
        counts: &HashMap<CountKey, Counts>,
        devices: &HashMap<u32, HashSet<u32>>,
    ) -> HashSet<CountKey> {
        let is_gone = |key: &CountKey| match devices.get(&key.netns) {
            // What has no namespace can't be asked about.
            None => key.netns != 0,
            Some(devices) => key.ifindex != 0 && !devices.contains(&key.ifindex),
        };
        let suspects: HashMap<_, _> =
            counts.iter().filter(|(key, _)| is_gone(key)).map(|(key, counts)| (*key, *counts)).collect();
        let quiet = suspects.iter().filter(|(key, counts)| self.suspects.get(key) == Some(counts));
        let gone = quiet.map(|(key, _)| *key).collect();
        self.suspects = suspects;
        gone
    }
}

/// The namespaces of these counters.
pub fn namespaces(counts: &HashMap<CountKey, Counts>) -> HashSet<u32> {
    counts.keys().map(|key| key.netns).filter(|netns| *netns != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Protocol;

    fn key(netns: u32, ifindex: u32) -> CountKey {
        CountKey { address: 1, reason: None, ifindex, netns, protocol: Protocol::default() }
    }

    fn counts(of: &[(u32, u32, u64)]) -> HashMap<CountKey, Counts> {
        of.iter()
            .map(|(netns, index, packets)| (key(*netns, *index), Counts { packets: *packets, bytes: 0 }))
            .collect()
    }

    #[test]
    fn only_what_is_gone_and_quiet_for_a_sweep_is_given_up() {
        let devices = HashMap::from([(7, HashSet::from([1, 2]))]);
        let mut sweep = Sweep::default();
        let first = counts(&[(7, 1, 1), (7, 3, 1), (8, 1, 1), (9, 1, 1), (0, 4, 1), (7, 0, 1)]);
        assert!(sweep.gone(&first, &devices).is_empty());
        let second = counts(&[(7, 1, 1), (7, 3, 1), (8, 1, 1), (9, 1, 2), (0, 4, 1), (7, 0, 1)]);
        assert_eq!(sweep.gone(&second, &devices), HashSet::from([key(7, 3), key(8, 1)]));
    }
}
