//! What stands of TCP beside drops: in `watch --tcp`, in the report of `run --tcp`, of a recording. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::retransmits::{self, host_line, of_host};
use super::rtt::figures::sentence;
use super::{accounts, columns, resets, words};
use crate::model::tcp::{
    CloseKind, Counted, Histogram, RttWhat, TcpCount, TcpEvent, TcpKind, TcpSummary, TcpTotal,
};
use crate::order::InOrder as _;
use crate::units::{per_second, thousands};

/// What is wanted where TCP stands beside drops: what goes wrong, how connections end, and the round-trip times of all together.
pub const WANTED: super::Wanted = super::Wanted {
    retransmits: true,
    resets: true,
    states: false,
    closes: true,
    transitions: false,
    rtt_smoothed: true,
    rtt_samples: true,
    rtt_by: 0,
    queues: false,
};

/// An event's line without its time: `TCP retransmit rto …`. Nothing for connections that ended as they should: those are counted.
pub fn line(event: &TcpEvent, color: bool) -> Option<String> {
    match &event.kind {
        TcpKind::Retransmit { .. } => {
            retransmits::line(event, color).map(|line| format!("TCP retransmit {line}"))
        }
        TcpKind::ResetSent { .. } | TcpKind::ResetReceived { .. } => {
            resets::line(event, color).map(|line| format!("TCP reset {line}"))
        }
        TcpKind::Close { kind, error, .. } if is_failure(*kind) => {
            Some(format!("TCP close {}", ended(event, *kind, *error)))
        }
        TcpKind::Close { .. } | TcpKind::State { .. } => None,
    }
}

/// Whether nothing else tells of it: resets have lines of their own.
const fn is_failure(kind: CloseKind) -> bool {
    matches!(kind, CloseKind::Timeout | CloseKind::Refused | CloseKind::NoAnswer | CloseKind::NotOpened)
}

/// `no-answer ETIMEDOUT 10.0.0.1:45678 > 10.0.0.2:80 lasted 2m11s sent 0 received 0 owner curl(4242) by connect`
fn ended(event: &TcpEvent, kind: CloseKind, error: Option<u32>) -> String {
    let mut line = format!("{kind:10}");
    line += &error.map_or_else(String::new, |errno| format!(" {}", words::error_name(errno)));
    let (local, remote) = (words::address(event.local), words::address(event.remote));
    let _ = write!(line, " {local} > {remote}");
    line += &event.lasted().map_or_else(String::new, |time| format!(" lasted {}", words::short_time(time)));
    if let Some(payload) = event.payload() {
        let _ = write!(line, " sent {} received {}", payload.sent, payload.received);
    }
    for word in columns::belonging(event) {
        let _ = write!(line, " {word}");
    }
    line
}

/// An interval in one line: `TCP: 12 retransmits (rto 9, tlp 3), 1 reset sent, 40 connections ended`; nothing of nothing.
pub fn interval(tcp: &TcpSummary) -> Option<String> {
    let parts = happened(tcp, |count| &count.counts);
    (!parts.is_empty()).then(|| format!("TCP: {}", parts.join(", ")))
}

/// The line of a live table, of all since the start: `TCP: 12 retransmits (rto 9, tlp 3) · now 3/s · host 0.19% of 4,200 segments`.
pub fn headline(tcp: &TcpSummary, interval: Duration) -> String {
    let mut parts = happened(tcp, |count| &count.total);
    if parts.is_empty() {
        parts.push("nothing yet".into());
    }
    let now = tcp.events(|count| count.counted() == Counted::Retransmit && !count.has_failed());
    if now > 0 {
        parts.push(format!("now {}/s sent again", per_second(now, interval)));
    }
    parts.extend(of_host(&tcp.host_total).map(|host| format!("host {host}")));
    parts.extend(rtt(tcp, |row| &row.interval).map(|times| format!("RTT {}", short(&times))));
    let lost = [(tcp.total.ring_full, "details lost"), (tcp.total.recursion_misses, "unseen")];
    let lost = lost.into_iter().filter(|(count, _)| *count > 0);
    parts.extend(lost.map(|(count, why)| format!("{} {why}", thousands(count))));
    format!("TCP: {}", parts.join(" · "))
}

/// The section of a report: each line begins with `TCP`.
pub fn lines(tcp: &TcpSummary) -> Vec<String> {
    let of = |counted, failed| {
        by_detail(tcp, move |count| count.counted() == counted && count.has_failed() == failed)
    };
    let mut lines =
        vec![retransmits_line(tcp, &of(Counted::Retransmit, false), &of(Counted::Retransmit, true))];
    lines.extend(host_line(&tcp.host));
    let (sent, received) = (of(Counted::ResetSent, false), of(Counted::ResetReceived, false));
    for (counts, what, none) in [(sent, "sent", "no reason told"), (received, "received", "?")] {
        lines.extend(
            told(&counts, none).map(|told| format!("{} {what}: {told}.", many(sum(&counts), "reset"))),
        );
    }
    lines.extend(ends(tcp));
    for (what, name) in
        [(RttWhat::Sample, "round-trip times"), (RttWhat::Smoothed, "smoothed round-trip times")]
    {
        let mut times = Histogram::default();
        tcp.rtt.iter().filter(|row| row.what == what).for_each(|row| times.add(&row.total));
        if times.count() > 0 {
            let (count, numbers) = (thousands(times.count()), sentence(&times));
            lines.push(format!("{count} {name}: {numbers} (±12.5%)."));
        }
    }
    lines.extend(accounts::lines(&tcp.accounts, "events"));
    lines.into_iter().map(|line| format!("TCP: {line}")).collect()
}

fn retransmits_line(tcp: &TcpSummary, retransmits: &Details<'_>, failed: &Details<'_>) -> String {
    let segments: u64 = tcp
        .counts
        .iter()
        .filter(|count| count.counted() == Counted::Retransmit && !count.has_failed())
        .map(|count| count.counts.segments)
        .sum();
    let count = sum(retransmits);
    let mut line = match told(retransmits, "other") {
        None => "no retransmits".into(),
        Some(told) if segments > count => {
            format!("{} of {} segments: {told}", many(count, "retransmit"), thousands(segments))
        }
        Some(told) => format!("{}: {told}", many(count, "retransmit")),
    };
    if sum(failed) > 0 {
        let _ = write!(line, "; {} more could not be sent", thousands(sum(failed)));
    }
    line + "."
}

/// How connections ended. Details tell it, so that with details sampled out it is an estimate.
fn ends(tcp: &TcpSummary) -> Option<String> {
    let count = tcp.events(|count| count.counted() == Counted::Close);
    if count == 0 {
        return None;
    }
    let about = if tcp.accounts.sampled_out + tcp.accounts.ring_full > 0 { "~" } else { "" };
    let kinds = tcp.closes.iter().filter(|(_, count)| *count > 0);
    let kinds: Vec<_> = kinds.map(|(kind, count)| format!("{kind} {about}{}", thousands(count))).collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!(": {}", kinds.join(", ")) };
    Some(format!("{} ended{kinds}.", many(count, "connection")))
}

/// `1 reset`, `1,234 resets`
fn many(count: u64, what: &str) -> String {
    format!("{} {what}{}", thousands(count), if count == 1 { "" } else { "s" })
}

/// Counts by detail's name, the most first.
type Details<'a> = Vec<(Option<&'a str>, u64)>;

fn by_detail(tcp: &TcpSummary, of: impl Fn(&TcpCount) -> bool) -> Details<'_> {
    let mut sums: BTreeMap<Option<&str>, u64> = BTreeMap::new();
    for count in tcp.counts.iter().filter(|count| of(count) && count.counts.events > 0) {
        *sums.entry(tcp.detail_name(count)).or_default() += count.counts.events;
    }
    let mut details: Details<'_> = sums.into_iter().collect();
    details.order_by_key(|(_, count)| std::cmp::Reverse(*count));
    details
}

fn sum(details: &Details<'_>) -> u64 {
    details.iter().map(|(_, count)| count).sum()
}

/// `rto 7, tlp 3`; nothing of nothing.
fn told(details: &Details<'_>, none: &str) -> Option<String> {
    let one = |(name, count): &(Option<&str>, u64)| {
        format!("{} {}", crate::output::words::Plain(name.unwrap_or(none)), thousands(*count))
    };
    (!details.is_empty()).then(|| details.iter().map(one).collect::<Vec<_>>().join(", "))
}

/// What happened, in a few words each.
fn happened(tcp: &TcpSummary, of: fn(&TcpCount) -> &TcpTotal) -> Vec<String> {
    let events = |which: Counted| {
        let counts = tcp.counts.iter().filter(|count| count.counted() == which && !count.has_failed());
        counts.map(|count| of(count).events).sum::<u64>()
    };
    let kinds = [
        (Counted::Retransmit, "retransmit"),
        (Counted::ResetSent, "reset sent"),
        (Counted::ResetReceived, "reset received"),
        (Counted::Close, "connection ended"),
    ];
    let some = kinds.into_iter().map(|(which, what)| (events(which), what)).filter(|(count, _)| *count > 0);
    some.map(|(count, what)| {
        let (noun, rest) = what.split_once(' ').unwrap_or((what, ""));
        format!("{} {rest}", many(count, noun)).trim_end().to_owned()
    })
    .collect()
}

/// The round-trip times that single acknowledgements told, of all rows; absent without any.
fn rtt(tcp: &TcpSummary, of: fn(&crate::model::tcp::RttRow) -> &Histogram) -> Option<Histogram> {
    let mut times = Histogram::default();
    tcp.rtt.iter().filter(|row| row.what == RttWhat::Sample).for_each(|row| times.add(of(row)));
    (times.count() > 0).then_some(times)
}

/// `p50 20.5 ms, p99 26.6 ms`
fn short(times: &Histogram) -> String {
    let quantile = |q: f64| {
        times
            .quantile(q)
            .map_or_else(String::new, |bucket| crate::units::microseconds(Histogram::middle_us(bucket)))
    };
    format!("p50 {}, p99 {}", quantile(0.5), quantile(0.99))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::samples::{counted, event, retransmit, summary};
    use super::*;
    use crate::model::tcp::{Retransmit, TcpAccounts};

    #[test]
    fn a_section() {
        assert_snapshot!(lines(&counted()).join("\n"));
    }

    #[test]
    fn nothing_happened() {
        assert_snapshot!(lines(&TcpSummary::default()).join("\n"), @"TCP: no retransmits.");
        assert_eq!(interval(&TcpSummary::default()), None);
        assert_eq!(headline(&TcpSummary::default(), Duration::from_secs(1)), "TCP: nothing yet");
    }

    /// How connections ended is told by details: an estimate when some were sampled out.
    #[test]
    fn ends_are_estimates_when_details_are_missing() {
        let whole = counted();
        assert_eq!(ends(&whole).unwrap(), "2 connections ended: fin 1, reset-sent 1.");
        let accounts = TcpAccounts { sampled_out: 3, ..whole.accounts };
        let sampled = TcpSummary { accounts, ..whole };
        assert_eq!(ends(&sampled).unwrap(), "2 connections ended: fin ~1, reset-sent ~1.");
    }

    #[test]
    fn in_a_line() {
        let tcp = counted();
        assert_snapshot!(interval(&tcp).unwrap());
        assert_snapshot!(headline(&tcp, Duration::from_secs(1)));
    }

    #[test]
    fn lines_of_events() {
        let close = |kind| event(TcpKind::Close { kind, from: 2, error: Some(110) });
        assert_eq!(line(&close(CloseKind::Fin), false), None);
        assert_eq!(line(&event(TcpKind::State { from: 2, to: 1, spent: None }), false), None);
        let told = [
            retransmit(Retransmit::Rto),
            event(TcpKind::ResetReceived { state: 1 }),
            close(CloseKind::NoAnswer),
        ];
        assert_snapshot!(told.map(|event| line(&event, false).unwrap()).join("\n"));
    }

    #[test]
    fn it_stands_beside_drops() {
        use crate::output::samples::written;
        use crate::output::{Clock, Output as _, Table, Text, View};
        let summary = summary(counted());
        let mut text = Text::new(Clock::new(jiff::tz::TimeZone::UTC, 6), false);
        let mut table = Table::new(View { width: 80, height: 24, color: false });
        let lines = written(|out| {
            text.tcp(&retransmit(Retransmit::Rto), out);
            text.summary(&summary, out);
            text.end(&summary, out);
            table.summary(&summary, out);
        });
        assert_snapshot!(lines);
    }
}
