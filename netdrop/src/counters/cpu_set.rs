//! Sets of CPUs, as the kernel writes them: masks (`00000000,0000000f`) and lists (`0-3,7`), `lib/bitmap-str.c`.

use std::fmt::Write as _;

/// CPUs by their numbers, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuSet(pub Vec<u32>);

/// More than any kernel has (`NR_CPUS` is 8192 at most).
const MOST: u32 = 1 << 16;

impl CpuSet {
    /// A mask: hexadecimal words of 32 bits, the highest first. Nothing for what is none.
    pub fn of_mask(text: &str) -> Option<Self> {
        let mut cpus = Vec::new();
        for (word, digits) in (0_u32..).zip(text.trim().rsplit(',')) {
            let bits = u32::from_str_radix(digits, 16).ok()?;
            cpus.extend(
                (0..32)
                    .filter(|bit| bits >> bit & 1 == 1)
                    .map(|bit| word.saturating_mul(32).saturating_add(bit)),
            );
        }
        Some(Self(cpus))
    }

    /// A list of numbers and ranges. Nothing for what is none.
    pub fn of_list(text: &str) -> Option<Self> {
        let mut cpus = Vec::new();
        for part in text.trim().split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
            if last >= MOST {
                return None;
            }
            cpus.extend(first..=last);
        }
        cpus.sort_unstable();
        cpus.dedup();
        Some(Self(cpus))
    }

    /// As a mask that files like `rps_cpus` take.
    pub fn mask(&self) -> String {
        let words = self.0.iter().max().map_or(1, |last| last / 32 + 1);
        let word = |index: u32| {
            self.0.iter().filter(|cpu| *cpu / 32 == index).fold(0_u32, |word, cpu| word | 1 << (cpu % 32))
        };
        let mut mask = format!("{:x}", word(words - 1));
        for index in (0..words - 1).rev() {
            let _ = write!(mask, ",{:08x}", word(index));
        }
        mask
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[rstest::rstest]
    #[case("0", Some(vec![]))]
    #[case("f\n", Some(vec![0, 1, 2, 3]))]
    #[case("00000001,80000001", Some(vec![0, 31, 32]))]
    #[case("", None)]
    #[case("x", None)]
    fn masks(#[case] text: &str, #[case] cpus: Option<Vec<u32>>) {
        assert_eq!(CpuSet::of_mask(text).map(|set| set.0), cpus);
    }

    #[rstest::rstest]
    #[case("\n", Some(vec![]))]
    #[case("0-3,7\n", Some(vec![0, 1, 2, 3, 7]))]
    #[case("5", Some(vec![5]))]
    #[case("3-1", Some(vec![]))]
    #[case("0-4294967295", None)]
    #[case("a", None)]
    fn lists(#[case] text: &str, #[case] cpus: Option<Vec<u32>>) {
        assert_eq!(CpuSet::of_list(text).map(|set| set.0), cpus);
    }

    proptest! {
        #[test]
        fn masks_come_back(cpus in proptest::collection::btree_set(0..300_u32, 0..20)) {
            let set = CpuSet(cpus.into_iter().collect());
            prop_assert_eq!(CpuSet::of_mask(&set.mask()), Some(set));
        }

        #[test]
        fn any_text_will_do(text in "[0-9a-f,\\-\n]{0,60}") {
            let _ = (CpuSet::of_mask(&text), CpuSet::of_list(&text));
        }
    }
}
