//! Several runs of one command: medians, and how far the runs lie apart.

use std::collections::BTreeMap;

use super::columns::{Column, lines as table};
use super::doctor;
use super::histogram::function;
use crate::knowledge::Class;
use crate::model::{Counts, Row, Summary};
use crate::order::InOrder as _;
use crate::units::{elapsed, thousands};

/// The lines: a row a function, lifecycle drops left out; then what the doctor found, and how often.
pub fn repeats(ends: &[Summary], width: usize, color: bool) -> Vec<String> {
    let totals: Vec<u64> = ends.iter().map(|end| rows(end).map(|row| row.counts.packets).sum()).collect();
    let times: Vec<u64> =
        ends.iter().map(|end| u64::try_from(end.elapsed.as_millis()).unwrap_or(u64::MAX)).collect();
    let time = |millis: u64| elapsed(std::time::Duration::from_millis(millis));
    let mut lines = vec![
        format!(
            "{} runs: {} drops in {} (medians; {}–{} drops, {}–{}), lifecycle left out.",
            ends.len(),
            thousands(median(&totals)),
            time(median(&times)),
            thousands(least(&totals)),
            thousands(most(&totals)),
            time(least(&times)),
            time(most(&times)),
        ),
        String::new(),
    ];
    let counts = by_function(ends);
    let mut names: Vec<Row> = counts
        .iter()
        .map(|(name, counts)| Row {
            function: Some(name.clone()),
            counts: Counts { packets: median(counts), bytes: 0 },
            ..Row::default()
        })
        .collect();
    names.order_by(crate::aggregate::order);
    let of = |row: &Row, pick: fn(&[u64]) -> u64| thousands(pick(&counts[function(row)]));
    let columns = vec![
        Column::text("FUNCTION", 24, &names, |row| row.function.clone()),
        Column::number("MEDIAN", &names, |row| of(row, median)),
        Column::number("LEAST", &names, |row| of(row, least)),
        Column::number("MOST", &names, |row| of(row, most)),
        Column::number("RUNS", &names, |row| {
            let runs = counts[function(row)].iter().filter(|count| **count > 0).count();
            format!("{runs} of {}", ends.len())
        }),
    ];
    if !names.is_empty() {
        lines.extend(table(&names, columns, width, color));
    }
    lines.extend(doctor::repeated(ends));
    lines
}

fn rows(end: &Summary) -> impl Iterator<Item = &Row> {
    end.rows.iter().filter(|row| row.class != Some(Class::Lifecycle))
}

/// Each function's counts, a number a run.
fn by_function(ends: &[Summary]) -> BTreeMap<String, Vec<u64>> {
    let mut counts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (run, end) in ends.iter().enumerate() {
        for row in rows(end) {
            counts.entry(function(row).to_owned()).or_insert_with(|| vec![0; ends.len()])[run] +=
                row.counts.packets;
        }
    }
    counts
}

/// Of an even number of runs, the lower of the two in the middle: a count that was seen.
fn median(counts: &[u64]) -> u64 {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0)
}

fn least(counts: &[u64]) -> u64 {
    counts.iter().copied().min().unwrap_or(0)
}

fn most(counts: &[u64]) -> u64 {
    counts.iter().copied().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::samples;
    use super::*;

    #[test]
    fn medians_and_spread() {
        let ends: Vec<Summary> = [3, 1, 2]
            .into_iter()
            .map(|times| {
                let mut end = samples::end();
                end.rows.truncate(if times == 2 { 1 } else { 2 });
                end.rows.iter_mut().for_each(|row| row.counts.packets *= times);
                end
            })
            .collect();
        assert_snapshot!(repeats(&ends, 80, false).join("\n"), @r"
        3 runs: 9,788,240 drops in 12 s (medians; 4,894,460–14,683,380 drops, 12 s–12 s), lifecycle left out.

        FUNCTION             MEDIAN      LEAST        MOST    RUNS
        __udp4_lib_rcv    9,788,240  4,894,120  14,682,360  3 of 3
        tcp_conn_request        340          0       1,020  2 of 3
        ");
    }
}
