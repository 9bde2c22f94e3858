//! The report of a run: drops by function with their share and their course over time, by class, reason, flow and owner.

mod spark;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::columns::{Column, about, cut, lines as table};
use super::explain::wrap;
use super::fold::{Folded, fold, sentence};
use super::report::{bar, headline, share};
use super::words::accounts;
use super::{Output, attribution, doctor};
use crate::aggregate::{Aggregator, By, Dimension, Names, Now, Series, order};
use crate::knowledge::Class;
use crate::model::{CountKey, Counts, Device, Drop, Netns, Protocol, Reason, Row, Site, Summary};
use crate::order::InOrder as _;
use crate::tcp::digest;
use crate::units::{elapsed, rate, thousands};
pub(crate) use spark::sparkline;

/// Rows of each section but the first, which shows all functions.
const TOP: usize = 5;
/// What stands for a function that has no name.
const UNKNOWN: &str = "(unknown function)";

/// The histogram format. Nothing is written before the end.
pub struct Histogram {
    width: usize,
    color: bool,
    folds: bool,
    series: Series,
    flows: Aggregator,
    owners: Aggregator,
}

impl Histogram {
    /// For a terminal or a file so wide, with steps of the interval between summaries.
    pub fn new(width: usize, color: bool, interval: Duration) -> Self {
        let by: By = [Dimension::Flow, Dimension::Proto].into_iter().collect();
        let owner: By = [Dimension::Owner, Dimension::Container].into_iter().collect();
        let (flows, owners) = (Aggregator::new(by), Aggregator::new(owner));
        Self { width, color, folds: true, series: Series::new(interval), flows, owners }
    }

    /// The same, with rows for lifecycle drops.
    #[must_use]
    pub fn unfolded(self) -> Self {
        Self { folds: false, ..self }
    }

    /// The report's lines.
    fn lines(&mut self, end: &Summary) -> Vec<String> {
        let mut lines = vec![headline(end)];
        let Folded { rows, line: folded } = fold(&end.rows, self.folds);
        if !rows.is_empty() {
            lines.push(String::new());
            lines.extend(self.functions(&rows, end));
            lines.extend(folded);
            lines.extend(rows.first().and_then(sentence));
            lines.extend(self.section(&classes(&rows)));
            lines.extend(self.section(&reasons(&rows)));
            let (flows, owners) = (of_details(&mut self.flows, end), of_details(&mut self.owners, end));
            lines.extend(self.section(&flows));
            // The row of all others alone says nothing.
            if owners.iter().any(|row| !row.other && (row.owner.is_some() || row.workload.is_some())) {
                lines.extend(self.section(&owners));
            }
            lines.push(String::new());
        } else if let Some(folded) = folded {
            lines.extend([String::new(), folded, String::new()]);
        }
        lines.extend(accounts(&end.accounts));
        lines.extend(attribution::lines(&end.attribution, self.width));
        let told = doctor::explanations(&end.findings);
        lines.extend(
            told.iter()
                .flat_map(|line| if line.is_empty() { vec![String::new()] } else { wrap(line, self.width) }),
        );
        if let Some(tcp) = &end.tcp {
            lines.push(String::new());
            lines.extend(digest::lines(tcp));
        }
        lines
    }

    fn functions(&self, rows: &[Row], end: &Summary) -> Vec<String> {
        let functions =
            regroup(rows, |row| Row { function: Some(function(row).to_owned()), ..Row::default() });
        let all = total(&end.rows);
        let course = format!("OVER TIME, {} EACH", elapsed(self.series.step()));
        let columns = vec![
            Column::text("FUNCTION", 24, &functions, |row| row.function.clone()),
            Column::number("DROPS", &functions, |row| thousands(row.counts.packets)),
            Column::number("SHARE", &functions, |row| share(row.counts.packets, all)),
            Column::bar(&functions, |row| bar(row.counts.packets, all)),
            Column::number("AVERAGE", &functions, |row| rate(row.counts.packets, end.elapsed)),
            Column::bar(&functions, |row| sparkline(&self.series.of(function(row))))
                .titled(course)
                .optional(),
        ];
        table(&functions, columns, self.width, self.color)
    }

    /// A table of few rows, and how many are not shown.
    fn section(&self, rows: &[Row]) -> Vec<String> {
        if rows.is_empty() {
            return Vec::new();
        }
        let all = total(rows);
        let shown = &rows[..rows.len().min(TOP)];
        let mut columns = vec![
            Column::number("DROPS", shown, |row| about(row) + &thousands(row.counts.packets)),
            Column::number("SHARE", shown, |row| share(row.counts.packets, all)),
        ];
        columns.extend(super::columns::identity(shown, |row| row.counts));
        let mut lines = vec![String::new()];
        lines.extend(table(shown, columns, self.width, self.color));
        let rest = &rows[shown.len()..];
        if !rest.is_empty() {
            let more = format!("… and {} more, {} drops", rest.len(), thousands(total(rest)));
            lines.push(cut(&more, self.width));
        }
        lines
    }
}

/// Rows of the details, and one of what none of them stands for.
fn of_details(details: &mut Aggregator, end: &Summary) -> Vec<Row> {
    let now = Now { time: end.time, elapsed: end.elapsed, accounts: end.accounts };
    let mut counted = Counts::default();
    end.rows.iter().for_each(|row| counted += row.counts);
    let everything =
        CountKey { address: 0, reason: None, ifindex: 0, netns: 0, protocol: Protocol::default() };
    details.end(now, [(everything, counted)], &mut Nameless).rows
}

impl Output for Histogram {
    fn drop(&mut self, drop: &Drop<'_>, _: &mut Vec<u8>) {
        self.flows.record(drop);
        self.owners.record(drop);
    }

    fn summary(&mut self, summary: &Summary, _: &mut Vec<u8>) {
        let shown = summary.rows.iter().filter(|row| row.counts.packets > 0);
        self.flows.turn();
        self.owners.turn();
        self.series.add(summary.interval, shown.map(|row| (function(row), row.counts.packets)));
    }

    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        for line in self.lines(summary) {
            out.extend_from_slice(line.as_bytes());
            out.push(b'\n');
        }
    }
}

fn total(rows: &[Row]) -> u64 {
    rows.iter().map(|row| row.counts.packets).sum()
}

/// The function, or the trap of a drop by hardware.
pub fn function(row: &Row) -> &str {
    let trap = row.site.as_ref().and_then(|site| site.trap.as_ref());
    let trap = trap.map(|trap| trap.name.as_str()).filter(|name| !name.is_empty());
    row.function().or(trap).unwrap_or(UNKNOWN)
}

fn classes(rows: &[Row]) -> Vec<Row> {
    regroup(rows, |row| Row { class: row.class, ..Row::default() })
}

fn reasons(rows: &[Row]) -> Vec<Row> {
    regroup(rows, |row| Row { reason: row.reason.clone(), ..Row::default() })
}

/// Sums the rows that are alike in what `part` keeps of them.
fn regroup(rows: &[Row], part: impl Fn(&Row) -> Row) -> Vec<Row> {
    let mut groups = BTreeMap::new();
    for row in rows {
        let kept = part(row);
        let reason = kept.reason.as_ref().map(|reason| reason.name.clone());
        let group = groups.entry((kept.function.clone(), kept.class, reason)).or_insert(kept);
        group.counts += row.counts;
        group.total += row.total;
    }
    let mut rows: Vec<Row> = groups.into_values().filter(|row| row.counts.packets > 0).collect();
    rows.order_by(order);
    rows
}

/// Rows by flow have no names of the kernel's.
struct Nameless;

impl Names for Nameless {
    fn site(&mut self, address: u64) -> Arc<Site> {
        Arc::new(Site { address, ..Site::default() })
    }

    fn reason(&mut self, number: u32) -> Arc<Reason> {
        let (name, subsystem) = (String::new(), String::new());
        Arc::new(Reason { number, name, class: Class::Unknown, subsystem })
    }

    fn device(&mut self, _: u32, index: u32) -> Arc<Device> {
        Arc::new(Device { index, name: None })
    }

    fn netns(&mut self, inode: u32) -> Arc<Netns> {
        Arc::new(Netns { inode, ..Netns::default() })
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::samples::{self, written};
    use super::*;

    fn report(width: usize) -> String {
        let mut histogram = Histogram::new(width, false, Duration::from_secs(1));
        let mut interval = samples::summary();
        for step in 0..12_u64 {
            for (row, counts) in interval.rows.iter_mut().zip([step * step * 4000, step % 3 * 50, step / 11])
            {
                row.counts.packets = counts;
            }
            histogram.summary(&interval, &mut Vec::new());
        }
        histogram.drop(&samples::udp().drop(4_000_000), &mut Vec::new());
        histogram.drop(&samples::full().drop(340), &mut Vec::new());
        written(|out| histogram.end(&samples::end(), out))
    }

    #[test]
    fn in_100_columns() {
        assert_snapshot!(report(100));
    }

    #[test]
    fn in_60_columns() {
        assert_snapshot!(report(60));
    }

    #[test]
    fn a_trap_has_its_name() {
        let trap = Some(crate::model::Trap { name: "tail_drop".into(), ..Default::default() });
        let site = Some(Arc::new(Site { trap, ..Site::default() }));
        assert_eq!(function(&Row { site, ..Row::default() }), "tail_drop");
        assert_eq!(function(&Row::default()), UNKNOWN);
    }

    #[test]
    fn nothing_dropped() {
        let mut histogram = Histogram::new(80, false, Duration::from_secs(1));
        let end = Summary { elapsed: Duration::from_secs(3), ..Summary::default() };
        assert_snapshot!(written(|out| histogram.end(&end, out)), @"No drops in 3 s.");
    }
}
