//! The table for a terminal.

use super::heat::Heat;
use super::identity::sentence;
use super::report::{self, numbers};
use super::rows::{foremost, merged, sum};
use super::{By, bars, figures};
use crate::model::tcp::{Histogram, RttRow};
use crate::model::{Drop, Summary};
use crate::output::columns::{cut, table};
use crate::output::screen::{Screen, closing};
use crate::output::{Output, Redrawn, View};
use crate::units::{elapsed, rate, thousands};

/// Lines that a histogram needs to be worth looking at.
const LEAST_BARS: usize = 5;

/// Rows as they are now, with the histogram of the first, or a heat map.
#[derive(Debug)]
pub struct Table {
    view: View,
    by: By,
    heat: Option<Heat>,
    screen: Screen,
    last: Summary,
}

impl Table {
    /// For a terminal of this size; with `heatmap`, a heat map of all rows where it is wide enough.
    pub fn new(view: View, by: By, heatmap: bool) -> Self {
        let heat = heatmap.then(Heat::default);
        Self { view, by, heat, screen: Screen::default(), last: Summary::default() }
    }

    fn draw(&mut self, out: &mut Vec<u8>) {
        self.screen.draw(&self.frame(), self.view.width, out);
    }

    /// At most `height - 1` lines, so that the cursor below them has one.
    fn frame(&self) -> String {
        let View { width, height, .. } = self.view;
        let rows = self.last.tcp.as_ref().map(|tcp| merged(tcp.rtt.iter().cloned())).unwrap_or_default();
        let mut lines = vec![cut(&self.headline(&rows), width)];
        let room = height.saturating_sub(1).max(1);
        if let Some(first) = rows.first() {
            let drawn = room > LEAST_BARS + 4;
            // The drawing takes at least what it needs to be of use, where rows leave it that.
            let for_rows = if drawn { room.saturating_sub(LEAST_BARS + 2).max(4) } else { room };
            let table = self.rows(&rows, for_rows.saturating_sub(1));
            lines.extend(table);
            let left = room.saturating_sub(lines.len() + 1);
            if drawn && left >= LEAST_BARS {
                lines.extend(self.drawing(first, left));
            }
        }
        lines.truncate(room);
        lines.join("\n") + "\n"
    }

    /// Now, by rows.
    fn rows(&self, rows: &[RttRow], room: usize) -> Vec<String> {
        let View { width, color, .. } = self.view;
        let shown = rows.len().min(room.saturating_sub(1).max(1));
        let shown = if shown < rows.len() { shown.saturating_sub(1).max(1) } else { shown };
        let (shown, rest) = rows.split_at(shown);
        let now: fn(&RttRow) -> &Histogram = |row| &row.interval;
        let mut lines = table(numbers(shown, self.by, now, Some(self.last.interval)), width, color);
        if !rest.is_empty() {
            let times = rest.iter().map(|row| row.interval.count()).sum();
            let more = format!("… and {} more, {}", rest.len(), rate(times, self.last.interval));
            lines.push(cut(&more, width));
        }
        lines
    }

    /// An empty line, then the heat map or the histogram since the start of `first`.
    fn drawing(&self, first: &RttRow, room: usize) -> Vec<String> {
        let View { width, color, .. } = self.view;
        let heat = self.heat.as_ref().map(|heat| heat.lines(width, room - 1, color)).unwrap_or_default();
        let mut lines = vec![String::new()];
        if !heat.is_empty() {
            lines.extend(heat);
            return lines;
        }
        let numbers = figures::sentence(&first.total);
        let title = format!("{}, since the start: {numbers}", sentence(self.by, first));
        lines.push(bars::title(&title, width, color));
        lines.extend(bars::lines(&first.total, width, room - 2, color));
        lines
    }

    fn headline(&self, rows: &[RttRow]) -> String {
        let time = elapsed(std::time::Duration::from_secs(self.last.elapsed.as_secs()));
        let total = rows.iter().map(|row| row.total.count()).sum();
        if total == 0 {
            return format!("no round-trip times yet ({time}); Ctrl-C ends");
        }
        let now = rows.iter().map(|row| row.interval.count()).sum();
        let mut parts = vec![format!("{} round-trip times in {time}", thousands(total))];
        parts.push(format!("now {}", rate(now, self.last.interval)));
        parts.push("percentiles ±12.5 %".into());
        let lost = self.last.tcp.as_ref().map_or(0, |tcp| tcp.total.recursion_misses);
        if lost > 0 {
            parts.push(format!("{} unseen", thousands(lost)));
        }
        parts.join(" · ")
    }
}

impl Output for Table {
    fn drop(&mut self, _: &Drop<'_>, _: &mut Vec<u8>) {}

    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.last = summary.clone();
        if let (Some(heat), Some(tcp)) = (&mut self.heat, &summary.tcp) {
            let what = foremost(&tcp.rtt);
            let of_all = what.map(|what| sum(&tcp.rtt, what, |row| &row.interval)).unwrap_or_default();
            heat.push(summary.interval, of_all);
        }
        self.draw(out);
    }

    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.screen.clear(self.view.width, out);
        let View { width, color, .. } = self.view;
        closing(report::lines(summary, self.by, width, color), width, out);
    }
}

impl Redrawn for Table {
    fn resize(&mut self, width: usize, height: usize, out: &mut Vec<u8>) {
        self.view = View { width, height, ..self.view };
        self.draw(out);
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr as _;

    use super::super::Dimension;
    use super::super::samples::{fast, histogram, of_all, slow, to, told};
    use super::*;
    use crate::output::samples::written;

    fn view(width: usize, height: usize) -> View {
        View { width, height, color: false }
    }

    fn remotes() -> Summary {
        let mut quiet = to("2001:db8::1:2", slow());
        quiet.interval = Histogram::default();
        let mut others = of_all(histogram(&[(300, 12)]));
        others.others = true;
        told(vec![quiet, to("10.0.0.2", slow()), others, to("192.168.100.200", fast())])
    }

    fn by_remote() -> By {
        [Dimension::Remote].into_iter().collect()
    }

    fn frame(mut table: Table, summary: &Summary) -> String {
        written(|out| table.summary(summary, out))
    }

    #[test]
    fn one_of_all_in_80_columns() {
        assert_snapshot!(
            "table",
            frame(Table::new(view(80, 24), By::default(), false), &told(vec![of_all(slow())]))
        );
    }

    #[test]
    fn by_remote_in_80_columns() {
        assert_snapshot!("table_by_remote", frame(Table::new(view(80, 24), by_remote(), false), &remotes()));
    }

    #[test]
    fn by_remote_in_160_columns() {
        assert_snapshot!("table_wide", frame(Table::new(view(160, 24), by_remote(), false), &remotes()));
    }

    #[test]
    fn rows_that_do_not_fit_are_summed_in_one_line() {
        assert_snapshot!("table_short", frame(Table::new(view(80, 6), by_remote(), false), &remotes()));
    }

    #[test]
    fn smoothed_times_beside_samples() {
        let mut smoothed = of_all(histogram(&[(20_500, 6000)]));
        smoothed.what = crate::model::tcp::RttWhat::Smoothed;
        let summary = told(vec![of_all(slow()), smoothed]);
        assert_snapshot!("table_both", frame(Table::new(view(100, 20), By::default(), false), &summary));
    }

    #[test]
    fn a_heat_map_where_there_is_room() {
        let mut table = Table::new(view(100, 24), By::default(), true);
        for _ in 0..30 {
            table.summary(&told(vec![of_all(slow())]), &mut Vec::new());
        }
        let redrawn = written(|out| table.resize(100, 24, out));
        assert_snapshot!("table_heat", redrawn.split_once("[J").unwrap().1);
        let narrow = written(|out| table.resize(45, 24, out));
        assert!(narrow.contains('█') && !narrow.contains('│'), "{narrow}");
    }

    #[test]
    fn the_last_table_replaces_the_live_one() {
        let mut table = Table::new(view(80, 24), by_remote(), false);
        written(|out| table.summary(&remotes(), out));
        let end = written(|out| table.end(&remotes(), out));
        assert_snapshot!("table_end", end.replace('\x1b', "␛").replace('\r', "␍"));
    }

    #[test]
    fn nothing_yet() {
        let mut table = Table::new(view(80, 24), By::default(), false);
        let text = written(|out| table.summary(&told(Vec::new()), out));
        assert_eq!(text, "no round-trip times yet (12 s); Ctrl-C ends\n");
        let end = written(|out| table.end(&told(Vec::new()), out));
        assert!(
            end.ends_with("No round-trip times in 12 s: nothing that this host sent was acknowledged.\n"),
            "{end}"
        );
    }

    proptest! {
        #[test]
        fn a_frame_fits_its_terminal(width in 1_usize..200, height in 2_usize..50, heatmap: bool) {
            for summary in [remotes(), told(vec![of_all(fast())]), told(Vec::new())] {
                let mut table = Table::new(view(width, height), by_remote(), heatmap);
                let frame = written(|out| table.summary(&summary, out));
                prop_assert!(frame.lines().count() < height, "{frame}");
                for line in frame.lines() {
                    prop_assert!(line.width() <= width, "{} > {width}: {line}", line.width());
                }
            }
        }
    }
}
