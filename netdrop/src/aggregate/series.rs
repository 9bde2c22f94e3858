//! Counts over time in a fixed number of steps: when they are used up, each takes twice the time.

use std::collections::BTreeMap;
use std::time::Duration;

/// Steps at most where nothing else is asked for: as many letters as a line has room for.
const STEPS: usize = 48;
/// Names that are told apart; a run has some tens.
const NAMES: usize = 512;

/// For each name, its counts in steps of equal length.
#[derive(Debug, Clone, Default)]
pub struct Series {
    counts: BTreeMap<String, Vec<u64>>,
    step: Duration,
    steps: usize,
    /// Steps at most.
    most: usize,
    /// What the last step has of its time.
    filled: Duration,
}

impl Series {
    /// Nothing yet, in steps of this length.
    pub fn new(step: Duration) -> Self {
        Self::with_steps(step, STEPS)
    }

    /// The same with so many steps at most; at least two.
    pub fn with_steps(step: Duration, most: usize) -> Self {
        Self { step, most: most.max(2), ..Self::default() }
    }

    /// Adds the counts of the next interval, which is a step long, or ends the run.
    pub fn add<'n>(&mut self, interval: Duration, counts: impl IntoIterator<Item = (&'n str, u64)>) {
        // An interval that came late or early still belongs where most of it was.
        if self.steps == 0 || self.filled + interval / 2 >= self.step {
            self.begin_step();
        }
        self.filled += interval;
        let last = self.steps - 1;
        for (name, count) in counts {
            if count == 0 || (self.counts.len() >= NAMES && !self.counts.contains_key(name)) {
                continue;
            }
            let steps = self.counts.entry(name.to_owned()).or_default();
            steps.resize(last + 1, 0);
            steps[last] += count;
        }
    }

    fn begin_step(&mut self) {
        if self.steps >= self.most {
            for steps in self.counts.values_mut() {
                *steps = steps.chunks(2).map(|pair| pair.iter().sum()).collect();
            }
            self.steps = self.steps.div_ceil(2);
            self.step *= 2;
        }
        self.steps += 1;
        self.filled = Duration::ZERO;
    }

    /// The counts of a name, a number a step; zeros where nothing was counted.
    pub fn of(&self, name: &str) -> Vec<u64> {
        let mut steps = self.counts.get(name).cloned().unwrap_or_default();
        steps.resize(self.steps, 0);
        steps
    }

    /// The length of a step.
    pub fn step(&self) -> Duration {
        self.step
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.steps
    }

    /// Whether nothing was added yet.
    pub fn is_empty(&self) -> bool {
        self.steps == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn counts_stand_in_their_steps() {
        let mut series = Series::new(SECOND);
        series.add(SECOND, [("a", 1)]);
        series.add(SECOND, [("b", 2)]);
        series.add(SECOND / 3, [("a", 3)]);
        assert_eq!(
            (series.of("a"), series.of("b"), series.of("c")),
            (vec![1, 0, 3], vec![0, 2, 0], vec![0; 3])
        );
    }

    #[test]
    fn short_intervals_share_a_step() {
        let mut series = Series::new(SECOND);
        for _ in 0..8 {
            series.add(SECOND / 4, [("a", 1)]);
        }
        assert_eq!(series.of("a"), [4, 4]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_however_long_it_takes(counts in prop::collection::vec(0_u64..9, 1..400), most in 2_usize..50) {
            let mut series = Series::with_steps(SECOND, most);
            for count in &counts {
                series.add(SECOND, [("a", *count)]);
            }
            let steps = series.of("a");
            prop_assert_eq!(steps.iter().sum::<u64>(), counts.iter().sum::<u64>());
            prop_assert!(steps.len() <= most);
            prop_assert!(series.step() * u32::try_from(steps.len()).unwrap() >= SECOND * u32::try_from(counts.len()).unwrap());
        }
    }
}
