//! Whether loss has changed, or what would have to be recorded to tell.

use super::rank::{RankTest, least_p, mann_whitney};

/// Below this probability of chance a difference is called a change: one in twenty comparisons of like with like is wrong.
pub const SIGNIFICANT: f64 = 0.05;

/// What can be said of the loss a second of some runs and some others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// Nothing was lost in any run.
    Nothing,
    /// One recording has no run.
    Missing,
    /// One run each: nothing tells how far runs of the same thing lie apart.
    OneEach,
    /// So few runs that no difference could be significant.
    TooFew {
        /// The smallest probability that so many runs can come to.
        least: f64,
        /// What the test says nevertheless.
        test: RankTest,
    },
    /// It has changed; [`RankTest::superiority`] tells which way.
    Changed(RankTest),
    /// No change is shown, which doesn't mean that there is none.
    NotShown(RankTest),
}

impl Verdict {
    /// By the loss a second of each run.
    pub fn of(before: &[f64], after: &[f64]) -> Self {
        let Some(test) = mann_whitney(before, after) else { return Self::Missing };
        let least = least_p(before.len(), after.len());
        if before.iter().chain(after).all(|rate| *rate <= 0.0) {
            Self::Nothing
        } else if before.len() == 1 && after.len() == 1 {
            Self::OneEach
        } else if least > SIGNIFICANT {
            Self::TooFew { least, test }
        } else if test.p <= SIGNIFICANT {
            Self::Changed(test)
        } else {
            Self::NotShown(test)
        }
    }

    /// The test, where there was one to make.
    pub fn test(&self) -> Option<&RankTest> {
        match self {
            Self::Nothing | Self::Missing | Self::OneEach => None,
            Self::TooFew { test, .. } | Self::Changed(test) | Self::NotShown(test) => Some(test),
        }
    }

    /// In one word: `more`, `less`, `none` (nothing lost at all), `not-shown`, or `unknown` where it can't be told.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Missing | Self::OneEach | Self::TooFew { .. } => "unknown",
            Self::Changed(test) if test.superiority() > 0.5 => "more",
            Self::Changed(_) => "less",
            Self::NotShown(_) => "not-shown",
        }
    }
}
