//! The tables: transitions, listeners, ports.

use std::time::Duration;

use super::super::words::short_time;
use super::state;
use crate::model::Summary;
use crate::model::tcp::{Depth, ListenerRow, NetnsPorts, PortPressure, TcpQueues, TcpSummary, TransitionRow};
use crate::order::InOrder as _;
use crate::output::columns::{Column, cut, table};
use crate::output::report::share;
use crate::output::words::{Address, NetnsName, Plain};
use crate::output::{View, sparkline};
use crate::units::{elapsed, per_second, rate, thousands};

/// A part of a limit from which on it is worth a line, per cent.
const NEARLY: u64 = 80;
/// The same for a line among others.
const SHOWN: u64 = 1;

/// Whether something is at least so many per cent of a limit.
fn is_part(used: u64, limit: u64, per_cent: u64) -> bool {
    used > 0 && used.saturating_mul(100) >= limit.saturating_mul(per_cent)
}

/// What happens now, on one line.
pub fn headline(summary: &Summary, tcp: &TcpSummary) -> String {
    let time = elapsed(Duration::from_secs(summary.elapsed.as_secs()));
    let (now, all) =
        tcp.transitions.iter().fold((0, 0), |(now, all), row| (now + row.count, all + row.total));
    if all == 0 {
        return format!("no change of state yet ({time}); Ctrl-C ends");
    }
    let mut parts = vec![format!(
        "{} changes of state in {time} · now {}/s",
        thousands(all),
        per_second(now, summary.interval)
    )];
    let lost = [(tcp.total.untracked, "found no room in the table"), (tcp.total.recursion_misses, "unseen")];
    let lost = lost.into_iter().filter(|(count, _)| *count > 0);
    parts.extend(lost.map(|(count, why)| format!("{} {why}", thousands(count))));
    parts.join(" · ")
}

/// The transitions, most frequent first, with the time spent in the first state since netdrop's start.
pub fn transitions(tcp: &TcpSummary, over: Duration, view: View) -> Vec<String> {
    let mut rows: Vec<&TransitionRow> = tcp.transitions.iter().filter(|row| row.total > 0).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    rows.order_by_key(|row| (std::cmp::Reverse(row.total), row.from, row.to));
    let time = |time: Option<Duration>| time.map(short_time).unwrap_or_default();
    let below = |row: &&TransitionRow, q| {
        row.spent_below(q).map(|bound| format!("<{}", short_time(bound))).unwrap_or_default()
    };
    let (first, last) = filled(&rows);
    let span = format!("{} … {}", bound(first), bound(last + 1));
    let columns = vec![
        Column::number("/S", &rows, |row| per_second(row.count, over)),
        Column::number("TOTAL", &rows, |row| thousands(row.total)),
        Column::text("FROM → TO", 25, &rows, |row| {
            Some(format!("{} → {}", state(row.from), state(row.to)))
        }),
        Column::number("MEAN", &rows, |row| time(row.mean_spent())),
        Column::number("MEDIAN", &rows, |row| below(row, 0.5)),
        Column::number("MAX", &rows, |row| below(row, 1.0)),
        Column::bar(&rows, |row| sparkline(&row.spent[first..=last])).titled(span).optional(),
    ];
    table(columns, view.width, view.color)
}

/// The first and the last bucket that any row has something in.
fn filled(rows: &[&TransitionRow]) -> (usize, usize) {
    let is_filled = |bucket: &usize| rows.iter().any(|row| row.spent[*bucket] > 0);
    let all = 0..rows.first().map_or(1, |row| row.spent.len());
    let first = all.clone().find(is_filled).unwrap_or(0);
    (first, all.rev().find(is_filled).unwrap_or(0))
}

/// The least time in a bucket.
fn bound(bucket: usize) -> String {
    if bucket == 0 { "0".into() } else { short_time(Duration::from_micros(1 << (bucket - 1))) }
}

/// Listeners where anything waited, at most so many, then limits and ports; begins with an empty line.
pub fn queues(seen: &TcpQueues, view: View, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let busy: Vec<&ListenerRow> =
        seen.listeners.iter().filter(|row| row.accept.most > 0 || row.syn.most > 0).collect();
    let (shown, rest) = busy.split_at(busy.len().min(most));
    if !shown.is_empty() {
        lines.extend(listeners(shown, seen.namespaces.len() > 1, view));
    }
    if !rest.is_empty() {
        lines.push(format!("… and {} more listeners with something in their queues", rest.len()));
    }
    let quiet = seen.listeners.len() - busy.len();
    if quiet > 0 {
        let which = if busy.is_empty() { "" } else { "other " };
        let listeners = if quiet == 1 { "listener" } else { "listeners" };
        lines.push(format!(
            "{} {which}{listeners}: nothing waited to be accepted or opened at any look.",
            thousands(quiet as u64)
        ));
    }
    for namespace in &seen.namespaces {
        lines.extend(limits(namespace, seen.namespaces.len() > 1));
    }
    // The worst one, and what else takes more than a few.
    let worth = |(index, pair): &(usize, &PortPressure)| {
        *index == 0 || is_part(pair.used.into(), pair.available.into(), SHOWN)
    };
    let pressed = seen.pressure.iter().enumerate().filter(worth).take(most);
    lines.extend(pressed.map(|(_, pair)| pressure(pair, seen.namespaces.len() > 1)));
    lines.into_iter().map(|line| if line.contains('\x1b') { line } else { cut(&line, view.width) }).collect()
}

fn listeners(rows: &[&ListenerRow], several: bool, view: View) -> Vec<String> {
    let accept: Vec<_> = rows.iter().map(|row| &row.accept).collect();
    let last = |depths: &[&Depth]| {
        depths
            .iter()
            .filter_map(|depth| depth.buckets.iter().rposition(|count| *count > 0))
            .max()
            .unwrap_or(0)
    };
    let deepest = last(&accept);
    let columns = vec![
        Column::number("ACCEPT", rows, |row| thousands(row.accept.now.into())),
        Column::number("P99", rows, |row| at_most(&row.accept, 0.99)),
        Column::number("MOST", rows, |row| thousands(row.accept.most.into())),
        Column::number("LIMIT", rows, |row| thousands(row.limit.into())),
        Column::number("FULL", rows, |row| share(row.accept.full, row.accept.samples)),
        Column::number("SYN", rows, |row| thousands(row.syn.now.into())),
        Column::number("MOST", rows, |row| thousands(row.syn.most.into())),
        Column::text("LISTENER", 13, rows, |row| {
            let gone = if row.is_open { "" } else { " (gone)" };
            let several = if row.sockets > 1 { format!(" ({} sockets)", row.sockets) } else { String::new() };
            Some(format!("{}{several}{gone}", row.local))
        }),
        Column::text("OWNER", 11, rows, |row| {
            row.owner.as_ref().map(|owner| Plain(&owner.to_string()).to_string())
        }),
        Column::text("NETNS", 8, rows, |row| several.then(|| NetnsName(&row.netns).to_string())),
        Column::bar(rows, |row| sparkline(&row.accept.buckets[..=deepest]))
            .titled("DEPTH 0 1 2 4…".into())
            .optional(),
    ];
    table(columns, view.width, view.color)
}

/// The depth that a quantile is at most.
fn at_most(depth: &Depth, q: f64) -> String {
    depth
        .quantile(q)
        .map(|range| match *range.end() {
            end if range.start() == range.end() => thousands(end.into()),
            end => format!("≤{}", thousands(end.into())),
        })
        .unwrap_or_default()
}

/// `TIME_WAIT` beside its limit, the ports that there are, or why that isn't known.
fn limits(namespace: &NetnsPorts, several: bool) -> Vec<String> {
    let whose = if several { format!("{}: ", NetnsName(&namespace.netns)) } else { String::new() };
    let mut parts = Vec::new();
    if let Some((now, most)) = namespace.time_wait {
        let limit =
            namespace.time_wait_limit.map(|limit| format!("/{}", thousands(limit))).unwrap_or_default();
        parts.push(format!("TIME_WAIT {}{limit} (at most {})", thousands(now), thousands(most)));
    }
    if let Some((first, last)) = namespace.range {
        let reserved = match namespace.reserved {
            0 => String::new(),
            reserved => format!(" but {}", thousands(reserved.into())),
        };
        let available = thousands(namespace.available().into());
        parts.push(format!("{available} ports ({first}-{last}{reserved})"));
    }
    let mut lines = Vec::new();
    if !parts.is_empty() {
        lines.push(format!("{whose}{}", parts.join(" · ")));
    }
    lines.extend(namespace.failed.as_ref().map(|why| format!("{whose}{}", Plain(why))));
    lines
}

fn pressure(pair: &PortPressure, several: bool) -> String {
    let whose = if several { format!("{}: ", NetnsName(&pair.netns)) } else { String::new() };
    format!(
        "{whose}{} > {}: {}/{} ports ({}), {} in TIME_WAIT",
        pair.local,
        Address(pair.remote),
        thousands(pair.used.into()),
        thousands(pair.available.into()),
        share(pair.used.into(), pair.available.max(pair.used).into()),
        thousands(pair.time_wait.into()),
    )
}

/// How what isn't counted was measured.
pub fn how_often(seen: &TcpQueues) -> Option<String> {
    let [accept, syn, ports] = seen.namespaces.iter().fold([0; 3], |sum: [u64; 3], namespace| {
        std::array::from_fn(|which| sum[which] + namespace.samples[which])
    });
    (accept > 0).then(|| {
        format!(
            "Queues and ports are sampled, not counted: accept queues {} times, SYN queues {}, ports {} (sock_diag, every 100 ms and 1 s, rarer where a look takes long).",
            thousands(accept),
            thousands(syn),
            thousands(ports)
        )
    })
}

/// An interval's changes on one line; nothing without any.
pub fn interval(tcp: &TcpSummary, over: Duration) -> Option<String> {
    let mut rows: Vec<_> = tcp.transitions.iter().filter(|row| row.count > 0).collect();
    rows.order_by_key(|row| (std::cmp::Reverse(row.count), row.from, row.to));
    let all: u64 = rows.iter().map(|row| row.count).sum();
    let each: Vec<_> = rows
        .iter()
        .map(|row| format!("{} -> {} {}", state(row.from), state(row.to), thousands(row.count)))
        .collect();
    (all > 0).then(|| {
        let changes = if all == 1 { "change" } else { "changes" };
        let over_time = format!("in {}, {}", elapsed(over), rate(all, over));
        format!("{} {changes} of state {over_time}: {}", thousands(all), each.join(", "))
    })
}

/// Where something waits now, and what is nearly used up.
pub fn waiting(seen: &TcpQueues) -> Vec<String> {
    let several = seen.namespaces.len() > 1;
    let waiting = seen.listeners.iter().filter(|row| row.accept.now > 0 || row.syn.now > 0);
    let mut lines: Vec<String> = waiting
        .map(|row| {
            let netns = if several { format!(" netns {}", NetnsName(&row.netns)) } else { String::new() };
            format!(
                "listener {}{netns} accept {}/{} most {} syn {} most {}",
                row.local, row.accept.now, row.limit, row.accept.most, row.syn.now, row.syn.most
            )
        })
        .collect();
    let is_near = |used: u64, limit: u64| is_part(used, limit, NEARLY);
    for namespace in &seen.namespaces {
        if let (Some((now, _)), Some(limit)) = (namespace.time_wait, namespace.time_wait_limit)
            && is_near(now, limit)
        {
            lines.extend(limits(namespace, several).into_iter().take(1));
        }
    }
    let near = seen.pressure.iter().filter(|pair| is_near(pair.used.into(), pair.available.into()));
    lines.extend(near.map(|pair| pressure(pair, several)));
    lines
}
