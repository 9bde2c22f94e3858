//! A line a reset, for pipes and `grep`; lines of totals start with `#`.
//!
//! ```text
//! 2026-11-22T01:43:45.123456+01:00 sent     NO_SOCKET              -           10.0.0.1:81 > 10.0.0.2:4242 answers SYN seq 5 netns web -- No socket waits …
//! ```
//! A reason in brackets is derived; what isn't known is `-` in the first columns, and left out behind them.

use std::io::Write as _;

use super::super::by::By;
use super::super::columns::{self, Side};
use super::meaning::answered;
use super::table::{at_end, record};
use super::{ResetType, Sums, exact, of_type, report};
use crate::model::tcp::{TcpEvent, TcpKind};
use crate::model::{Drop, Summary};
use crate::output::color::{BOLD, RESET};
use crate::output::words::Plain;
use crate::output::{Clock, Output};
use crate::units::{elapsed, rate};

/// Lines in a pipe have no end; enough for every column whole.
const ANY_WIDTH: usize = 1000;

/// The text format.
#[derive(Debug)]
pub struct Text {
    by: By,
    clock: Clock,
    color: bool,
    sums: Sums,
}

impl Text {
    /// With the times of `clock`, with the reason in bold if asked for.
    pub fn new(by: By, clock: Clock, color: bool) -> Self {
        Self { by, clock, color, sums: Sums::new(by) }
    }
}

impl Output for Text {
    fn drop(&mut self, _: &Drop<'_>, _: &mut Vec<u8>) {}

    fn tcp(&mut self, event: &TcpEvent, out: &mut Vec<u8>) {
        let Some(line) = line(event, self.color) else { return };
        record(&mut self.sums, event);
        self.clock.push(event.time, out);
        writeln!(out, " {line}").expect("a Vec takes every byte");
    }

    /// Nothing for an interval without any.
    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        let Some(tcp) = &summary.tcp else { return };
        self.sums.turn();
        let (interval, _) = exact(tcp);
        if interval.sum() == 0 {
            return;
        }
        let (time, over) = (self.clock.time_of_day(summary.time), elapsed(summary.interval));
        let (count, each) = (report::resets(interval.sum()), rate(interval.sum(), summary.interval));
        let directions = report::directions(&interval);
        remark(&format!("{time}: {count} in {over}, {each}: {directions}"), out);
    }

    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        let rows = at_end(&self.sums, summary);
        for line in report::end(summary, &rows, self.by, ANY_WIDTH, self.color) {
            remark(&line, out);
        }
    }
}

/// A line that `grep -v '^#'` takes away.
fn remark(line: &str, out: &mut Vec<u8>) {
    writeln!(out, "{}", format!("# {line}").trim_end()).expect("a Vec takes every byte");
}

/// A reset without its time; absent for other events.
pub fn line(event: &TcpEvent, color: bool) -> Option<String> {
    let what = ResetType::of(event)?;
    let (bold, reset) = if color { (BOLD, RESET) } else { ("", "") };
    let reason = what.reason.as_deref().unwrap_or("-");
    let state = what.state.map_or_else(|| "-".to_owned(), columns::state);
    let mut parts = vec![
        format!("{:8} {bold}{:22}{reset} {state:11}", what.direction(), Plain(reason).to_string()),
        format!("{} > {}", Side(event.local), Side(event.remote)),
    ];
    if let TcpKind::ResetSent { answers: Some(segment), .. } = &event.kind {
        parts.push(format!("answers {}", answered(segment)));
    }
    parts.extend(columns::belonging(event));
    parts.extend(Some(of_type(&what)).filter(|text| !text.is_empty()).map(|text| format!("-- {text}")));
    Some(parts.join(" "))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::by_default;
    use super::super::samples::{run, told};
    use super::*;
    use crate::output::samples::written;

    #[test]
    fn lines_and_totals() {
        let an_hour_east = Clock::new(jiff::tz::TimeZone::fixed(jiff::tz::offset(1)), 6);
        let mut text = Text::new(by_default(), an_hour_east, false);
        let lines = written(|out| run(&mut text, out)) + &written(|out| text.end(&told(), out));
        assert_snapshot!("text", lines);
        assert_eq!(written(|out| text.summary(&Summary::default(), out)), "");
    }
}
