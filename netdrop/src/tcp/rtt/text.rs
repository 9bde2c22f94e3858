//! A line a row and interval, for pipes and `grep`; the lines of the whole run start with `#`.
//!
//! ```text
//! 2026-11-22T01:43:45.123456+01:00 rtt sample remote=10.0.0.2 n=1020 mean=20.9ms min=19.5ms p50=20.5ms p90=22.5ms p99=45ms max=229ms
//! ```

use super::figures::{QUANTILES, mean, quantile};
use super::identity::words;
use super::rows::merged;
use super::{By, report};
use crate::model::{Drop, Summary};
use crate::output::{Clock, Output, append};

/// Lines in a pipe have no end; the bars stay near their numbers.
const WIDTH: usize = 160;

/// The text format.
#[derive(Debug)]
pub struct Text {
    by: By,
    clock: Clock,
    color: bool,
}

impl Text {
    /// Lines by `by` with the times of `clock`.
    pub fn new(by: By, clock: Clock, color: bool) -> Self {
        Self { by, clock, color }
    }
}

/// Without the space between number and unit, so that a value is one word.
fn word(text: &str) -> String {
    text.replace(' ', "")
}

impl Output for Text {
    fn drop(&mut self, _: &Drop<'_>, _: &mut Vec<u8>) {}

    /// Nothing for what has no time in the interval.
    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        let Some(tcp) = &summary.tcp else { return };
        let rows = merged(tcp.rtt.iter().cloned());
        for row in rows.iter().filter(|row| row.interval.count() > 0) {
            self.clock.push(summary.time, out);
            let (what, of) = (words(self.by, &rows, row), &row.interval);
            append(out, format_args!(" rtt {what} n={} mean={}", of.count(), word(&mean(of))));
            for (name, q) in QUANTILES {
                append(out, format_args!(" {name}={}", word(&quantile(of, q))));
            }
            out.push(b'\n');
        }
    }

    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        for line in report::lines(summary, self.by, WIDTH, self.color) {
            let line = format!("# {line}");
            append(out, format_args!("{}\n", line.trim_end()));
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::Dimension;
    use super::super::samples::{fast, histogram, of_all, owned, slow, told};
    use super::*;
    use crate::output::samples::written;

    #[test]
    fn a_line_a_row() {
        let an_hour_east = Clock::new(jiff::tz::TimeZone::fixed(jiff::tz::offset(1)), 6);
        let mut text = Text::new([Dimension::Owner].into_iter().collect(), an_hour_east, false);
        let mut others = of_all(histogram(&[(300, 12)]));
        others.others = true;
        let summary = told(vec![owned(42, "Web Content", slow()), owned(7, "curl", fast()), others]);
        let lines = written(|out| text.summary(&summary, out)) + &written(|out| text.end(&summary, out));
        assert_snapshot!("text", lines);
    }

    #[test]
    fn nothing_for_an_interval_without_any() {
        let mut text = Text::new(By::default(), Clock::utc(), false);
        assert_eq!(written(|out| text.summary(&told(Vec::new()), out)), "");
        assert!(written(|out| text.end(&told(Vec::new()), out)).starts_with("# No round-trip times in 12 s"));
    }
}
