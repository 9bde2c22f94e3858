//! Two recordings beside each other: what is more, less, new and gone, and whether that is more than noise.
//!
//! Rates are drops a second, so that recordings of different lengths compare. Each recording may have several runs
//! (`run --repeat N --recording`): how far these lie apart is the only honest measure of noise, as drops come in bursts.

mod rank;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::BTreeMap;
use std::time::Duration;

pub use rank::{RankTest, least_p, mann_whitney};
pub use verdict::{SIGNIFICANT, Verdict};

use crate::knowledge::Class;
use crate::model::{Accounts, Counts, Row, Summary};
use crate::recording::Identity;

/// All that two recordings differ in.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The first recording.
    pub before: Side,
    /// The second.
    pub after: Side,
    /// The rows of both, the largest change of the rate first.
    pub rows: Vec<Change>,
    /// Whether loss as a whole has changed.
    pub verdict: Verdict,
}

/// One recording as a whole.
#[derive(Debug, Clone, Default)]
pub struct Side {
    /// How long its runs took together.
    pub elapsed: Duration,
    /// Drops of all rows.
    pub drops: u64,
    /// Those of them that are loss: all but lifecycle.
    pub loss: u64,
    /// Loss a second, of each run.
    pub rates: Vec<f64>,
    /// The accounts of all runs.
    pub accounts: Accounts,
}

/// One row, in both recordings.
#[derive(Debug, Clone)]
pub struct Change {
    /// Its names, as the later recording has them; without counts.
    pub row: Row,
    /// In the first recording.
    pub before: Measure,
    /// In the second.
    pub after: Measure,
    /// The probability of such a difference by chance ([`RankTest::p`]), corrected by Holm's method for the number of rows that were tested;
    /// absent where a recording has but one run.
    pub p: Option<f64>,
}

/// How much of a recording a row is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measure {
    /// Drops in all runs.
    pub drops: u64,
    /// Drops a second.
    pub per_second: f64,
    /// Its part of all drops, 0 to 1.
    pub share: f64,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trend {
    /// Not there before.
    New,
    /// Not there any more.
    Gone,
    /// At a higher rate.
    More,
    /// At a lower rate.
    Less,
    /// At the very same rate.
    Same,
}

impl Trend {
    /// In one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Gone => "gone",
            Self::More => "more",
            Self::Less => "less",
            Self::Same => "same",
        }
    }
}

impl Change {
    /// By how much the rate has changed, in drops a second.
    pub fn difference(&self) -> f64 {
        self.after.per_second - self.before.per_second
    }

    /// What became of it.
    pub fn trend(&self) -> Trend {
        match (self.before.drops, self.after.drops) {
            (0, 1..) => Trend::New,
            (1.., 0) => Trend::Gone,
            _ if self.difference() > 0.0 => Trend::More,
            _ if self.difference() < 0.0 => Trend::Less,
            _ => Trend::Same,
        }
    }
}

/// Compares two recordings, each by its runs' summaries.
pub fn compare(before: &[Summary], after: &[Summary]) -> Comparison {
    let (first, second) = (Side::of(before), Side::of(after));
    let mut rows = rows([before, after], [&first, &second]);
    rows.sort_by(|a, b| {
        let size = |change: &Change| change.difference().abs();
        size(b).total_cmp(&size(a)).then_with(|| Identity::of(&a.row).cmp(&Identity::of(&b.row)))
    });
    let verdict = Verdict::of(&first.rates, &second.rates);
    Comparison { before: first, after: second, rows, verdict }
}

impl Side {
    fn of(runs: &[Summary]) -> Self {
        let mut side = Self::default();
        for run in runs {
            let sum = |loss: bool| {
                let rows = run.rows.iter().filter(|row| !loss || row.class != Some(Class::Lifecycle));
                rows.map(|row| row.counts.packets).fold(0, u64::saturating_add)
            };
            side.elapsed = side.elapsed.saturating_add(run.elapsed);
            side.drops = side.drops.saturating_add(sum(false));
            side.loss = side.loss.saturating_add(sum(true));
            side.rates.push(per_second(sum(true), run.elapsed));
            side.accounts = side.accounts.plus(&run.accounts);
        }
        side
    }

    /// Loss a second, over all runs.
    pub fn per_second(&self) -> f64 {
        per_second(self.loss, self.elapsed)
    }
}

/// One row's counts, a number a run, of each side.
struct Counted {
    row: Row,
    counts: [Vec<u64>; 2],
}

fn rows(runs: [&[Summary]; 2], sides: [&Side; 2]) -> Vec<Change> {
    let mut counted: BTreeMap<Identity, Counted> = BTreeMap::new();
    for (side, runs_of_side) in runs.iter().enumerate() {
        for (number, run) in runs_of_side.iter().enumerate() {
            for row in &run.rows {
                let known = counted.entry(Identity::of(row)).or_insert_with(|| Counted {
                    row: Row {
                        counts: Counts::default(),
                        total: Counts::default(),
                        example: None,
                        ..row.clone()
                    },
                    counts: runs.map(|runs| vec![0; runs.len()]),
                });
                known.row.estimated |= row.estimated;
                let count = &mut known.counts[side][number];
                *count = count.saturating_add(row.counts.packets);
            }
        }
    }
    let counted: Vec<Counted> = counted.into_values().filter(Counted::is_any).collect();
    let tests: Vec<Option<f64>> = counted.iter().map(|row| row.p(runs)).collect();
    let corrected = holm(&tests);
    let change = |(Counted { row, counts }, p): (Counted, Option<f64>)| {
        let measure = |side: usize| Measure::of(&counts[side], sides[side]);
        Change { before: measure(0), after: measure(1), row, p }
    };
    counted.into_iter().zip(corrected).map(change).collect()
}

impl Counted {
    fn is_any(&self) -> bool {
        self.counts.iter().flatten().any(|count| *count > 0)
    }

    /// By its rate in each run; none where one side has a single run, which has no spread.
    fn p(&self, runs: [&[Summary]; 2]) -> Option<f64> {
        if runs.iter().any(|runs| runs.len() < 2) {
            return None;
        }
        let rates = [0, 1].map(|side| {
            let counts = self.counts[side].iter().zip(runs[side]);
            counts.map(|(count, run)| per_second(*count, run.elapsed)).collect::<Vec<_>>()
        });
        Some(mann_whitney(&rates[0], &rates[1])?.p)
    }
}

impl Measure {
    fn of(counts: &[u64], side: &Side) -> Self {
        let drops = counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
        let share = if side.drops == 0 { 0.0 } else { float(drops) / float(side.drops) };
        Self { drops, per_second: per_second(drops, side.elapsed), share }
    }
}

/// Corrects probabilities for being many: S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of
/// Statistics 6 (1979).
fn holm(tests: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> =
        tests.iter().enumerate().filter_map(|(index, p)| Some((index, (*p)?))).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut corrected = vec![None; tests.len()];
    let mut least: f64 = 0.0;
    for (rank, (index, p)) in order.iter().enumerate() {
        least = least.max(p * float((order.len() - rank) as u64)).min(1.0);
        corrected[*index] = Some(least);
    }
    corrected
}

/// Nothing a second where there was no time.
fn per_second(count: u64, over: Duration) -> f64 {
    if over.is_zero() { 0.0 } else { float(count) / over.as_secs_f64() }
}

#[expect(clippy::cast_precision_loss, reason = "rates and shares are shown with three digits")]
fn float(count: u64) -> f64 {
    count as f64
}
