//! The table for a terminal: most resets first, and what the first row means.

use super::super::by::By;
use super::super::columns::about;
use super::{ResetType, Sums, SumsRow, exact, report};
use crate::model::tcp::{TcpEvent, TcpSummary};
use crate::model::{Drop, Summary};
use crate::order::InOrder as _;
use crate::output::columns::{Column, cut};
use crate::output::screen::{Screen, closing};
use crate::output::{Output, Redrawn, View};
use crate::units::{per_second, thousands};

/// Lines of a screen from which on one of them says what the top row means.
const ROOM_FOR_MEANING: usize = 10;

/// The table format.
#[derive(Debug)]
pub struct Table {
    by: By,
    view: View,
    screen: Screen,
    sums: Sums,
    rows: Vec<SumsRow>,
    last: Option<Summary>,
}

impl Table {
    /// Rows by `by` for a terminal of this size.
    pub fn new(by: By, view: View) -> Self {
        Self { by, view, screen: Screen::default(), sums: Sums::new(by), rows: Vec::new(), last: None }
    }

    fn draw(&mut self, out: &mut Vec<u8>) {
        let Some(summary) = &self.last else { return };
        let frame = render(summary, &self.rows, self.by, self.view);
        self.screen.draw(&frame, self.view.width, out);
    }
}

impl Output for Table {
    fn drop(&mut self, _: &Drop<'_>, _: &mut Vec<u8>) {}

    fn tcp(&mut self, event: &TcpEvent, _: &mut Vec<u8>) {
        record(&mut self.sums, event);
    }

    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        let Some(tcp) = &summary.tcp else { return };
        let (interval, total) = exact(tcp);
        self.rows = self.sums.rows(&interval, &total);
        self.sums.turn();
        self.last = Some(summary.clone());
        self.draw(out);
    }

    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.screen.clear(self.view.width, out);
        let rows = at_end(&self.sums, summary);
        let View { width, color, .. } = self.view;
        closing(report::end(summary, &rows, self.by, width, color), width, out);
    }
}

impl Redrawn for Table {
    fn resize(&mut self, width: usize, height: usize, out: &mut Vec<u8>) {
        self.view = View { width, height, ..self.view };
        self.draw(out);
    }
}

/// Takes a reset in; other events are left out.
pub(super) fn record(sums: &mut Sums, event: &TcpEvent) {
    if let Some(what) = ResetType::of(event) {
        let direction = usize::from(!what.sent);
        sums.record(event, what, direction);
    }
}

/// Every row, most resets of the whole run first.
pub(super) fn at_end(sums: &Sums, summary: &Summary) -> Vec<SumsRow> {
    let (interval, total) = exact(summary.tcp.as_deref().unwrap_or(&TcpSummary::default()));
    let mut rows = sums.rows(&interval, &total);
    rows.order_by_key(|row| (row.is_others(), std::cmp::Reverse(row.total.sum())));
    rows
}

/// A frame of at most `height - 1` lines, each at most `width` wide.
fn render(summary: &Summary, rows: &[SumsRow], by: By, view: View) -> String {
    let nothing = TcpSummary::default();
    let tcp = summary.tcp.as_deref().unwrap_or(&nothing);
    let mut frame = vec![cut(&report::headline(summary, tcp), view.width)];
    if !rows.is_empty() {
        let about = about(&tcp.total);
        let first = vec![
            Column::number("/S", rows, |row: &SumsRow| {
                about.to_owned() + &per_second(row.interval.sum(), summary.interval)
            }),
            Column::number("RESETS", rows, |row: &SumsRow| about.to_owned() + &thousands(row.total.sum())),
        ];
        let meaning =
            Some(()).filter(|()| view.height >= ROOM_FOR_MEANING).and_then(|()| report::meaning(rows));
        // The headline, the titles, the meaning and the cursor's line are no rows.
        let room = view.height.saturating_sub(3 + usize::from(meaning.is_some())).max(1);
        let columns = report::columns(rows, by, first);
        frame.extend(report::rows(rows, columns, view.width, view.color, room));
        frame.extend(meaning.map(|meaning| cut(&meaning, view.width)));
    }
    frame.truncate(view.height.saturating_sub(1).max(1));
    frame.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr as _;

    use super::super::by_default;
    use super::super::samples::{run, told};
    use super::*;
    use crate::output::samples::written;
    use crate::tcp::by::Dimension;

    fn view(width: usize, height: usize) -> View {
        View { width, height, color: false }
    }

    fn drawn(by: By, view: View) -> String {
        let mut table = Table::new(by, view);
        written(|out| run(&mut table, out))
    }

    #[test]
    fn by_type_in_80_columns_and_wide() {
        assert_snapshot!("narrow", drawn(by_default(), view(80, 24)));
        assert_snapshot!("wide", drawn(by_default(), view(160, 24)));
    }

    #[test]
    fn by_what_else_there_is() {
        let by = [Dimension::Owner, Dimension::Remote].into_iter().collect();
        assert_snapshot!("owner_and_remote", drawn(by, view(100, 24)));
        let by = [Dimension::Flow, Dimension::Type].into_iter().collect();
        assert_snapshot!("flow_and_type", drawn(by, view(120, 24)));
    }

    #[test]
    fn the_end_tells_what_reasons_mean_and_what_was_not_told() {
        let mut table = Table::new(by_default(), view(100, 24));
        written(|out| run(&mut table, out));
        let end = written(|out| table.end(&told(), out));
        assert_snapshot!("end", end.replace('\x1b', "␛").replace('\r', "␍"));
        let nothing = written(|out| Table::new(by_default(), view(80, 24)).end(&Summary::default(), out));
        assert_snapshot!(nothing, @"No resets in 0 s.");
    }

    proptest! {
        #[test]
        fn a_frame_fits_its_terminal(width in 1_usize..200, height in 2_usize..30) {
            let frame = drawn(by_default(), view(width, height));
            prop_assert!(frame.lines().count() < height);
            for line in frame.lines() {
                prop_assert!(line.width() <= width, "{} > {width}: {line}", line.width());
            }
        }
    }
}
