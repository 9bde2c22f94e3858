//! The Mann–Whitney U test: do the values of one sample tend to be larger than those of another?
//!
//! H. B. Mann, D. R. Whitney, "On a Test of Whether one of Two Random Variables is Stochastically Larger than the Other",
//! Annals of Mathematical Statistics 18 (1947). It asks nothing of the values' distribution, which drops, that come in bursts, don't
//! have a known one of. Two-sided; equal values share their ranks.

use std::cmp::Ordering;

use crate::order::InOrder as _;

/// So many values in all are judged by every way that they could have been dealt out: C(40, 20) is 1.4e11, and counting them takes a
/// millisecond. More are judged by the normal approximation, which is good to three digits there.
const EXACT: usize = 40;

/// What the test says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankTest {
    /// Pairs of a value before and one after in which that after is larger; equal ones count half.
    pub u: f64,
    /// All pairs.
    pub pairs: f64,
    /// How probable it is, if both samples come from the same distribution, that the ranks differ at least as much as here.
    pub p: f64,
    /// Whether `p` counts all ways to deal the values out, or is the normal approximation.
    pub exact: bool,
}

impl RankTest {
    /// In what part of all pairs the value after is the larger one: 0.5 where nothing tells them apart ("common language effect size").
    pub fn superiority(&self) -> f64 {
        self.u / self.pairs
    }
}

/// Compares two samples; none where one is empty.
pub fn mann_whitney(before: &[f64], after: &[f64]) -> Option<RankTest> {
    if before.is_empty() || after.is_empty() {
        return None;
    }
    let ranks = Ranks::of(before, after);
    let exact = ranks.doubled.len() <= EXACT;
    let p = if exact { ranks.exact() } else { ranks.normal() };
    let (n, m) = (float(before.len()), float(after.len()));
    let u = float(ranks.sum) / 2.0 - m * (m + 1.0) / 2.0;
    Some(RankTest { u, pairs: n * m, p, exact })
}

/// The smallest `p` that samples of these sizes can come to: all values of one above all of the other. 1 for empty ones.
pub fn least_p(before: usize, after: usize) -> f64 {
    let ways = (1..=before.min(after)).fold(1.0, |ways, k| ways * float(before.max(after) + k) / float(k));
    if before.min(after) == 0 { 1.0 } else { 2.0 / ways }
}

/// Ranks, all twice as large: equal values have the mean of their ranks, which may be half a number.
struct Ranks {
    /// Of all values, in their order.
    doubled: Vec<usize>,
    /// How many are of the second sample.
    after: usize,
    /// Their sum.
    sum: usize,
    /// How many values are equal, for each group of these.
    ties: Vec<usize>,
}

impl Ranks {
    fn of(before: &[f64], after: &[f64]) -> Self {
        let mut values: Vec<(f64, bool)> = before.iter().map(|value| (*value, false)).collect();
        values.extend(after.iter().map(|value| (*value, true)));
        values.order_by(|a, b| a.0.total_cmp(&b.0));
        let mut ranks = Self { doubled: Vec::new(), after: after.len(), sum: 0, ties: Vec::new() };
        for equal in values.chunk_by(|a, b| a.0.total_cmp(&b.0) == Ordering::Equal) {
            let first = ranks.doubled.len() + 1;
            let doubled = 2 * first + equal.len() - 1;
            ranks.sum += doubled * equal.iter().filter(|(_, is_after)| *is_after).count();
            ranks.doubled.resize(ranks.doubled.len() + equal.len(), doubled);
            ranks.ties.push(equal.len());
        }
        ranks
    }

    /// How far the sum is from what is expected of it, doubled as the ranks are.
    fn distance(&self, sum: usize) -> usize {
        sum.abs_diff(self.after * (self.doubled.len() + 1))
    }

    /// Counts the ways to choose the second sample's ranks out of all by their sum.
    fn exact(&self) -> f64 {
        let most: usize = self.doubled.iter().sum();
        let width = most + 1;
        // ways[chosen * width + sum]
        let mut ways = vec![0_u64; (self.after + 1) * width];
        ways[0] = 1;
        for rank in &self.doubled {
            for chosen in (1..=self.after).rev() {
                for sum in (*rank..width).rev() {
                    ways[chosen * width + sum] += ways[(chosen - 1) * width + sum - rank];
                }
            }
        }
        let last = &ways[self.after * width..];
        let distance = self.distance(self.sum);
        let all: u64 = last.iter().sum();
        let as_far = last.iter().enumerate().filter(|(sum, _)| self.distance(*sum) >= distance);
        let as_far: u64 = as_far.map(|(_, ways)| ways).sum();
        count(as_far) / count(all)
    }

    /// By the normal distribution, with corrections for continuity and for equal values.
    fn normal(&self) -> f64 {
        let all = float(self.doubled.len());
        let after = float(self.after);
        let tied: f64 = self.ties.iter().map(|size| float(*size).powi(3) - float(*size)).sum();
        let variance = after * (all - after) / 12.0 * (all + 1.0 - tied / (all * (all - 1.0)));
        let distance = (float(self.distance(self.sum)) / 2.0 - 0.5).max(0.0);
        if variance <= 0.0 { 1.0 } else { erfc(distance / (2.0 * variance).sqrt()).min(1.0) }
    }
}

/// The complementary error function for x ≥ 0: Abramowitz and Stegun, 7.1.26; off by at most 1.5e-7.
fn erfc(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let terms = [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];
    terms.iter().rev().fold(0.0, |sum, term| (sum + term) * t) * (-x * x).exp()
}

#[expect(clippy::cast_precision_loss, reason = "numbers of runs, and sums of their ranks")]
fn float(number: usize) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "at most C(40, 20), which a float holds exactly")]
fn count(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// Samples of these sizes, without equal values, whose U is `u`: it is filled up from the smallest.
    fn with_u(before: usize, after: usize, u: usize) -> (Vec<f64>, Vec<f64>) {
        let is_after = |place: usize| {
            // Each value of the second sample stands above `before` others at most.
            let (full, rest) = (u / before, u % before);
            let above = |index: usize| match index {
                index if index < full => before,
                index if index == full => rest,
                _ => 0,
            };
            (0..after).any(|index| above(index) + after - 1 - index == place)
        };
        let values = (0..before + after).map(|place| (float(place), is_after(place)));
        let (after, before): (Vec<_>, Vec<_>) = values.partition(|(_, is_after)| *is_after);
        (before.into_iter().map(|value| value.0).collect(), after.into_iter().map(|value| value.0).collect())
    }

    /// The largest U that is significant at 5 %, two-sided, as tables of the test have it (Siegel, "Nonparametric Statistics for the
    /// Behavioral Sciences", tables J and K).
    #[rstest]
    #[case(4, 4, 0)]
    #[case(4, 5, 1)]
    #[case(5, 5, 2)]
    #[case(5, 6, 3)]
    #[case(5, 8, 6)]
    #[case(6, 6, 5)]
    #[case(7, 7, 8)]
    #[case(8, 8, 13)]
    #[case(9, 9, 17)]
    #[case(10, 10, 23)]
    #[case(12, 12, 37)]
    #[case(15, 15, 64)]
    #[case(20, 20, 127)]
    fn critical_values_are_those_of_the_tables(
        #[case] before: usize,
        #[case] after: usize,
        #[case] critical: usize,
    ) {
        let p = |u: usize| {
            let (before, after) = with_u(before, after, u);
            let test = mann_whitney(&before, &after).unwrap();
            assert!(test.exact && (test.u - float(u)).abs() < 1e-9, "{test:?} for U = {u}");
            test.p
        };
        assert!(p(critical) <= 0.05, "{}", p(critical));
        assert!(p(critical + 1) > 0.05, "{}", p(critical + 1));
    }

    /// Permeability of the human chorioamnion (Hollander and Wolfe, "Nonparametric Statistical Methods", table 4.1): W = 35, and
    /// P(W ≥ 35) = 0.1272.
    #[test]
    fn a_textbooks_example() {
        let at_term = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
        let early = [1.15, 0.88, 0.90, 0.74, 1.21];
        let test = mann_whitney(&early, &at_term).unwrap();
        assert!((test.u - 35.0).abs() < 1e-9 && (test.p - 0.2544).abs() < 5e-5, "{test:?}");
    }

    #[rstest]
    #[case(&[1.0], &[2.0], 1.0, 1.0)]
    #[case(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0], 9.0, 0.1)]
    #[case(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0], 16.0, 2.0 / 70.0)]
    // Equal values: of the six ways to deal out 1, 2, 2, 3 four are as far from the middle.
    #[case(&[1.0, 2.0], &[2.0, 3.0], 3.5, 4.0 / 6.0)]
    #[case(&[5.0, 5.0, 5.0], &[5.0, 5.0], 3.0, 1.0)]
    fn small_samples_are_counted_out(
        #[case] before: &[f64],
        #[case] after: &[f64],
        #[case] u: f64,
        #[case] p: f64,
    ) {
        let test = mann_whitney(before, after).unwrap();
        assert!((test.u - u).abs() < 1e-9 && (test.p - p).abs() < 1e-9, "{test:?}");
    }

    #[rstest]
    #[case(0, 9, 1.0)]
    #[case(1, 1, 1.0)]
    #[case(3, 3, 0.1)]
    #[case(4, 4, 2.0 / 70.0)]
    #[case(5, 3, 2.0 / 56.0)]
    #[case(20, 20, 2.0 / 137_846_528_820.0)]
    fn the_least_p_of_few_runs(#[case] before: usize, #[case] after: usize, #[case] p: f64) {
        assert!((least_p(before, after) - p).abs() < 1e-12);
    }

    #[test]
    fn an_empty_sample_says_nothing() {
        assert_eq!(mann_whitney(&[], &[1.0]), None);
        assert_eq!(mann_whitney(&[1.0], &[]), None);
    }

    #[rstest]
    #[case(0.0, 1.0)]
    #[case(0.5, 0.479_500_1)]
    #[case(1.0, 0.157_299_2)]
    #[case(2.0, 0.004_677_7)]
    fn the_error_function(#[case] x: f64, #[case] value: f64) {
        assert!((erfc(x) - value).abs() < 2e-7);
    }

    fn sample(most: usize) -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec((0_u32..40).prop_map(f64::from), 1..most)
    }

    proptest! {
        #[test]
        fn who_is_before_whom_changes_the_sign_alone(before in sample(26), after in sample(26)) {
            let one = mann_whitney(&before, &after).unwrap();
            let other = mann_whitney(&after, &before).unwrap();
            prop_assert!((one.p - other.p).abs() < 1e-9);
            prop_assert!((one.superiority() + other.superiority() - 1.0).abs() < 1e-9);
            prop_assert!((0.0..=1.0).contains(&one.p));
        }

        #[test]
        fn equal_samples_never_differ(values in sample(30)) {
            let test = mann_whitney(&values, &values).unwrap();
            prop_assert!((test.superiority() - 0.5).abs() < 1e-9 && test.p > 0.999, "{:?}", test);
        }

        #[test]
        fn the_approximation_is_near_where_both_are_at_hand(before in prop::collection::vec(0.0..1.0, 18..20), after in prop::collection::vec(0.0..1.0, 18..20)) {
            let ranks = Ranks::of(&before, &after);
            prop_assert!((ranks.exact() - ranks.normal()).abs() < 0.01);
        }
    }
}
