//! The whole run: every row, the histogram of the first, accounts.

use std::ops::Range;

use super::figures::{QUANTILES, mean, quantile, start};
use super::identity::{columns, meaning, sentence};
use super::rows::merged;
use super::{By, bars};
use crate::model::Summary;
use crate::model::tcp::{Histogram, RttRow, RttWhat, TcpAccounts};
use crate::output::columns::{Column, table};
use crate::output::sparkline;
use crate::tcp::accounts::missing;
use crate::units::{elapsed, rate, thousands};

/// Lines of the histogram at the end.
const BARS: usize = 20;

/// The end's lines, those of tables at most `width` wide.
pub fn lines(summary: &Summary, by: By, width: usize, color: bool) -> Vec<String> {
    let time = elapsed(summary.elapsed);
    let Some(tcp) = &summary.tcp else { return vec![format!("No round-trip times in {time}.")] };
    let rows = merged(tcp.rtt.iter().cloned());
    let count = rows.iter().map(|row| row.total.count()).sum();
    let mut lines = if count == 0 {
        vec![format!("No round-trip times in {time}: nothing that this host sent was acknowledged.")]
    } else {
        let average = rate(count, summary.elapsed);
        vec![format!("{} round-trip times in {time}, {average} on average.", thousands(count))]
    };
    if let Some(first) = rows.first() {
        lines.push(String::new());
        lines.extend(table(numbers(&rows, by, |row| &row.total, None), width, color));
        lines.push(String::new());
        if rows.len() > 1 {
            lines.push(bars::title(&sentence(by, first), width, color));
        }
        lines.extend(bars::lines(&first.total, width, BARS, color));
        lines.push(String::new());
        lines.extend(meanings(&rows));
        lines.push(BOUND.into());
    }
    lines.extend(accounts(&tcp.total));
    lines
}

/// How exact it is.
const BOUND: &str = "Counts and means are exact; percentiles, min and max are known to ±12.5 %.";

/// The columns of rows: what they are of, and what `of` has; a rate where it is of an `interval`.
pub fn numbers(
    rows: &[RttRow],
    by: By,
    of: fn(&RttRow) -> &Histogram,
    interval: Option<std::time::Duration>,
) -> Vec<Column> {
    let mut all = columns(by, rows);
    all.push(Column::number("COUNT", rows, |row| thousands(of(row).count())));
    if let Some(interval) = interval {
        all.push(Column::number("RATE", rows, |row| rate(of(row).count(), interval)).optional());
    }
    all.push(Column::number("MEAN", rows, |row| mean(of(row))).optional());
    for (name, q) in QUANTILES {
        let column = Column::number("", rows, |row| quantile(of(row), q)).titled(name.to_uppercase());
        all.push(if name == "min" { column.optional() } else { column });
    }
    all.extend(course(rows, of));
    all
}

/// Each row's histogram in a line, over the same range.
fn course(rows: &[RttRow], of: fn(&RttRow) -> &Histogram) -> Option<Column> {
    let spans = rows.iter().filter_map(|row| of(row).span());
    let span = spans.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end))?;
    let octaves: Vec<Range<usize>> =
        (span.start / 4..span.end.div_ceil(4)).map(|octave| octave * 4..octave * 4 + 4).collect();
    let title = format!("{} … {}", start(octaves.first()?.start), start(octaves.last()?.end));
    let line = |row: &RttRow| {
        let counts: Vec<u64> = octaves.iter().map(|octave| bars::count(of(row), octave)).collect();
        sparkline(&counts)
    };
    Some(Column::bar(rows, line).titled(title).optional())
}

/// What was measured, a sentence each.
fn meanings(rows: &[RttRow]) -> Vec<String> {
    let told = |what| rows.iter().any(|row| row.what == what).then(|| format!("{}.", meaning(what)));
    [RttWhat::Sample, RttWhat::Smoothed].into_iter().filter_map(told).collect()
}

/// What rows don't tell, a sentence each.
fn accounts(accounts: &TcpAccounts) -> Vec<String> {
    let others = (accounts.rtt_others > 0).then(|| {
        format!(
            "{} of them are in the row of all others: the kernel's table had no room for a histogram of their own.",
            thousands(accounts.rtt_others)
        )
    });
    others.into_iter().chain(missing(accounts)).collect()
}
