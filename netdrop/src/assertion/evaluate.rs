//! Whether it happened, and the sentence that says so.

use std::collections::HashMap;
use std::time::Duration;

use super::{Assertion, Expression, Member, Quantity, Selector, Test, Unit};
use crate::model::tcp::{Counted, TcpSummary};
use crate::model::{Row, Summary};
use crate::tcp::retransmits::of_host;
use crate::units::{bytes, rate, thousands};

/// What became of an assertion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether what must not happen did.
    pub holds: bool,
    /// What was found, in a sentence.
    pub why: String,
}

impl Assertion {
    /// Looks at the whole run's exact rows, which must tell sites, reasons, devices, namespaces and protocols apart.
    pub fn evaluate(&self, end: &Summary) -> Verdict {
        let mut found = Vec::new();
        let holds = self.expression.holds(end, &mut found);
        // Of what holds, only that which does is of interest; of what doesn't, all of it.
        found.retain(|(held, _)| *held || !holds);
        found.dedup();
        let why = found.into_iter().map(|(_, sentence)| sentence).collect::<Vec<_>>().join("; ");
        Verdict { holds, why }
    }
}

impl Expression {
    /// Everything is looked at, so that the sentences tell all.
    fn holds(&self, end: &Summary, found: &mut Vec<(bool, String)>) -> bool {
        match self {
            Self::All(parts) => {
                parts.iter().map(|part| part.holds(end, found)).fold(true, |all, one| all & one)
            }
            Self::Any(parts) => {
                parts.iter().map(|part| part.holds(end, found)).fold(false, |any, one| any | one)
            }
            Self::Test(test) => {
                let held = test.holds(end);
                found.push((held, test.sentence(end)));
                held
            }
        }
    }
}

impl Test {
    #[expect(clippy::cast_precision_loss, reason = "a bound that differs in the 16th digit is none")]
    fn holds(&self, end: &Summary) -> bool {
        let amount = self.quantity.amount(end) as f64;
        let amount = match self.bound.unit {
            Unit::PerSecond => amount / end.elapsed.max(Duration::from_nanos(1)).as_secs_f64(),
            // Of nothing sent, nothing was sent again.
            Unit::Percent => amount / segments_out(end).max(1) as f64,
            Unit::Events => amount,
        };
        self.operator.holds(amount, self.bound.value)
    }

    fn sentence(&self, end: &Summary) -> String {
        let amount = self.quantity.amount(end);
        let speed = match self.bound.unit {
            Unit::PerSecond => format!(" ({})", rate(amount, end.elapsed)),
            Unit::Events | Unit::Percent => String::new(),
        };
        match &self.quantity {
            _ if self.quantity.is_of_tcp() && end.tcp.is_none() => "TCP was not followed".into(),
            Quantity::Retransmits => format!("{} TCP retransmits{speed}", thousands(amount)),
            Quantity::RetransmitRatio => {
                let host = end.tcp.as_ref().and_then(|tcp| of_host(&tcp.host));
                format!("{} sent again", host.unwrap_or_else(|| "none of no segments".into()))
            }
            Quantity::Resets => format!("{} TCP resets{speed}", thousands(amount)),
            Quantity::Lost => format!("{} details or drops lost", thousands(amount)),
            Quantity::Bytes => format!("{} dropped{speed}", bytes(amount)),
            Quantity::Drops(selectors) => {
                let of: String = selectors.iter().map(Selector::words).collect();
                let most = most(end.rows.iter().filter(|row| applies(selectors, row)));
                format!("{} drops{of}{speed}{most}", thousands(amount))
            }
        }
    }
}

impl Quantity {
    fn amount(&self, end: &Summary) -> u64 {
        match self {
            Self::Drops(selectors) => {
                end.rows.iter().filter(|row| applies(selectors, row)).map(|row| row.counts.packets).sum()
            }
            Self::Bytes => end.rows.iter().map(|row| row.counts.bytes).sum(),
            Self::Retransmits => of_tcp(end, |tcp| {
                tcp.events(|count| count.counted() == Counted::Retransmit && !count.has_failed())
            }),
            Self::RetransmitRatio => of_tcp(end, |tcp| tcp.host.segments_retransmitted),
            Self::Resets => of_tcp(end, |tcp| {
                tcp.events(|count| matches!(count.counted(), Counted::ResetSent | Counted::ResetReceived))
            }),
            Self::Lost => {
                let accounts = &end.accounts;
                accounts.ring_full + accounts.table_full + accounts.recursion_misses + accounts.stackless
            }
        }
    }
}

fn of_tcp(end: &Summary, of: impl Fn(&TcpSummary) -> u64) -> u64 {
    end.tcp.as_ref().map_or(0, |tcp| of(tcp))
}

/// Segments that the network namespace sent, those sent again left out.
fn segments_out(end: &Summary) -> u64 {
    of_tcp(end, |tcp| tcp.host.segments_out)
}

fn applies(selectors: &[Selector], row: &Row) -> bool {
    selectors.iter().all(|selector| selector.applies(row))
}

impl Selector {
    fn applies(&self, row: &Row) -> bool {
        let matches = match self.member {
            Member::Class => row.class.is_some_and(|class| self.matches(class.as_str())),
            Member::Reason => row.reason.as_ref().is_some_and(|reason| self.matches(&reason.name)),
            Member::Function => row.function().is_some_and(|function| self.matches(function)),
            Member::Device => row
                .device
                .as_ref()
                .and_then(|device| device.name.as_ref())
                .is_some_and(|name| self.matches(name)),
            Member::Netns => row.netns.as_ref().is_some_and(|netns| {
                self.matches(&netns.inode.to_string())
                    || netns.name.as_ref().is_some_and(|name| self.matches(name))
            }),
            Member::Protocol => row.protocol.is_some_and(|protocol| self.matches(&protocol.to_string())),
        };
        matches != self.negated
    }

    fn matches(&self, name: &str) -> bool {
        like(&self.pattern.to_ascii_lowercase(), &name.to_ascii_lowercase())
    }

    fn words(&self) -> String {
        let not = if self.negated { "not " } else { "" };
        format!(", {not}{} {}", self.member.name(), self.pattern)
    }
}

/// Whether `*` in the pattern, each standing for any letters, can make it the name.
fn like(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = name.find(part) else { return false };
        name = &name[at + part.len()..];
    }
    name.ends_with(end)
}

/// `; most: 12 SOCKET_RCVBUFF at udp_queue_rcv_one_skb`, where there is anything.
fn most<'r>(rows: impl Iterator<Item = &'r Row>) -> String {
    let mut sums: HashMap<(Option<&str>, Option<&str>), u64> = HashMap::new();
    for row in rows {
        let reason = row.reason.as_ref().map(|reason| reason.name.as_str());
        *sums.entry((reason, row.function())).or_default() += row.counts.packets;
    }
    let most = sums.into_iter().max_by(|(left, fewer), (right, more)| fewer.cmp(more).then(right.cmp(left)));
    match most {
        Some(((reason, function), count)) if count > 0 => {
            let reason = reason.map(|name| format!(" {name}")).unwrap_or_default();
            let function = function.map(|name| format!(" at {name}")).unwrap_or_default();
            format!(", most of them{reason}{function} ({})", thousands(count))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("tcp_v4_rcv", "tcp_v4_rcv", true)]
    #[case("tcp_*", "tcp_v4_rcv", true)]
    #[case("*_rcv", "tcp_v4_rcv", true)]
    #[case("tcp*v4*cv", "tcp_v4_rcv", true)]
    #[case("*", "", true)]
    #[case("a*a", "a", false)]
    #[case("*b*b", "ab", false)]
    #[case("tcp_*x", "tcp_v4_rcv", false)]
    #[case("udp_*", "tcp_v4_rcv", false)]
    fn patterns(#[case] pattern: &str, #[case] name: &str, #[case] matches: bool) {
        assert_eq!(like(pattern, name), matches);
    }
}
