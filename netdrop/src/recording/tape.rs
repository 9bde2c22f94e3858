//! A recording as it happened: what `watch` showed at each of its summaries, to go back and forth in.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::book::{Book, Place};
use super::line::{DropLine, Line, Totals};
use crate::aggregate::{Aggregator, By, Dimension, Now};
use crate::model::tcp::{TcpEvent, TcpSummary};
use crate::model::{
    Accounts, Context, CountKey, Counts, Drop, Explanation, Header, Owner, Packet, Summary, Timestamp,
};

/// Summaries that are kept; of longer recordings, two become one.
const FRAMES: usize = 2048;
/// Details that are kept, some 500 bytes each; of longer recordings, every second one is.
const DROPS: usize = 16 << 10;
/// Events of TCP's that are kept; of longer recordings, every second one is. What isn't kept is in the row of all others.
const EVENTS: usize = 4 << 10;

/// A recording, or as much of it as there is room for.
#[derive(Debug)]
pub struct Tape {
    frames: Vec<Frame>,
    /// Since the last summary.
    drops: Vec<Kept>,
    /// How many there are in all frames.
    kept: usize,
    /// Every how many-th detail is kept, and how many came.
    every: u64,
    came: u64,
    book: Book,
    aggregator: Aggregator,
    counters: HashMap<CountKey, Counts>,
    now: Now,
    events: Events,
    /// What was counted of TCP so far.
    tcp: Option<TcpSummary>,
    /// What the doctor said.
    findings: Vec<Explanation>,
}

/// Events of TCP's since the last summary, and how many are kept in all.
#[derive(Debug)]
struct Events {
    unread: Vec<TcpEvent>,
    kept: usize,
    every: u64,
    came: u64,
}

/// A summary, and the details that came before it.
#[derive(Debug)]
pub struct Frame {
    summary: Summary,
    drops: Vec<Kept>,
    events: Vec<TcpEvent>,
}

/// A detailed drop.
struct Kept {
    time: Timestamp,
    weight: u64,
    cpu: u32,
    place: Place,
    packet: Packet,
    owner: Option<Owner>,
    stack: Arc<[String]>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("time", &self.time).field("packet", &self.packet).finish_non_exhaustive()
    }
}

impl Default for Tape {
    fn default() -> Self {
        let all = [Dimension::Site, Dimension::Reason, Dimension::Device, Dimension::Netns, Dimension::Proto];
        Self {
            frames: Vec::new(),
            drops: Vec::new(),
            kept: 0,
            every: 1,
            came: 0,
            book: Book::default(),
            aggregator: Aggregator::new(all.into_iter().collect::<By>()),
            counters: HashMap::new(),
            now: Now::default(),
            events: Events { unread: Vec::new(), kept: 0, every: 1, came: 0 },
            tcp: None,
            findings: Vec::new(),
        }
    }
}

impl Tape {
    /// Takes the next line.
    pub fn take(&mut self, line: &Line<'_>) {
        match line {
            Line::Drop(drop) => self.drop(drop),
            Line::Summary(totals) => self.summary(totals),
            // What a run's summaries have told already.
            Line::End(totals) if self.frames.is_empty() => self.summary(totals),
            Line::Tcp(event) => self.event(event),
            Line::Finding(finding) => self.findings.push((**finding).clone()),
            Line::End(_) | Line::Rtt(_) | Line::Other => {}
        }
    }

    /// The last line was given: what came after the last summary, or without any, is counted by the details' weights.
    pub fn finish(&mut self) {
        if self.frames.is_empty() && !self.drops.is_empty() {
            self.estimate();
        }
        // Said at the end, of the whole run.
        let findings: Arc<[_]> = std::mem::take(&mut self.findings).into();
        self.frames.iter_mut().for_each(|frame| frame.summary.findings = Arc::clone(&findings));
    }

    /// How many summaries there are.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The first `count` summaries with their details, in order.
    pub fn until(&self, count: usize) -> impl Iterator<Item = &Frame> {
        self.frames.iter().take(count)
    }

    fn drop(&mut self, line: &DropLine<'_>) {
        let key = self.book.key(&line.whence, line.packet.protocol);
        self.came += 1;
        if !self.came.is_multiple_of(self.every) {
            return;
        }
        if self.kept >= DROPS {
            self.thin_drops();
        }
        let last = self.drops.last().map(|last| &last.stack).filter(|stack| ***stack == *line.stack);
        let stack = last.cloned().unwrap_or_else(|| line.stack.clone().into());
        self.kept += 1;
        self.drops.push(Kept {
            time: line.time,
            weight: line.weight,
            cpu: line.cpu,
            place: self.book.names(&key),
            packet: line.packet,
            owner: line.owner.clone(),
            stack,
        });
    }

    fn summary(&mut self, totals: &Totals<'_>) {
        self.now = Now {
            time: totals.time,
            elapsed: self.now.elapsed.saturating_add(totals.interval),
            accounts: self.now.accounts.plus(&totals.accounts),
        };
        for row in &totals.rows {
            let key = self.book.key(&row.whence, row.protocol.unwrap_or_default());
            let counters = self.counters.entry(key).or_default();
            counters.packets = counters.packets.saturating_add(row.counts.packets);
            counters.bytes = counters.bytes.saturating_add(row.counts.bytes);
        }
        let estimated = totals.rows.iter().any(|row| row.estimated);
        let tcp = totals.tcp.clone().map(|interval| Arc::new(interval.summed(&mut self.tcp)));
        self.push(estimated, tcp);
    }

    fn event(&mut self, event: &TcpEvent) {
        self.events.came += 1;
        if !self.events.came.is_multiple_of(self.events.every) {
            return;
        }
        if self.events.kept >= EVENTS {
            self.events.every *= 2;
            let all = self.frames.iter_mut().map(|frame| &mut frame.events).chain([&mut self.events.unread]);
            self.events.kept = every_second(all);
        }
        self.events.kept += 1;
        self.events.unread.push(event.clone());
    }

    /// A summary of what is counted now.
    fn push(&mut self, estimated: bool, tcp: Option<Arc<TcpSummary>>) {
        let counters = self.counters.iter().map(|(key, counts)| (*key, *counts));
        let mut summary = self.aggregator.summary(self.now, counters, &mut self.book);
        summary.rows.iter_mut().for_each(|row| row.estimated = estimated);
        summary.tcp = tcp;
        if self.frames.len() >= FRAMES {
            self.thin_frames();
        }
        let events = std::mem::take(&mut self.events.unread);
        self.frames.push(Frame { summary, drops: std::mem::take(&mut self.drops), events });
    }

    /// One summary of details alone.
    fn estimate(&mut self) {
        let (mut weight, mut count) = (0_u64, 0);
        for drop in &self.drops {
            let Place { site, reason, device, netns } = &drop.place;
            let key = CountKey {
                address: site.address,
                reason: reason.as_ref().map(|reason| reason.number),
                ifindex: device.as_ref().map_or(0, |device| device.index),
                netns: netns.as_ref().map_or(0, |netns| netns.inode),
                protocol: drop.packet.protocol,
            };
            let counters = self.counters.entry(key).or_default();
            let bytes = drop.weight.saturating_mul(u64::from(drop.packet.length));
            counters.packets = counters.packets.saturating_add(drop.weight);
            counters.bytes = counters.bytes.saturating_add(bytes);
            weight = weight.saturating_add(drop.weight);
            count += 1;
        }
        let times = || self.drops.iter().map(|drop| drop.time);
        let (first, last) = (times().min().unwrap_or_default(), times().max().unwrap_or_default());
        let accounts = Accounts {
            seen: weight,
            detailed: count,
            sampled_out: weight.saturating_sub(count),
            ..Accounts::default()
        };
        let elapsed = last.since_epoch().saturating_sub(first.since_epoch()).max(Duration::from_millis(1));
        self.now = Now { time: last, elapsed, accounts };
        self.push(true, None);
    }

    fn thin_drops(&mut self) {
        self.every *= 2;
        let all = self.frames.iter_mut().map(|frame| &mut frame.drops).chain([&mut self.drops]);
        self.kept = every_second(all);
    }

    fn thin_frames(&mut self) {
        let mut thinned = Vec::with_capacity(FRAMES);
        let mut frames = std::mem::take(&mut self.frames).into_iter();
        while let Some(first) = frames.next() {
            thinned.push(match frames.next() {
                Some(second) => second.after(first),
                None => first,
            });
        }
        self.frames = thinned;
    }
}

/// Leaves every second one of all; tells how many are left.
fn every_second<'a, T: 'a>(all: impl Iterator<Item = &'a mut Vec<T>>) -> usize {
    let mut place = 0_usize;
    let mut keep = |_: &T| {
        place += 1;
        place.is_multiple_of(2)
    };
    all.map(|some| {
        some.retain(&mut keep);
        some.len()
    })
    .sum()
}

impl Frame {
    /// What was counted until then.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The details that came before it.
    pub fn drops(&self) -> impl Iterator<Item = Drop<'_>> {
        self.drops.iter().map(Kept::drop)
    }

    /// The events of TCP's that came before it.
    pub fn events(&self) -> &[TcpEvent] {
        &self.events
    }

    /// Both as one.
    fn after(mut self, before: Self) -> Self {
        let Self { summary, mut drops, mut events } = before;
        events.append(&mut self.events);
        self.summary.tcp = match (summary.tcp, self.summary.tcp) {
            (Some(before), Some(now)) => Some(Arc::new(now.after(&before))),
            (before, now) => now.or(before),
        };
        self.summary.interval += summary.interval;
        self.summary.accounts = self.summary.accounts.plus(&summary.accounts);
        let counted: HashMap<_, _> = summary.rows.iter().map(|row| (row.count_key(), row.counts)).collect();
        for row in &mut self.summary.rows {
            row.counts += counted.get(&row.count_key()).copied().unwrap_or_default();
        }
        drops.append(&mut self.drops);
        Self { drops, events, ..self }
    }
}

impl Kept {
    fn drop(&self) -> Drop<'_> {
        Drop {
            time: self.time,
            weight: self.weight,
            site: &self.place.site,
            reason: self.place.reason.as_deref(),
            cpu: self.cpu,
            device: self.place.device.as_deref(),
            netns: self.place.netns.as_deref(),
            packet: &self.packet,
            header: Header::default(),
            context: Context { owner: self.owner.as_ref(), stack: &self.stack, ..Context::default() },
        }
    }
}
