//! A histogram as bars, a line a range.

use std::ops::Range;

use super::figures::start;
use crate::model::tcp::Histogram;
use crate::output::color::{BOLD, RESET};
use crate::output::columns::{Column, cut, table};
use crate::output::report::share;
use crate::units::thousands;

/// Columns of the longest bar, where there is room.
const BAR_WIDTH: usize = 40;
/// What a line has beside its bar, about: range, count, share, marks.
const BESIDE: usize = 50;
/// Where quantiles are, beside the bars.
const MARKS: [(f64, &str); 3] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99")];

/// The buckets of `span` in at most `room` steps of one size: a quarter of a power of two, a half, a whole, two and so on.
pub fn steps(span: &Range<usize>, room: usize) -> Vec<Range<usize>> {
    let mut size = 1;
    loop {
        let first = span.start / size;
        let steps = span.end.div_ceil(size) - first;
        // One step is the least there can be.
        if steps <= room.max(1) || size > span.end {
            return (first..first + steps).map(|step| step * size..(step + 1) * size).collect();
        }
        size *= 2;
    }
}

/// How many times are in a step.
pub fn count(histogram: &Histogram, step: &Range<usize>) -> u64 {
    let end = step.end.min(histogram.buckets.len());
    histogram.buckets.get(step.start..end).map_or(0, |buckets| buckets.iter().sum())
}

/// At most `room` lines, the first of them titles, each at most `width` wide; none for an empty histogram.
pub fn lines(histogram: &Histogram, width: usize, room: usize, color: bool) -> Vec<String> {
    let Some(span) = histogram.span().filter(|_| room > 1) else { return Vec::new() };
    let steps = steps(&span, room - 1);
    let most = steps.iter().map(|step| count(histogram, step)).max().unwrap_or(0);
    let all = histogram.count();
    let bar_width = width.saturating_sub(BESIDE).clamp(8, BAR_WIDTH);
    let columns = vec![
        Column::number("FROM", &steps, |step| start(step.start)),
        Column::number("TO", &steps, to),
        Column::number("COUNT", &steps, |step| thousands(count(histogram, step))),
        Column::number("SHARE", &steps, |step| share(count(histogram, step), all)).optional(),
        Column::bar(&steps, |step| bar(count(histogram, step), most, bar_width)),
        Column::bar(&steps, |step| marks(histogram, step)).optional(),
    ];
    table(columns, width, color)
}

/// A line above bars.
pub fn title(text: &str, width: usize, color: bool) -> String {
    let text = cut(text, width);
    if color { format!("{BOLD}{text}{RESET}") } else { text }
}

fn to(step: &Range<usize>) -> String {
    if Histogram::is_open(step.end - 1) { "∞".into() } else { start(step.end) }
}

/// Which quantiles lie in the step.
fn marks(histogram: &Histogram, step: &Range<usize>) -> String {
    let here = MARKS.iter().filter(|(q, _)| histogram.quantile(*q).is_some_and(|at| step.contains(&at)));
    here.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
}

/// A bar in eighths of a column; at least one for something.
fn bar(part: u64, most: u64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = u128::from(part) * width as u128 * 8 / u128::from(most.max(1));
    let eighths = usize::try_from(eighths).unwrap_or(0).max(usize::from(part > 0));
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr as _;

    use super::super::samples::{fast, histogram, slow};
    use super::*;

    #[test]
    fn of_a_slow_path() {
        assert_snapshot!("bars_slow", lines(&slow(), 80, 20, false).join("\n"));
    }

    #[test]
    fn by_powers_of_two_where_there_is_less_room() {
        assert_snapshot!("bars_slow_in_less_room", lines(&slow(), 60, 6, false).join("\n"));
    }

    #[test]
    fn few_microseconds() {
        assert_snapshot!("bars_fast", lines(&fast(), 80, 20, false).join("\n"));
    }

    #[test]
    fn the_last_has_no_end() {
        let endless = lines(&histogram(&[(u32::MAX, 1)]), 80, 20, false);
        assert!(endless[1].starts_with("403 s   ∞"), "{endless:?}");
    }

    proptest! {
        #[test]
        fn they_fit_and_nothing_is_left_out(
            times in proptest::collection::vec((any::<u32>(), 1_u64..1_000_000), 1..40),
            width in 30_usize..200,
            room in 2_usize..40,
        ) {
            let histogram = histogram(&times);
            let span = histogram.span().unwrap();
            let steps = steps(&span, room - 1);
            prop_assert_eq!(steps.iter().map(|step| count(&histogram, step)).sum::<u64>(), histogram.count());
            let lines = lines(&histogram, width, room, false);
            prop_assert!(lines.len() <= room && lines.len() == steps.len() + 1);
            for line in lines {
                prop_assert!(line.width() <= width);
            }
        }
    }
}
