//! `netdrop tcp states`: changes of state and the time spent in each; queues of listeners; what ports are in use.

mod lines;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use lines::{headline, queues, transitions};
use netdrop_common::tcp_state::{CLOSE, LISTEN};

use super::{accounts, words};
use crate::model::tcp::{TcpEvent, TcpKind, TcpSummary, state_name};
use crate::model::{Drop, Summary};
use crate::output::columns::cut;
use crate::output::screen::{self, Screen};
use crate::output::words::NetnsName;
use crate::output::{Clock, Output, Redrawn, View};
use crate::units::{elapsed, rate, thousands};

/// Text in a pipe is as wide as it is.
const ANY_WIDTH: usize = 1000;
/// What events are called in accounts.
const WHAT: &str = "changes of state";

/// The table for a terminal, drawn in place.
#[derive(Debug)]
pub struct Table {
    view: View,
    screen: Screen,
    last: Summary,
}

impl Table {
    /// For a terminal of this size.
    pub fn new(view: View) -> Self {
        Self { view, screen: Screen::default(), last: Summary::default() }
    }

    fn draw(&mut self, out: &mut Vec<u8>) {
        self.screen.draw(&frame(&self.last, self.view), self.view.width, out);
    }
}

/// At most `height - 1` lines, so that the cursor below them has one, each at most `width` wide.
fn frame(summary: &Summary, view: View) -> String {
    let empty = TcpSummary::default();
    let tcp = summary.tcp.as_deref().unwrap_or(&empty);
    let room = view.height.saturating_sub(1).max(1);
    let below = tcp.queues.as_deref().map(|seen| queues(seen, view, 3)).unwrap_or_default();
    let mut lines = vec![headline(summary, tcp)];
    let mut rows = transitions(tcp, summary.interval, view);
    // The changes of state come first; but a few lines are left for what waits.
    let rows_room = room.saturating_sub(1 + below.len()).max(room.saturating_sub(1) / 2);
    if rows.len() > rows_room {
        let hidden = rows.len() - rows_room.saturating_sub(1);
        rows.truncate(rows_room.saturating_sub(1));
        rows.push(format!("… and {hidden} more"));
    }
    lines.extend(rows);
    lines.extend(below);
    lines.truncate(room);
    let lines: Vec<String> = lines
        .into_iter()
        .map(|line| if line.contains('\x1b') { line } else { cut(&line, view.width) })
        .collect();
    lines.join("\n") + "\n"
}

/// The closing lines.
fn closing(summary: &Summary, view: View) -> Vec<String> {
    let empty = TcpSummary::default();
    let tcp = summary.tcp.as_deref().unwrap_or(&empty);
    let changes: u64 = tcp.transitions.iter().map(|row| row.total).sum();
    let time = elapsed(summary.elapsed);
    let mut lines = vec![match changes {
        0 => format!("No change of state in {time}."),
        1 => format!("1 change of state in {time}."),
        _ => {
            let average = rate(changes, summary.elapsed);
            format!("{} changes of state in {time}, {average} on average.", thousands(changes))
        }
    }];
    if !tcp.transitions.is_empty() {
        lines.push(String::new());
        lines.extend(transitions(tcp, summary.elapsed, view));
    }
    if let Some(seen) = &tcp.queues {
        lines.extend(queues(seen, view, usize::MAX));
        lines.extend(lines::how_often(seen));
    }
    lines.push(String::new());
    lines.extend(accounts::lines(&tcp.accounts, WHAT));
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

impl Output for Table {
    fn drop(&mut self, _: &Drop<'_>, _: &mut Vec<u8>) {}

    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.last = summary.clone();
        self.draw(out);
    }

    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.screen.clear(self.view.width, out);
        screen::closing(closing(summary, self.view), self.view.width, out);
    }
}

impl Redrawn for Table {
    fn resize(&mut self, width: usize, height: usize, out: &mut Vec<u8>) {
        self.view = View { width, height, ..self.view };
        self.draw(out);
    }
}

/// Lines for a pipe: one a change of state; totals begin with `#`.
#[derive(Debug)]
pub struct Text {
    clock: Clock,
    color: bool,
}

impl Text {
    /// With colour or without.
    pub fn new(color: bool, clock: Clock) -> Self {
        Self { clock, color }
    }

    /// What one interval came to, and what waits where anything does.
    fn remarks(&mut self, summary: &Summary, tcp: &TcpSummary) -> Vec<String> {
        let time = self.clock.time_of_day(summary.time).to_owned();
        let mut lines: Vec<String> = lines::interval(tcp, summary.interval).into_iter().collect();
        lines.extend(tcp.queues.as_deref().map(lines::waiting).unwrap_or_default());
        lines.extend(
            accounts::without_details(&tcp.accounts).map(|without| format!("without a line: {without}")),
        );
        lines.extend(accounts::missing(&tcp.accounts));
        lines.into_iter().map(|line| format!("{time}: {line}")).collect()
    }
}

impl Output for Text {
    fn drop(&mut self, _: &Drop<'_>, _: &mut Vec<u8>) {}

    /// ```text
    /// 2026-11-22T01:43:45.123456+01:00 SYN_SENT -> ESTABLISHED 20.480 ms 10.0.0.1:45678 > 10.0.0.2:80 netns web curl(4242) by connect
    /// ```
    fn tcp(&mut self, event: &TcpEvent, out: &mut Vec<u8>) {
        let (from, to, spent) = match event.kind {
            TcpKind::State { from, to, spent } => (from, to, spent),
            TcpKind::Close { from, .. } => (from, CLOSE, event.connection.in_state),
            _ => return,
        };
        self.clock.push(event.time, out);
        let change = format!("{} -> {}", state(from), state(to));
        let spent = spent.map_or_else(|| "-".into(), words::milliseconds);
        let mut line = format!(" {change:<26} {spent:>12} ms {}", words::address(event.local));
        // Who begins to listen, or ends it, has no other side.
        if !matches!((from, to), (CLOSE, LISTEN) | (LISTEN, CLOSE)) {
            let _ = write!(line, " {} {}", words::direction(event), words::address(event.remote));
        }
        if let Some(netns) = &event.netns {
            let _ = write!(line, " netns {}", NetnsName(netns));
        }
        if let Some(owner) = &event.owner {
            let _ = write!(line, " {} by {}", words::owner(Some(owner)), owner.by.as_str());
        }
        if event.weight > 1 {
            let _ = write!(line, " (x{})", event.weight);
        }
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }

    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        if let Some(tcp) = summary.tcp.clone() {
            remarks(self.remarks(summary, &tcp), out);
        }
    }

    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        remarks(closing(summary, View { width: ANY_WIDTH, height: usize::MAX, color: self.color }), out);
    }
}

/// Appends lines that `grep -v '^#'` takes away.
fn remarks(lines: Vec<String>, out: &mut Vec<u8>) {
    for line in lines {
        out.extend_from_slice(format!("# {line}").trim_end().as_bytes());
        out.push(b'\n');
    }
}

/// The state's name, which may be newer than this netdrop.
fn state(state: u8) -> String {
    state_name(state).map_or_else(|| format!("state-{state}"), Into::into)
}
