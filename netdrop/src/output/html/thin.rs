//! Some of many, spread evenly over all of them.

/// Keeps each n-th of what comes, where n doubles whenever there is no more room.
#[derive(Debug)]
pub struct Thinned<T> {
    kept: Vec<T>,
    most: usize,
    stride: u64,
    seen: u64,
}

impl<T> Thinned<T> {
    /// Keeps so many at most; at least two.
    pub fn new(most: usize) -> Self {
        Self { kept: Vec::new(), most: most.max(2), stride: 1, seen: 0 }
    }

    /// Takes the next one, which is only made if it is kept.
    pub fn offer(&mut self, make: impl FnOnce() -> T) {
        let is_due = self.seen.is_multiple_of(self.stride);
        self.seen += 1;
        if !is_due {
            return;
        }
        if self.kept.len() >= self.most {
            let mut index = 0;
            self.kept.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.stride *= 2;
            if !(self.seen - 1).is_multiple_of(self.stride) {
                return;
            }
        }
        self.kept.push(make());
    }

    /// How many there were.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Those that were kept, in their order.
    pub fn into_kept(self) -> Vec<T> {
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_spread_evenly_from_the_first_on(count in 1_u64..2000, most in 2_usize..40) {
            let mut thinned = Thinned::new(most);
            (0..count).for_each(|number| thinned.offer(|| number));
            prop_assert_eq!(thinned.seen(), count);
            let kept = thinned.into_kept();
            prop_assert!(kept.len() <= most && kept[0] == 0);
            prop_assert!(kept.len() as u64 == count || kept.len() >= most / 2);
            let stride = kept.get(1).copied().unwrap_or(1);
            prop_assert!(kept.windows(2).all(|pair| pair[1] - pair[0] == stride));
        }
    }
}
