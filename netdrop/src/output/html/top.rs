//! The largest of many sums, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;

use crate::order::InOrder as _;

/// Sums by key. Keys that come when there is no more room are summed together.
#[derive(Debug)]
pub struct Top<K> {
    sums: HashMap<K, u64>,
    most: usize,
    others: u64,
}

impl<K: Hash + Eq + Ord> Top<K> {
    /// With room for so many keys.
    pub fn new(most: usize) -> Self {
        Self { sums: HashMap::new(), most, others: 0 }
    }

    /// Adds to a key's sum.
    pub fn add(&mut self, key: K, weight: u64) {
        let has_room = self.sums.len() < self.most;
        match self.sums.get_mut(&key) {
            Some(sum) => *sum = sum.saturating_add(weight),
            None if has_room => {
                self.sums.insert(key, weight);
            }
            None => self.others = self.others.saturating_add(weight),
        }
    }

    /// The largest `shown`, the largest first, and the sum of all others.
    pub fn into_largest(self, shown: usize) -> (Vec<(K, u64)>, u64) {
        let mut all: Vec<(K, u64)> = self.sums.into_iter().collect();
        all.order_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let rest =
            all.drain(shown.min(all.len())..).fold(self.others, |sum, (_, each)| sum.saturating_add(each));
        (all, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_in_the_others() {
        let mut top = Top::new(3);
        for (key, weight) in [("a", 1), ("b", 5), ("c", 2), ("d", 9), ("a", 1), ("e", 1)] {
            top.add(key, weight);
        }
        assert_eq!(top.into_largest(2), (vec![("b", 5), ("a", 2)], 12));
    }
}
