//! Sorting of what is sorted some times a second at most: rows, details, names.
//!
//! The standard library's stable sort is compiled anew for each type, some 15 KB each time. Here it is compiled once, for
//! places in the slice, and the elements are then swapped to their places.

use std::cmp::Ordering;

/// Stable sorts that take little room in the binary. What is long or hot is sorted by the slice's own methods.
pub trait InOrder<T> {
    /// As [`slice::sort_by`].
    fn order_by(&mut self, compare: impl FnMut(&T, &T) -> Ordering);

    /// As [`slice::sort_by_key`].
    fn order_by_key<K: Ord>(&mut self, key: impl FnMut(&T) -> K);
}

impl<T> InOrder<T> for [T] {
    fn order_by(&mut self, mut compare: impl FnMut(&T, &T) -> Ordering) {
        let places = sorted(self.len(), &mut |one, other| compare(&self[one], &self[other]));
        put(places, &mut |one, other| self.swap(one, other));
    }

    fn order_by_key<K: Ord>(&mut self, mut key: impl FnMut(&T) -> K) {
        self.order_by(|one, other| key(one).cmp(&key(other)));
    }
}

/// The places of so many elements in their order.
#[inline(never)]
fn sorted(length: usize, compare: &mut dyn FnMut(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..length).collect();
    places.sort_by(|one, other| compare(*one, *other));
    places
}

/// Swaps until at each index stands what was at `places[index]`: along each cycle of the permutation once.
#[inline(never)]
fn put(mut places: Vec<usize>, swap: &mut dyn FnMut(usize, usize)) {
    for start in 0..places.len() {
        let mut at = start;
        while places[at] != start {
            let from = std::mem::replace(&mut places[at], at);
            swap(at, from);
            at = from;
        }
        places[at] = at;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_stable_sort(elements: Vec<(u8, u16)>) {
            let (mut ours, mut theirs) = (elements.clone(), elements);
            ours.order_by_key(|(key, _)| *key);
            theirs.sort_by_key(|(key, _)| *key);
            prop_assert_eq!(&ours, &theirs);
            let order = |one: &(u8, u16), other: &(u8, u16)| one.1.cmp(&other.1).then(other.0.cmp(&one.0));
            ours.order_by(order);
            theirs.sort_by(order);
            prop_assert_eq!(ours, theirs);
        }
    }
}
