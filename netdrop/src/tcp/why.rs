//! Why TCP sent again: each flow's retransmits beside the drops of its packets on this host. Pure.
//!
//! Packets are matched by addresses and ports in either direction, in whatever namespace they were dropped: both ends of a connection may
//! be at home here. What a NAT or a tunnel carries under other addresses is not matched.

mod sentence;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::knowledge::Class;
use crate::model::tcp::{Retransmit, TcpEvent, TcpKind};
use crate::model::{Drop, Endpoint, Netns};
use crate::order::InOrder as _;

/// Flows with retransmits that are kept: fewer than half of the pairs, so that there is room to be made among these.
const FLOWS: usize = 2048;
/// Pairs of addresses with drops that are kept.
const PAIRS: usize = 8192;
/// Places of drops that are told apart for one pair; those beyond are summed in the last.
const PLACES: usize = 16;
/// The reason by which the kernel drops what it has had before: lifecycle, and a sign that it was sent again in vain.
const HAD_BEFORE: &str = "TCP_OLD_DATA";
/// The kernel's protocol number.
const TCP: u8 = 6;

/// A connection as one of its ends has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flow {
    /// Who sends again.
    pub local: Endpoint,
    /// To whom.
    pub remote: Endpoint,
    /// In which namespace; 0 when unknown.
    pub netns: u32,
}

impl Flow {
    /// The flow of an event; absent without both addresses.
    pub fn of(event: &TcpEvent) -> Option<Self> {
        let netns = event.netns.as_ref().map_or(0, |netns| netns.inode);
        Some(Self { local: event.local?, remote: event.remote?, netns })
    }

    fn pair(&self) -> Pair {
        pair(self.local, self.remote)
    }
}

/// The two ends of a connection, whoever sends.
type Pair = (Endpoint, Endpoint);

fn pair(one: Endpoint, other: Endpoint) -> Pair {
    if one <= other { (one, other) } else { (other, one) }
}

/// What a flow sent again.
#[derive(Debug, Clone, Default)]
struct Sent {
    by: [u64; Retransmit::ALL.len()],
    /// Those of an established connection with the peer's window at zero.
    zero_window: u64,
    /// Not among `by`.
    failed: u64,
    estimated: bool,
    netns: Option<Arc<Netns>>,
    /// In the interval under way.
    lately: bool,
}

/// Drops at one place of packets between two ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropsAt {
    place: Place,
    /// Who sent them.
    pub source: Endpoint,
    /// The function, or the address in hexadecimal.
    pub function: Arc<str>,
    /// The kernel's reason; absent before 5.17.
    pub reason: Option<Arc<str>>,
    /// The kind of loss.
    pub class: Class,
    /// Where.
    pub netns: Option<Netns>,
    /// Packets.
    pub packets: u64,
    /// Segments of the wire: a packet of offloads stands for several.
    pub segments: u64,
    /// Whether some of them are taken to be alike to one that was seen in detail.
    pub estimated: bool,
}

/// The kernel's numbers for site, reason and namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Place {
    address: u64,
    reason: Option<u32>,
    netns: u32,
}

#[derive(Debug, Default)]
struct Dropped {
    at: Vec<DropsAt>,
    touched: u64,
}

/// Retransmits and drops, flow by flow, both bounded.
#[derive(Debug, Default)]
pub struct Why {
    flows: HashMap<Flow, Sent>,
    drops: HashMap<Pair, Dropped>,
    clock: u64,
}

/// Why a flow sent again, as far as this host can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Because {
    /// As many of its packets were dropped here.
    DroppedHere,
    /// Some were dropped here: that many of its retransmits are explained.
    PartlyDroppedHere(u64),
    /// Nothing went out: the segments couldn't leave this host.
    Failed,
    /// The peer's window is zero.
    ZeroWindow,
    /// The peer had had the data: that many were thrown away there as old.
    Spurious(u64),
    /// Nothing but tail loss probes: nothing shows that anything was lost.
    LossProbes,
    /// Nobody answers the SYN.
    NoAnswerToSyn,
    /// Nobody answers the SYN-ACK.
    NoAnswerToSynAck,
    /// No drop was seen here.
    LostBeyond,
}

impl Because {
    /// As lines for programs tell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DroppedHere => "dropped-here",
            Self::PartlyDroppedHere(_) => "partly-dropped-here",
            Self::Failed => "send-failed",
            Self::ZeroWindow => "zero-window",
            Self::Spurious(_) => "spurious",
            Self::LossProbes => "loss-probes",
            Self::NoAnswerToSyn => "no-answer-to-syn",
            Self::NoAnswerToSynAck => "no-answer-to-syn-ack",
            Self::LostBeyond => "lost-beyond-this-host",
        }
    }
}

/// One flow's story.
#[derive(Debug, Clone)]
pub struct Story {
    /// Whose.
    pub flow: Flow,
    /// Its namespace.
    pub netns: Option<Arc<Netns>>,
    /// Retransmits that went out.
    pub retransmits: u64,
    /// Segments that couldn't be sent again (told from 6.16 on).
    pub failed: u64,
    /// Whether some of them are taken to be alike to one that was seen in detail.
    pub estimated: bool,
    /// Drops between its ends, most packets first.
    pub drops: Vec<DropsAt>,
    /// What follows.
    pub because: Because,
    /// Whether every drop was seen in detail: else there may be more.
    pub whole: bool,
    /// Whether it sent again in the interval under way.
    pub lately: bool,
}

impl Why {
    /// Takes a retransmit in; other events say nothing.
    pub fn retransmit(&mut self, event: &TcpEvent) {
        let TcpKind::Retransmit { by, failed, .. } = &event.kind else { return };
        let Some(flow) = Flow::of(event) else { return };
        let is_full = self.flows.len() >= FLOWS;
        let sent = match self.flows.entry(flow) {
            Entry::Occupied(sent) => sent.into_mut(),
            Entry::Vacant(_) if is_full => return,
            Entry::Vacant(place) => place.insert(Sent::default()),
        };
        let weight = u64::from(event.weight);
        if failed.is_some() {
            sent.failed += weight;
        } else {
            sent.by[*by as usize] += weight;
        }
        let opening = matches!(by, Retransmit::Syn | Retransmit::SynAck);
        let is_shut = event.numbers.is_some_and(|numbers| numbers.send_window == 0);
        sent.zero_window += if is_shut && !opening { weight } else { 0 };
        sent.estimated |= weight > 1;
        sent.lately = true;
        sent.netns = event.netns.clone().or(sent.netns.take());
    }

    /// Takes a drop in; those of other protocols and without ports say nothing.
    pub fn drop(&mut self, drop: &Drop<'_>) {
        let packet = drop.packet;
        if packet.protocol.ip != Some(TCP) {
            return;
        }
        let (Some(source), Some(destination)) = (packet.source, packet.destination) else { return };
        if source.port.is_none() || destination.port.is_none() {
            return;
        }
        let pair = pair(source, destination);
        if self.drops.len() >= PAIRS && !self.drops.contains_key(&pair) {
            self.make_room();
        }
        self.clock += 1;
        let dropped = self.drops.entry(pair).or_default();
        dropped.touched = self.clock;
        let at = dropped.at(drop, source);
        let segments = packet.gso.map_or(1, |gso| u64::from(gso.segments.max(1)));
        at.packets += drop.weight;
        at.segments += drop.weight * segments;
        at.estimated |= drop.weight > 1;
    }

    /// Gives up the half of the pairs whose last drop is longest ago, but none that a retransmit was seen of.
    fn make_room(&mut self) {
        let mut ages: Vec<_> = self.drops.values().map(|dropped| dropped.touched).collect();
        ages.sort_unstable();
        let middle = ages[ages.len() / 2];
        let wanted: std::collections::HashSet<_> = self.flows.keys().map(Flow::pair).collect();
        self.drops.retain(|pair, dropped| dropped.touched > middle || wanted.contains(pair));
    }

    /// The story of one flow; absent where it sent nothing again. `whole`: every drop was seen in detail.
    pub fn story(&self, flow: &Flow, whole: bool) -> Option<Story> {
        self.flows.get(flow).map(|sent| self.told(flow, sent, whole))
    }

    /// Every flow's, most retransmits first.
    pub fn stories(&self, whole: bool) -> Vec<Story> {
        let mut stories: Vec<_> =
            self.flows.iter().map(|(flow, sent)| self.told(flow, sent, whole)).collect();
        stories.order_by(|one, other| {
            other.retransmits.cmp(&one.retransmits).then_with(|| one.flow.cmp(&other.flow))
        });
        stories
    }

    fn told(&self, flow: &Flow, sent: &Sent, whole: bool) -> Story {
        let mut drops = self.drops.get(&flow.pair()).map_or_else(Vec::new, |dropped| dropped.at.clone());
        drops.order_by_key(|at| std::cmp::Reverse(at.packets));
        Story {
            flow: *flow,
            netns: sent.netns.clone(),
            retransmits: sent.by.iter().sum(),
            failed: sent.failed,
            estimated: sent.estimated,
            because: because(flow, sent, &drops),
            drops,
            whole,
            lately: sent.lately,
        }
    }

    /// Starts the next interval; a full table of flows gives up those that were quiet in this one.
    pub fn turn(&mut self) {
        if self.flows.len() >= FLOWS {
            self.flows.retain(|_, sent| sent.lately);
        }
        self.flows.values_mut().for_each(|sent| sent.lately = false);
    }
}

impl Dropped {
    /// The sums of the drop's place.
    fn at(&mut self, drop: &Drop<'_>, source: Endpoint) -> &mut DropsAt {
        let place = Place {
            address: drop.site.address,
            reason: drop.reason.map(|reason| reason.number),
            netns: drop.netns.map_or(0, |netns| netns.inode),
        };
        let known = self.at.iter().position(|at| at.place == place && at.source == source);
        let index = known.unwrap_or_else(|| {
            if self.at.len() < PLACES {
                self.at.push(DropsAt::new(drop, place, source));
            }
            self.at.len() - 1
        });
        &mut self.at[index]
    }
}

impl DropsAt {
    fn new(drop: &Drop<'_>, place: Place, source: Endpoint) -> Self {
        let address = || format!("{:#x}", drop.site.address);
        let trap = drop.site.trap.as_ref().map(|trap| trap.name.clone());
        Self {
            place,
            source,
            function: trap.or_else(|| drop.site.function.clone()).unwrap_or_else(address).into(),
            reason: drop.reason.map(|reason| reason.name.as_str().into()),
            class: drop.class(),
            netns: drop.netns.cloned(),
            packets: 0,
            segments: 0,
            estimated: false,
        }
    }

    /// Whether something is missing after it. The normal end of a packet is no loss, and neither is what the receiver has had:
    /// duplicates, probes of a closed window, keep-alives.
    pub fn is_loss(&self) -> bool {
        const HAD: [&str; 3] = [HAD_BEFORE, "TCP_OLD_SEQUENCE", "TCP_OLD_ACK"];
        // What reaches a connection in TIME_WAIT is freed without a reason after it was answered (`discard_it`, net/ipv4/tcp_ipv4.c).
        const RECEIVE: [&str; 2] = ["tcp_v4_rcv", "tcp_v6_rcv"];
        match self.reason.as_deref() {
            _ if self.class == Class::Lifecycle => false,
            Some("NOT_SPECIFIED") => !RECEIVE.contains(&&*self.function),
            Some(reason) => !HAD.contains(&reason),
            None => true,
        }
    }
}

/// What is known for certain comes first: drops, then what TCP itself knows.
fn because(flow: &Flow, sent: &Sent, drops: &[DropsAt]) -> Because {
    let all: u64 = sent.by.iter().sum();
    let only = |by: Retransmit| sent.by[by as usize] == all;
    let sum =
        |of: &dyn Fn(&DropsAt) -> bool| drops.iter().filter(|at| of(at)).map(|at| at.segments).sum::<u64>();
    let lost = sum(&DropsAt::is_loss);
    let had_before = sum(&|at| at.source == flow.local && at.reason.as_deref() == Some(HAD_BEFORE));
    match () {
        () if all == 0 => Because::Failed,
        () if lost >= all && lost > 0 => Because::DroppedHere,
        () if lost > 0 => Because::PartlyDroppedHere(lost.min(all)),
        () if sent.zero_window * 2 > all => Because::ZeroWindow,
        () if only(Retransmit::Syn) => Because::NoAnswerToSyn,
        () if only(Retransmit::SynAck) => Because::NoAnswerToSynAck,
        () if had_before > 0 => Because::Spurious(had_before),
        () if only(Retransmit::LossProbe) => Because::LossProbes,
        () => Because::LostBeyond,
    }
}

#[cfg(test)]
mod tests;
