//! Laws of a comparison, and what each verdict needs.

use std::sync::Arc;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::model::{Counts, Reason};

const CLASSES: [Class; 3] = [Class::Congestion, Class::Policy, Class::Lifecycle];

/// A run of so many seconds, with these counts of one function each.
fn run(seconds: u64, counts: &[u64]) -> Summary {
    let row = |(number, packets): (usize, &u64)| Row {
        counts: Counts { packets: *packets, bytes: 60 * packets },
        function: Some(format!("function_{number}")),
        class: Some(CLASSES[number % CLASSES.len()]),
        reason: Some(Arc::new(Reason {
            number: 1,
            name: format!("REASON_{number}"),
            class: CLASSES[number % CLASSES.len()],
            subsystem: "core".into(),
        })),
        ..Row::default()
    };
    let rows = counts.iter().enumerate().filter(|(_, count)| **count > 0).map(row).collect();
    Summary { rows, elapsed: Duration::from_secs(seconds), ..Summary::default() }
}

fn runs(counts: &[u64]) -> Vec<Summary> {
    counts.iter().map(|count| run(10, &[*count])).collect()
}

fn trends(comparison: &Comparison) -> Vec<(&str, Trend)> {
    comparison.rows.iter().filter_map(|change| Some((change.row.function()?, change.trend()))).collect()
}

#[test]
fn rates_are_compared_and_the_largest_change_comes_first() {
    let comparison = compare(&[run(10, &[100, 40, 0, 7])], &[run(20, &[200, 20, 5000])]);
    assert_eq!(
        trends(&comparison),
        [
            ("function_2", Trend::New),
            ("function_1", Trend::Less),
            ("function_3", Trend::Gone),
            ("function_0", Trend::Same)
        ]
    );
    let new = &comparison.rows[0];
    assert_eq!((new.before, new.after.drops), (Measure::default(), 5000));
    assert!((new.difference() - 250.0).abs() < 1e-9 && (new.after.share - 5000.0 / 5220.0).abs() < 1e-9);
    // function_2 is lifecycle: counted, but no loss.
    assert_eq!((comparison.after.drops, comparison.after.loss), (5220, 220));
}

#[rstest]
#[case::nothing(&[0, 0, 0, 0], &[0, 0, 0, 0], "none")]
#[case::one_each(&[10], &[99_999], "unknown")]
#[case::three_each_can_never_tell(&[1, 2, 3], &[7000, 8000, 9000], "unknown")]
#[case::one_and_many(&[1], &[7, 8, 9, 10, 11, 12], "unknown")]
#[case::no_run(&[], &[1, 2, 3, 4], "unknown")]
#[case::four_each_can(&[1, 2, 3, 4], &[7, 8, 9, 10], "more")]
#[case::less(&[7, 8, 9, 10], &[1, 2, 3, 4], "less")]
#[case::overlapping(&[1, 9, 3, 8, 5], &[2, 7, 4, 6, 10], "not-shown")]
#[case::the_same(&[5, 5, 5, 5], &[5, 5, 5, 5], "not-shown")]
fn verdicts(#[case] before: &[u64], #[case] after: &[u64], #[case] verdict: &str) {
    assert_eq!(compare(&runs(before), &runs(after)).verdict.as_str(), verdict);
}

#[test]
fn many_rows_are_tested_together() {
    // Alone, 4 and 4 runs apart have p = 2/70; of two rows tested together the better one has twice that.
    let before: Vec<_> = [1, 2, 3, 4].map(|count| run(10, &[count, 5])).into();
    let after: Vec<_> = [11, 12, 13, 14].map(|count| run(10, &[count, 5])).into();
    let comparison = compare(&before, &after);
    let p: Vec<_> = comparison.rows.iter().map(|change| change.p.unwrap()).collect();
    assert!((p[0] - 4.0 / 70.0).abs() < 1e-9 && (p[1] - 1.0).abs() < 1e-9, "{p:?}");
    assert!(compare(&before[..1], &after).rows.iter().all(|change| change.p.is_none()));
}

#[rstest]
#[case(&[], &[])]
#[case(&[Some(0.01), None, Some(0.04), Some(0.03)], &[Some(0.03), None, Some(0.06), Some(0.06)])]
#[case(&[Some(0.9), Some(0.8)], &[Some(1.0), Some(1.0)])]
fn holms_correction(#[case] p: &[Option<f64>], #[case] corrected: &[Option<f64>]) {
    let found = holm(p);
    let near = |(a, b): (&Option<f64>, &Option<f64>)| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-12,
        (a, b) => a.is_none() && b.is_none(),
    };
    assert!(found.len() == corrected.len() && found.iter().zip(corrected).all(near), "{found:?}");
}

prop_compose! {
    fn any_runs()(runs in prop::collection::vec((1_u64..100, prop::collection::vec(0_u64..1000, 0..6)), 0..6)) -> Vec<Summary> {
        runs.iter().map(|(seconds, counts)| run(*seconds, counts)).collect()
    }
}

proptest! {
    #[test]
    fn the_other_way_round_is_the_opposite(a in any_runs(), b in any_runs()) {
        let (there, back) = (compare(&a, &b), compare(&b, &a));
        prop_assert_eq!(there.rows.len(), back.rows.len());
        for change in &there.rows {
            let same = back.rows.iter().find(|other| Identity::of(&other.row) == Identity::of(&change.row)).unwrap();
            prop_assert_eq!((change.before, change.after), (same.after, same.before));
            prop_assert!((change.difference() + same.difference()).abs() < 1e-9);
            let opposite = match change.trend() {
                Trend::New => Trend::Gone,
                Trend::Gone => Trend::New,
                Trend::More => Trend::Less,
                Trend::Less => Trend::More,
                Trend::Same => Trend::Same,
            };
            prop_assert_eq!(same.trend(), opposite);
            prop_assert!((change.p.unwrap_or(2.0) - same.p.unwrap_or(2.0)).abs() < 1e-9);
        }
        let opposite = match there.verdict.as_str() { "more" => "less", "less" => "more", same => same };
        prop_assert_eq!(back.verdict.as_str(), opposite);
    }

    #[test]
    fn a_recording_beside_itself_has_no_change(runs in any_runs()) {
        let comparison = compare(&runs, &runs);
        prop_assert!(comparison.rows.iter().all(|change| change.trend() == Trend::Same));
        prop_assert!(comparison.rows.iter().all(|change| change.p.is_none_or(|p| p > 0.999)));
        prop_assert!(["none", "unknown", "not-shown"].contains(&comparison.verdict.as_str()));
    }

    #[test]
    fn rows_sum_to_all(a in any_runs(), b in any_runs()) {
        let comparison = compare(&a, &b);
        let sum = |of: fn(&Change) -> Measure| comparison.rows.iter().map(|change| of(change).drops).sum::<u64>();
        prop_assert_eq!(sum(|change| change.before), comparison.before.drops);
        prop_assert_eq!(sum(|change| change.after), comparison.after.drops);
    }
}
