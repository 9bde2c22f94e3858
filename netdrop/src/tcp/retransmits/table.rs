//! The table for a terminal: flows that send most again first.

use super::super::columns::about;
use super::Plan;
use super::report;
use super::sums::{Sums, SumsRow, Told};
use crate::model::tcp::{TcpEvent, TcpSummary};
use crate::model::{Drop, Summary};
use crate::output::columns::{Column, cut};
use crate::output::screen::{Screen, closing};
use crate::output::{Output, Redrawn, View};
use crate::units::per_second;

/// The table format.
#[derive(Debug)]
pub struct Table {
    plan: Plan,
    view: View,
    screen: Screen,
    sums: Sums,
    last: Summary,
    frame: Option<Told>,
}

impl Table {
    /// For a terminal of this size.
    pub fn new(plan: Plan, view: View) -> Self {
        Self {
            plan,
            view,
            screen: Screen::default(),
            sums: Sums::new(plan),
            last: Summary::default(),
            frame: None,
        }
    }

    fn draw(&mut self, out: &mut Vec<u8>) {
        let Some(told) = &self.frame else { return };
        let frame = render(&self.last, told, self.plan, self.view);
        self.screen.draw(&frame, self.view.width, out);
    }
}

impl Output for Table {
    fn drop(&mut self, drop: &Drop<'_>, _: &mut Vec<u8>) {
        self.sums.drop(drop);
    }

    fn tcp(&mut self, event: &TcpEvent, _: &mut Vec<u8>) {
        self.sums.record(event);
    }

    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        let Some(tcp) = &summary.tcp else { return };
        self.frame = Some(self.sums.told(tcp, &summary.total, false));
        self.sums.turn();
        self.last = summary.clone();
        self.draw(out);
    }

    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.screen.clear(self.view.width, out);
        let tcp = summary.tcp.as_deref().cloned().unwrap_or_default();
        let told = self.sums.told(&tcp, &summary.total, true);
        let View { width, color, .. } = self.view;
        closing(report::end(summary, &told, self.plan, width, color), width, out);
    }
}

impl Redrawn for Table {
    fn resize(&mut self, width: usize, height: usize, out: &mut Vec<u8>) {
        self.view = View { width, height, ..self.view };
        self.draw(out);
    }
}

/// A frame of at most `height - 1` lines, each at most `width` wide.
fn render(summary: &Summary, told: &Told, plan: Plan, view: View) -> String {
    let nothing = TcpSummary::default();
    let tcp = summary.tcp.as_deref().unwrap_or(&nothing);
    let mut frame = vec![cut(&report::headline(summary, tcp, told), view.width)];
    if !told.rows.is_empty() {
        let first = vec![
            Column::number("/S", &told.rows, |row: &SumsRow| {
                about(&tcp.total).to_owned() + &per_second(row.interval.sum(), summary.interval)
            }),
            Column::number("RETRANS", &told.rows, |row: &SumsRow| report::counted(tcp, row.total.sum())),
        ];
        let columns = report::columns(told, plan.by, tcp, first);
        let hint = report::hint(told);
        // The headline, the titles, the hint and the cursor's line are no rows.
        let room = view.height.saturating_sub(3 + usize::from(hint.is_some())).max(1);
        frame.extend(report::rows(told, columns, (view.width, view.color), room));
        frame.extend(hint.map(|hint| cut(&hint, view.width)));
    }
    frame.truncate(view.height.saturating_sub(1).max(1));
    frame.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr as _;

    use super::super::samples::{run, told};
    use super::*;
    use crate::output::samples::written;
    use crate::tcp::by::{By, Dimension};

    fn view(width: usize, height: usize) -> View {
        View { width, height, color: false }
    }

    fn drawn(plan: Plan, view: View) -> String {
        let mut table = Table::new(plan, view);
        written(|out| run(&mut table, out))
    }

    #[test]
    fn by_flow_in_80_columns_and_wide() {
        assert_snapshot!("narrow", drawn(Plan::default(), view(80, 24)));
        assert_snapshot!("wide", drawn(Plan::default(), view(160, 24)));
    }

    #[test]
    fn with_the_reason_below_each_flow() {
        assert_snapshot!("why", drawn(Plan { why: true, ..Plan::default() }, view(80, 24)));
    }

    #[test]
    fn by_what_else_there_is() {
        for (name, dimensions) in [
            ("type", vec![Dimension::Type]),
            ("owner_and_device", vec![Dimension::Owner, Dimension::Device]),
            ("remote_and_port", vec![Dimension::Remote, Dimension::RemotePort]),
            ("container", vec![Dimension::Container, Dimension::Netns]),
        ] {
            let by: By = dimensions.into_iter().collect();
            assert_snapshot!(name, drawn(Plan { by, why: false }, view(100, 24)));
        }
    }

    #[test]
    fn the_end_replaces_the_table() {
        let mut table = Table::new(Plan { why: true, ..Plan::default() }, view(100, 24));
        written(|out| run(&mut table, out));
        let end = written(|out| table.end(&told(), out));
        assert_snapshot!("end", end.replace('\x1b', "␛").replace('\r', "␍"));
        let nothing = written(|out| Table::new(Plan::default(), view(80, 24)).end(&Summary::default(), out));
        assert_snapshot!(nothing, @"No retransmits in 0 s.");
    }

    proptest! {
        #[test]
        fn a_frame_fits_its_terminal(width in 1_usize..200, height in 2_usize..30, why in any::<bool>()) {
            let frame = drawn(Plan { why, ..Plan::default() }, view(width, height));
            prop_assert!(frame.lines().count() < height);
            for line in frame.lines() {
                prop_assert!(line.width() <= width, "{} > {width}: {line}", line.width());
            }
        }
    }
}
