//! A bounded memory of what was met lately.

use std::collections::HashMap;
use std::hash::Hash;

/// A map that forgets: when half of its room is full, what was inserted before the last half goes.
///
/// So it holds at least the last `limit / 2` entries, and at most `limit`.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    half: usize,
    new: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { half: (limit / 2).max(1), new: HashMap::new(), old: HashMap::new() }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.new.get(key).or_else(|| self.old.get(key))
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.new.get_mut(key).or_else(|| self.old.get_mut(key))
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        self.old.remove(&key);
        self.new.insert(key, value);
        if self.new.len() >= self.half {
            self.old = std::mem::take(&mut self.new);
        }
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.new.remove(key);
        self.old.remove(key);
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.new.values_mut().chain(self.old.values_mut())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.new.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Bounded, the last half is always there, and a key has the value it got last.
        #[test]
        fn the_last_half_is_remembered(keys in prop::collection::vec(0_u8..20, 1..60)) {
            const LIMIT: usize = 8;
            let mut recent = Recent::new(LIMIT);
            for (value, key) in keys.iter().enumerate() {
                recent.insert(*key, value);
                prop_assert!(recent.len() <= LIMIT);
            }
            let mut distinct: Vec<u8> = Vec::new();
            for (value, key) in keys.iter().enumerate().rev() {
                if distinct.contains(key) {
                    continue;
                }
                distinct.push(*key);
                let found = recent.get(key);
                prop_assert!(found.is_none_or(|found| *found == value));
                prop_assert!(found.is_some() || distinct.len() > LIMIT / 2);
            }
        }
    }
}
