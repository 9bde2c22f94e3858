//! Round-trip times over time: a column an interval, the newest at the right; a row a range of times, the longest above; shaded
//! by how many.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use super::bars::{count, steps};
use super::figures::start;
use crate::model::tcp::Histogram;
use crate::output::color::RESET;
use crate::output::columns::cut;
use crate::units::{elapsed, thousands};

/// Intervals that are kept: more columns than a terminal has.
const KEPT: usize = 400;
/// Columns of a range's start, and the edge beside it.
const LABEL: usize = 8;
/// Columns of a heat map that is worth looking at.
const LEAST: usize = 40;
/// From few to many, without colour.
const RAMP: [&str; 5] = ["·", "░", "▒", "▓", "█"];
/// From few to many: xterm's colours, dark violet to yellow, whose lightness alone tells them apart as well.
const COLORS: [u8; 8] = [54, 60, 31, 37, 36, 71, 149, 226];

/// What was counted in each interval.
#[derive(Debug, Default)]
pub struct Heat {
    intervals: VecDeque<(Duration, Histogram)>,
}

impl Heat {
    /// Takes an interval.
    pub fn push(&mut self, interval: Duration, histogram: Histogram) {
        if self.intervals.len() == KEPT {
            self.intervals.pop_front();
        }
        self.intervals.push_back((interval, histogram));
    }

    /// At most `room` lines, each at most `width` wide; none where there is nothing to show, or no room for it.
    pub fn lines(&self, width: usize, room: usize, color: bool) -> Vec<String> {
        let columns = width.saturating_sub(LABEL + 1);
        // Two lines stand below: the time and the shades.
        if columns < LEAST || room < 4 {
            return Vec::new();
        }
        let shown: Vec<_> = self.intervals.iter().rev().take(columns).rev().collect();
        let mut all = Histogram::default();
        for (_, histogram) in &shown {
            all.add(histogram);
        }
        let Some(span) = all.span() else { return Vec::new() };
        let steps = steps(&span, room - 2);
        let cells =
            steps.iter().flat_map(|step| shown.iter().map(move |(_, histogram)| count(histogram, step)));
        let most = cells.max().unwrap_or(0);
        let mut lines: Vec<String> = steps
            .iter()
            .rev()
            .map(|step| {
                let levels = shown.iter().map(|(_, histogram)| level(count(histogram, step), most, color));
                format!("{:>LABEL$}│{}", start(step.start), blocks(levels, color))
            })
            .collect();
        let past = elapsed(shown.iter().map(|(interval, _)| *interval).sum());
        lines.push(cut(&axis(&format!("{past} ago"), "now", shown.len()), width));
        lines.push(legend(most, width, color));
        lines
    }
}

/// The line of time: where it begins and where it ends.
fn axis(from: &str, to: &str, columns: usize) -> String {
    let edge = " ".repeat(LABEL) + "└";
    if columns < from.len() + to.len() + 1 {
        return format!("{edge}{to:>columns$}");
    }
    format!("{edge}{from}{to:>rest$}", rest = columns - from.len())
}

/// What the shades mean.
fn legend(most: u64, width: usize, color: bool) -> String {
    let levels = ramp(color);
    let blocks = blocks((0..levels).map(Some), color);
    let (before, after) = (format!("{:LABEL$} 1 ", ""), format!(" {} in an interval", thousands(most)));
    // What the colours are written with takes no columns.
    if before.len() + levels + after.len() > width { String::new() } else { before + &blocks + &after }
}

const fn ramp(color: bool) -> usize {
    if color { COLORS.len() } else { RAMP.len() }
}

/// How high a count is on the ramp, by its logarithm, as what is rare is what is looked for; nothing for nothing.
fn level(count: u64, most: u64, color: bool) -> Option<usize> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place on a ramp"
    )]
    let level = |count: u64| ((count as f64).ln() / (most.max(2) as f64).ln() * ramp(color) as f64) as usize;
    (count > 0).then(|| level(count).min(ramp(color) - 1))
}

/// A block a level, without what is empty at the end; colours only where they change.
fn blocks(levels: impl Iterator<Item = Option<usize>>, color: bool) -> String {
    let mut text = String::new();
    let mut now = None;
    let levels: Vec<_> = levels.collect();
    let end = levels.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    for level in &levels[..end] {
        match level {
            None => text.push(' '),
            Some(level) if color => {
                if now != Some(level) {
                    write!(text, "\x1b[38;5;{}m", COLORS[*level]).expect("a String takes every character");
                    now = Some(level);
                }
                text.push('█');
            }
            Some(level) => text += RAMP[*level],
        }
    }
    text + if now.is_some() { RESET } else { "" }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr as _;

    use super::super::samples::histogram;
    use super::*;

    fn heat(intervals: u32) -> Heat {
        let mut heat = Heat::default();
        for n in 0..intervals {
            let queue = (n % 20) * 2000;
            let times =
                [(20_000 + queue, 900), (22_000 + queue, 90), (200_000, u64::from(n % 7 == 0)), (19_000, 4)];
            heat.push(Duration::from_secs(1), histogram(&times));
        }
        heat
    }

    #[test]
    fn a_queue_that_fills_and_empties() {
        assert_snapshot!("heat", heat(48).lines(70, 20, false).join("\n"));
    }

    #[test]
    fn more_intervals_than_columns() {
        let lines = heat(1000).lines(60, 12, false);
        assert!(lines[lines.len() - 2].contains("51 s ago") && lines[0].width() <= 60, "{lines:#?}");
        assert!(heat(1000).intervals.len() <= KEPT);
    }

    #[test]
    fn colours_are_a_ramp_as_well() {
        let line = heat(1).lines(60, 4, true).swap_remove(0).replace('\x1b', "␛");
        assert_eq!(line, "  131 ms│␛[38;5;54m█␛[0m");
    }

    #[test]
    fn a_narrow_terminal_has_none() {
        assert!(heat(3).lines(LABEL + LEAST, 20, false).is_empty());
        assert!(heat(3).lines(100, 3, false).is_empty());
        assert!(Heat::default().lines(100, 20, false).is_empty());
    }

    proptest! {
        #[test]
        fn it_fits(intervals in 1_u32..200, width in 1_usize..160, room in 0_usize..40) {
            let lines = heat(intervals).lines(width, room, false);
            prop_assert!(lines.len() <= room);
            for line in lines {
                prop_assert!(line.width() <= width, "{line}");
            }
        }
    }
}
