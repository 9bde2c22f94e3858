//! A line a retransmit, for pipes and `grep`; lines of totals start with `#`.
//!
//! ```text
//! 2026-11-22T01:43:45.123456+01:00 rto     ESTABLISHED 10.0.0.1:45678 > 10.0.0.2:80 seq 123456 len 1448 attempt 1 cwnd 10 ssthresh 7 srtt 20.5ms cubic Loss dev eth0 netns web owner curl(4242) by connect (x12)
//! ```
//! `(x12)` says that the line stands for twelve retransmits; what isn't known is left out.

use std::io::Write as _;

use super::super::columns::{self, Side};
use super::super::words::error_name;
use super::sums::{Sums, exact};
use super::{Plan, report};
use crate::model::tcp::{TcpEvent, TcpKind, TcpNumbers};
use crate::model::{Drop, Summary};
use crate::output::color::{BOLD, RESET};
use crate::output::{Clock, Output};
use crate::units::{elapsed, rate};

/// Lines in a pipe have no end; enough for every column whole.
const ANY_WIDTH: usize = 1000;
/// `ssthresh` before there is one (`TCP_INFINITE_SSTHRESH`, include/net/tcp.h).
const NO_THRESHOLD: u32 = 0x7fff_ffff;

/// The text format.
#[derive(Debug)]
pub struct Text {
    plan: Plan,
    clock: Clock,
    color: bool,
    sums: Sums,
}

impl Text {
    /// With the times of `clock`, with the type in bold if asked for.
    pub fn new(plan: Plan, clock: Clock, color: bool) -> Self {
        Self { plan, clock, color, sums: Sums::new(plan) }
    }
}

impl Output for Text {
    fn drop(&mut self, drop: &Drop<'_>, _: &mut Vec<u8>) {
        self.sums.drop(drop);
    }

    fn tcp(&mut self, event: &TcpEvent, out: &mut Vec<u8>) {
        let Some(line) = line(event, self.color) else { return };
        self.sums.record(event);
        self.clock.push(event.time, out);
        writeln!(out, " {line}").expect("a Vec takes every byte");
    }

    /// Nothing for an interval without any.
    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        let Some(tcp) = &summary.tcp else { return };
        let (interval, _) = exact(tcp);
        let stories = self.sums.lately(&summary.total);
        self.sums.turn();
        let count = interval.sum();
        if count == 0 {
            return;
        }
        let (time, over) = (self.clock.time_of_day(summary.time), elapsed(summary.interval));
        let (count, each) = (report::count(count), rate(count, summary.interval));
        let host = report::of_host(&tcp.host).map_or_else(String::new, |host| format!("; host {host}"));
        remark(&format!("{time}: {count} in {over}, {each}: {}{host}", report::types(&interval)), out);
        for story in stories {
            let (local, remote) = (Side(Some(story.flow.local)), Side(Some(story.flow.remote)));
            remark(&format!("why {local} > {remote}: {}", story.sentence()), out);
        }
    }

    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        let tcp = summary.tcp.as_deref().cloned().unwrap_or_default();
        let told = self.sums.told(&tcp, &summary.total, true);
        for line in report::end(summary, &told, self.plan, ANY_WIDTH, self.color) {
            remark(&line, out);
        }
    }
}

/// A line that `grep -v '^#'` takes away.
fn remark(line: &str, out: &mut Vec<u8>) {
    writeln!(out, "{}", format!("# {line}").trim_end()).expect("a Vec takes every byte");
}

/// A retransmit without its time; absent for other events.
pub fn line(event: &TcpEvent, color: bool) -> Option<String> {
    let TcpKind::Retransmit { by, segment, attempt, state, failed } = &event.kind else { return None };
    let (bold, reset) = if color { (BOLD, RESET) } else { ("", "") };
    let mut parts = vec![
        format!("{bold}{by:7}{reset} {:11}", columns::state(*state)),
        format!("{} > {}", Side(event.local), Side(event.remote)),
        format!("seq {} len {}", segment.sequence, segment.length),
    ];
    parts.extend((segment.segments > 1).then(|| format!("({} segments)", segment.segments)));
    parts.push(format!("attempt {attempt}"));
    parts.extend(failed.map(|errno| format!("failed {}", error_name(errno))));
    parts.extend(event.numbers.as_ref().into_iter().flat_map(numbers));
    parts.extend(columns::belonging(event));
    Some(parts.join(" "))
}

/// `cwnd 10 ssthresh 7 srtt 20.5ms cubic Loss`
fn numbers(numbers: &TcpNumbers) -> impl Iterator<Item = String> + use<> {
    const STATES: [&str; 5] = ["Open", "Disorder", "CWR", "Recovery", "Loss"];
    let algorithm = columns::algorithm(numbers);
    let parts = [
        Some(format!("cwnd {}", numbers.cwnd)),
        (numbers.ssthresh < NO_THRESHOLD).then(|| format!("ssthresh {}", numbers.ssthresh)),
        (numbers.srtt_us > 0).then(|| format!("srtt {}", columns::time(numbers.srtt_us))),
        Some(algorithm).filter(|algorithm| !algorithm.is_empty()),
        STATES.get(usize::from(numbers.ca_state)).map(|state| (*state).to_owned()),
    ];
    parts.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::samples::{run, told};
    use super::*;
    use crate::model::tcp::Retransmit;
    use crate::output::samples::written;
    use crate::tcp::samples::retransmit;

    fn text(why: bool) -> Text {
        let an_hour_east = Clock::new(jiff::tz::TimeZone::fixed(jiff::tz::offset(1)), 6);
        Text::new(Plan { why, ..Plan::default() }, an_hour_east, false)
    }

    #[test]
    fn lines_and_totals() {
        let mut text = text(true);
        let lines = written(|out| run(&mut text, out)) + &written(|out| text.end(&told(), out));
        assert_snapshot!("text", lines);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let bare = TcpEvent {
            local: None,
            remote: None,
            numbers: None,
            owner: None,
            device: None,
            netns: None,
            ..retransmit(Retransmit::SynAck)
        };
        assert_snapshot!(line(&bare, false).unwrap(), @"syn-ack ESTABLISHED - > - seq 123456 len 1448 attempt 1");
        assert!(line(&retransmit(Retransmit::Rto), true).unwrap().starts_with("\x1b[1mrto    \x1b[0m EST"));
    }

    #[test]
    fn nothing_for_an_interval_without_any() {
        assert_eq!(written(|out| text(true).summary(&Summary::default(), out)), "");
    }
}
