//! `netdrop tcp life`: a line a connection, when it ends.

mod columns;
mod csv;
mod tally;
#[cfg(test)]
mod tests;

pub use csv::csv;

use columns::{Ended, Layout, end};
use tally::Tally;

use super::accounts;
use crate::model::tcp::{CloseKind, TcpEvent};
use crate::model::{Drop, Summary, Timestamp};
use crate::output::color::{RESET, WORSE};
use crate::output::screen::closing;
use crate::output::{Clock, Output, Redrawn, View};

/// Text in a pipe is as wide as it is.
const ANY_WIDTH: usize = 1000;

/// For a terminal: lines that scroll, in the columns that fit it, and what they come to at the end.
pub struct Table {
    view: View,
    lines: Lines,
}

/// Lines for a pipe: all columns with exact numbers; titles and totals begin with `#`.
pub struct Text {
    lines: Lines,
}

/// What both have in common.
#[expect(clippy::struct_excessive_bools, reason = "each is so or not, whatever the others are")]
struct Lines {
    layout: Layout,
    clock: Clock,
    color: bool,
    /// What titles and totals begin with.
    remark: &'static str,
    /// Whether a line has the whole time or the time of day.
    whole_time: bool,
    has_titles: bool,
    /// Since when connections have been watched: as of the latest summary, before that as of the beginning.
    watched_since: Timestamp,
    /// Whether connections may have an unseen beginning though they are younger than that.
    untracked: bool,
    tally: Tally,
}

impl Table {
    /// For a terminal of this size. Since `start`, connections are watched.
    pub fn new(view: View, clock: Clock, start: Timestamp) -> Self {
        Self { view, lines: Lines::new(Layout::table(view.width), clock, view.color, start) }
    }
}

impl Text {
    /// With colour or without. Since `start`, connections are watched.
    pub fn new(color: bool, clock: Clock, start: Timestamp) -> Self {
        let lines = Lines::new(Layout::text(), clock, color, start);
        Self { lines: Lines { remark: "# ", whole_time: true, ..lines } }
    }
}

impl Lines {
    fn new(layout: Layout, clock: Clock, color: bool, start: Timestamp) -> Self {
        Self {
            layout,
            clock,
            color,
            remark: "",
            whole_time: false,
            has_titles: false,
            watched_since: start,
            untracked: false,
            tally: Tally::default(),
        }
    }

    fn titles(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.has_titles, true) {
            remark(self.remark, &self.layout.titles(), out);
        }
    }

    fn event(&mut self, event: &TcpEvent, out: &mut Vec<u8>) {
        let Some((kind, error)) = end(event) else { return };
        self.titles(out);
        let time = if self.whole_time {
            let mut time = Vec::new();
            self.clock.push(event.time, &mut time);
            String::from_utf8_lossy(&time).into_owned()
        } else {
            self.clock.time_of_day(event.time).to_owned()
        };
        let watched = std::time::Duration::from_nanos(event.time.0.saturating_sub(self.watched_since.0));
        let watched = (!event.connection.known_since_birth && !self.untracked).then_some(watched);
        let ended = Ended { event, time: &time, kind, error, watched };
        self.tally.add(&ended);
        let paint = self.color && !matches!(kind, CloseKind::Fin | CloseKind::Other);
        let (start, reset) = if paint { (WORSE, RESET) } else { ("", "") };
        out.extend_from_slice(format!("{start}{}{reset}\n", self.layout.line(&ended)).as_bytes());
    }

    /// Nothing while every connection has a line.
    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.titles(out);
        self.learn(summary);
        let Some(tcp) = &summary.tcp else { return };
        let mut parts: Vec<String> = accounts::without_details(&tcp.accounts).into_iter().collect();
        parts.extend(accounts::missing(&tcp.accounts));
        for part in parts {
            let time = self.clock.time_of_day(summary.time);
            remark(self.remark, &format!("{time}: without a line: {part}"), out);
        }
    }

    fn end(&mut self, summary: &Summary, width: usize, out: &mut Vec<u8>) {
        self.learn(summary);
        if self.has_titles {
            remark(self.remark, "", out);
        }
        let lines = self.tally.lines(summary, width, self.color);
        if self.remark.is_empty() {
            return closing(lines, width, out);
        }
        for line in &lines {
            remark(self.remark, line, out);
        }
    }

    fn learn(&mut self, summary: &Summary) {
        let elapsed = u64::try_from(summary.elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.watched_since = Timestamp(summary.time.0.saturating_sub(elapsed));
        self.untracked |= summary.tcp.as_ref().is_some_and(|tcp| tcp.total.untracked > 0);
    }
}

/// A line that `grep -v '^#'` takes away, where there is a mark.
fn remark(mark: &str, line: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{mark}{line}").trim_end().as_bytes());
    out.push(b'\n');
}

impl Output for Table {
    fn drop(&mut self, _: &Drop<'_>, _: &mut Vec<u8>) {}

    fn tcp(&mut self, event: &TcpEvent, out: &mut Vec<u8>) {
        self.lines.event(event, out);
    }

    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.lines.summary(summary, out);
    }

    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.lines.end(summary, self.view.width, out);
    }
}

impl Redrawn for Table {
    /// What stands there stays; lines to come fit.
    fn resize(&mut self, width: usize, height: usize, _: &mut Vec<u8>) {
        self.view = View { width, height, ..self.view };
        self.lines.layout = Layout::table(width);
        self.lines.has_titles = false;
    }
}

impl Output for Text {
    fn drop(&mut self, _: &Drop<'_>, _: &mut Vec<u8>) {}

    fn tcp(&mut self, event: &TcpEvent, out: &mut Vec<u8>) {
        self.lines.event(event, out);
    }

    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.lines.summary(summary, out);
    }

    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.lines.end(summary, ANY_WIDTH, out);
    }
}
