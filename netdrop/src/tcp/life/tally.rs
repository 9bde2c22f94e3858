//! What the connections that ended come to: by how they ended, by owner, how long they lasted.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::super::{accounts, words};
use super::columns::Ended;
use crate::model::Summary;
use crate::model::tcp::{CloseKind, TcpSummary, quantile_bucket};
use crate::order::InOrder as _;
use crate::output::columns::{Column, table};
use crate::output::report::share;
use crate::output::words::Plain;
use crate::units::{bytes, elapsed, rate, thousands};
use netdrop_common::tcp::kind;

/// Owners that are told apart; what others come to is one row.
const MOST_OWNERS: usize = 1024;
/// Owners that are shown.
const TOP: usize = 5;

/// The tally so far.
#[derive(Debug, Default)]
pub struct Tally {
    by_kind: BTreeMap<CloseKind, Sum>,
    by_owner: HashMap<Arc<str>, Sum>,
    other_owners: Sum,
    /// Those that never opened, by why.
    never: BTreeMap<String, u64>,
    times: Times,
    /// Connections that existed at the start, or found no room in the kernel's table.
    older: u64,
    /// Whether a line stood for more than one connection.
    is_estimated: bool,
}

/// Connections and their payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sum {
    connections: u64,
    sent: u64,
    received: u64,
    retransmits: u64,
}

impl Sum {
    fn add(&mut self, ended: &Ended<'_>) {
        let weight = u64::from(ended.event.weight);
        let payload = ended.event.payload().unwrap_or_default();
        let retransmits = ended.event.numbers.map_or(0, |numbers| numbers.retransmits);
        self.connections += weight;
        self.sent = self.sent.saturating_add(payload.sent.saturating_mul(weight));
        self.received = self.received.saturating_add(payload.received.saturating_mul(weight));
        self.retransmits += u64::from(retransmits) * weight;
    }
}

impl Tally {
    /// One more connection has ended.
    pub fn add(&mut self, ended: &Ended<'_>) {
        let weight = u64::from(ended.event.weight);
        self.is_estimated |= weight > 1;
        self.by_kind.entry(ended.kind).or_default().add(ended);
        if let Some(why) = never_opened(ended) {
            *self.never.entry(why).or_default() += weight;
        }
        let name = ended.event.owner.as_ref().and_then(|known| known.owner.first());
        let name = name.map_or_else(|| Arc::from(""), |name| name.command);
        let is_known = self.by_owner.len() < MOST_OWNERS || self.by_owner.contains_key(&name);
        let owner = if is_known { self.by_owner.entry(name).or_default() } else { &mut self.other_owners };
        owner.add(ended);
        match ended.event.lasted() {
            Some(time) => self.times.add(time, weight),
            None => self.older += weight,
        }
    }

    /// The closing lines.
    pub fn lines(&self, end: &Summary, width: usize, color: bool) -> Vec<String> {
        let tcp = end.tcp.as_deref().cloned().unwrap_or_default();
        let ended: u64 = tcp.of_kind(kind::CLOSE).map(|count| count.counts.events).sum();
        let mut lines = vec![self.headline(ended, end.elapsed, &tcp)];
        if !self.by_kind.is_empty() {
            lines.push(String::new());
            lines.extend(self.kinds(width, color));
            lines.push(String::new());
            lines.extend(self.owners(width, color));
            lines.push(String::new());
            lines.extend(self.times.line());
            lines.extend(self.never_opened());
            lines.extend(self.without_line(ended));
            lines.extend(self.is_estimated.then(|| {
                "~: estimated from the connections that have a line; the number of all is exact.".to_owned()
            }));
        }
        lines.extend(accounts::lines(&tcp.accounts, "events of connections"));
        lines
    }

    fn headline(&self, ended: u64, time: Duration, tcp: &TcpSummary) -> String {
        let mut line = match ended {
            0 => format!("No connection ended in {}", elapsed(time)),
            1 => format!("1 connection ended in {}", elapsed(time)),
            _ => {
                format!("{} connections ended in {}, {}", thousands(ended), elapsed(time), rate(ended, time))
            }
        };
        if let Some(existed) = tcp.existed.filter(|existed| *existed > 0) {
            let _ = write!(line, "; {} existed at the start in this namespace", thousands(existed));
        }
        if self.older > 0 {
            let _ =
                write!(line, "; the beginning of {} was not seen (>=)", self.about(thousands(self.older)));
        }
        line + "."
    }

    fn never_opened(&self) -> Option<String> {
        let all = self.never.values().sum();
        let each: Vec<_> = self
            .never
            .iter()
            .map(|(why, count)| format!("{} {why}", self.about(thousands(*count))))
            .collect();
        (all > 0).then(|| format!("{} never opened: {}.", self.about(thousands(all)), each.join(", ")))
    }

    /// What no line stands for.
    fn without_line(&self, ended: u64) -> Option<String> {
        let told: u64 = self.by_kind.values().map(|sum| sum.connections).sum();
        let missing = ended.saturating_sub(told);
        (missing > 0).then(|| {
            format!("{} more ended that no line stands for: they are in no sum.", thousands(missing))
        })
    }

    /// `~` before what is estimated.
    fn about(&self, number: String) -> String {
        if self.is_estimated { format!("~{number}") } else { number }
    }

    fn kinds(&self, width: usize, color: bool) -> Vec<String> {
        let mut rows: Vec<_> = self.by_kind.iter().map(|(kind, sum)| (kind.to_string(), *sum)).collect();
        rows.order_by(|one, other| other.1.connections.cmp(&one.1.connections).then(one.0.cmp(&other.0)));
        let all = rows.iter().map(|(_, sum)| sum.connections).sum();
        let mut columns = self.sums(&rows);
        columns.insert(1, Column::number("SHARE", &rows, |(_, sum)| share(sum.connections, all)));
        columns.push(Column::text("CLOSE", 14, &rows, |(name, _)| Some(name.clone())));
        table(columns, width, color)
    }

    fn owners(&self, width: usize, color: bool) -> Vec<String> {
        let mut rows: Vec<_> = self
            .by_owner
            .iter()
            .map(|(name, sum)| {
                (if name.is_empty() { "(unknown)".into() } else { Plain(name).to_string() }, *sum)
            })
            .collect();
        rows.order_by(|one, other| other.1.connections.cmp(&one.1.connections).then(one.0.cmp(&other.0)));
        let mut rest = self.other_owners;
        for (_, sum) in rows.drain(rows.len().min(TOP)..) {
            rest.connections += sum.connections;
            rest.sent = rest.sent.saturating_add(sum.sent);
            rest.received = rest.received.saturating_add(sum.received);
            rest.retransmits += sum.retransmits;
        }
        if rest.connections > 0 {
            rows.push(("(all others)".into(), rest));
        }
        let mut columns = self.sums(&rows);
        columns.push(Column::text("OWNER", 15, &rows, |(name, _)| Some(name.clone())));
        table(columns, width, color)
    }

    fn sums(&self, rows: &[(String, Sum)]) -> Vec<Column> {
        vec![
            Column::number("CONNECTIONS", rows, |(_, sum)| self.about(thousands(sum.connections))),
            Column::number("SENT", rows, |(_, sum)| self.about(bytes(sum.sent))),
            Column::number("RECEIVED", rows, |(_, sum)| self.about(bytes(sum.received))),
            Column::number("RETRANSMITS", rows, |(_, sum)| self.about(thousands(sum.retransmits))),
        ]
    }
}

/// Why it never opened; nothing where it did.
fn never_opened(ended: &Ended<'_>) -> Option<String> {
    Some(match (ended.kind, ended.error) {
        (CloseKind::Refused, _) => "refused by a reset".into(),
        (CloseKind::NoAnswer, _) => "without an answer to the SYN".into(),
        (CloseKind::NotOpened, None) => "given up by their process before an answer".into(),
        (CloseKind::NotOpened, Some(error)) => format!("failed with {}", words::error_name(error)),
        _ => return None,
    })
}

/// Buckets: four to each power of two of microseconds, up to 2⁴⁴ (half a year) and beyond.
const BUCKETS: usize = 4 * 44;

/// How long connections lasted.
#[derive(Debug)]
struct Times {
    buckets: [u64; BUCKETS],
    longest: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], longest: Duration::ZERO }
    }
}

impl Times {
    fn add(&mut self, time: Duration, weight: u64) {
        self.buckets[bucket(time)] += weight;
        self.longest = self.longest.max(time);
    }

    /// A time that the quantile `q` (0 to 1) is below, at most a quarter more than it.
    fn below(&self, q: f64) -> Option<Duration> {
        let end = Duration::from_micros(bucket_end(quantile_bucket(&self.buckets, q)?));
        Some(end.min(self.longest))
    }

    fn line(&self) -> Option<String> {
        let [half, nine, all_but_one] = [0.5, 0.9, 0.99].map(|q| self.below(q));
        let told = words::told_time;
        Some(format!(
            "Half lasted at most {}, 90 % at most {}, 99 % at most {} (bounds up to 25 % above), the longest {}.",
            told(half?),
            told(nine?),
            told(all_but_one?),
            told(self.longest),
        ))
    }
}

fn bucket(time: Duration) -> usize {
    let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    if us < 4 {
        return usize::try_from(us).unwrap_or(0);
    }
    let octave = us.ilog2();
    let bucket = u64::from(octave - 1) * 4 + (us >> (octave - 2) & 3);
    usize::try_from(bucket).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The first µs beyond a bucket.
fn bucket_end(bucket: usize) -> u64 {
    let next = bucket as u64 + 1;
    if next < 4 { next } else { (4 + next % 4) << (next / 4 - 1) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bucket_holds_its_times(us in 0_u64..1 << 44) {
            let bucket = bucket(Duration::from_micros(us));
            prop_assert!(us < bucket_end(bucket));
            prop_assert!(bucket == 0 || bucket_end(bucket - 1) <= us);
            prop_assert!(bucket_end(bucket) <= us + us / 4 + 1);
        }

        #[test]
        fn bounds_are_at_most_a_quarter_above(mut times in proptest::collection::vec(1_u64..1 << 40, 1..50), q in 0.0..1.0_f64) {
            let mut tally = Times::default();
            for us in &times {
                tally.add(Duration::from_micros(*us), 1);
            }
            times.sort_unstable();
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
            let rank = ((q * times.len() as f64).ceil() as usize).clamp(1, times.len());
            let (exact, told) = (times[rank - 1], tally.below(q).unwrap().as_micros());
            prop_assert!(u128::from(exact) <= told && told <= u128::from(exact + exact / 4 + 1));
        }
    }

    #[test]
    fn nothing_lasted_no_time() {
        assert_eq!(Times::default().line(), None);
    }
}
