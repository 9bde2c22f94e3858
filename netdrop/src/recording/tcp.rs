//! What lines tell of TCP's own events: the totals of summaries, and round-trip times.

use std::sync::Arc;
use std::time::Duration;

use netdrop_common::tcp::retransmit::FAILED;
use netdrop_common::tcp::{TRANSITION_BUCKETS, TcpTotal, kind, rtt_bucket};
use serde::Deserialize;

use super::error::LineError;
use super::line::{address, endpoint, owner, workload, wrong};
use super::object::{Device, Endpoint, Netns, Owner, Text};
use crate::model;
use crate::model::Timestamp;
use crate::model::tcp::{
    CloseKind, Connection, Counted, Histogram, HostCounts, KnownBy, Retransmit, RttRow, RttWhat, TcpAccounts,
    TcpCount, TcpEvent, TcpKind, TcpOwner, TcpSummary, TransitionRow, WITHOUT_REASON, state_name,
};

/// `"tcp":{…}` of a summary; of an event it is something else, of which nothing is read.
#[derive(Debug, Deserialize)]
pub struct Totals<'a> {
    accounts: Option<Accounts>,
    #[serde(borrow, default)]
    counts: Vec<Count<'a>>,
    #[serde(borrow, default)]
    transitions: Vec<Transition<'a>>,
    #[serde(borrow, default)]
    closes: Vec<Close<'a>>,
    host: Option<Host>,
    existed: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Accounts {
    seen: u64,
    detailed: u64,
    sampled_out: u64,
    ring_full: u64,
    filtered: u64,
    untracked: u64,
    rtt_seen: u64,
    rtt_others: u64,
    recursion_misses: u64,
}

#[derive(Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names of the line's members")]
struct Count<'a> {
    #[serde(borrow)]
    event: Text<'a>,
    #[serde(borrow)]
    detail: Option<Text<'a>>,
    #[serde(default)]
    failed: bool,
    count: u64,
    #[serde(default)]
    segments: u64,
    #[serde(default)]
    bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Transition<'a> {
    #[serde(borrow)]
    from: Text<'a>,
    #[serde(borrow)]
    to: Text<'a>,
    count: u64,
    #[serde(default)]
    spent_us: u64,
    #[serde(default)]
    spent: Vec<[u64; 3]>,
}

#[derive(Debug, Deserialize)]
struct Close<'a> {
    #[serde(borrow)]
    close: Text<'a>,
    count: u64,
}

#[derive(Debug, Deserialize)]
struct Host {
    segments_out: u64,
    segments_retransmitted: u64,
    segments_in: u64,
    resets_out: u64,
    established_resets: u64,
    active_opens: u64,
    passive_opens: u64,
    attempt_fails: u64,
}

/// `tcp.rtt`.
#[derive(Debug, Deserialize)]
struct Rtt<'a> {
    #[serde(borrow)]
    of: Text<'a>,
    #[serde(borrow)]
    what: Text<'a>,
    #[serde(default)]
    other: bool,
    #[serde(borrow)]
    local: Option<Endpoint<'a>>,
    #[serde(borrow)]
    remote: Option<Endpoint<'a>>,
    #[serde(borrow)]
    gateway: Option<Text<'a>>,
    #[serde(borrow)]
    device: Option<Device<'a>>,
    #[serde(borrow)]
    netns: Option<Netns<'a>>,
    #[serde(borrow)]
    owner: Option<Owner<'a>>,
    sum_us: u64,
    buckets: Vec<[u64; 3]>,
}

/// Whose a line of round-trip times is.
#[derive(Debug, Clone)]
pub struct RttLine {
    /// Whether it is of the whole run, or of the interval that a summary ends.
    pub whole: bool,
    /// The row; its interval and its total are the same.
    pub row: RttRow,
}

/// A line of the kind `tcp.rtt`.
pub fn rtt(line: &[u8]) -> Result<RttLine, LineError> {
    let rtt: Rtt<'_> = serde_json::from_slice(line)?;
    let what = match &*rtt.what.0 {
        "smoothed" => RttWhat::Smoothed,
        "sample" => RttWhat::Sample,
        _ => return Err(wrong("what", &rtt.what)),
    };
    let mut times = Histogram { sum_us: rtt.sum_us, ..Histogram::default() };
    for [from, _, count] in rtt.buckets {
        let bucket = rtt_bucket(u32::try_from(from).unwrap_or(u32::MAX));
        times.buckets[bucket] = times.buckets[bucket].saturating_add(count);
    }
    let port = |side: &Option<Endpoint<'_>>| {
        side.as_ref().filter(|side| side.address.is_none()).and_then(|side| side.port)
    };
    let row = RttRow {
        what,
        others: rtt.other,
        local_port: port(&rtt.local),
        local: endpoint(rtt.local.as_ref())?,
        remote_port: port(&rtt.remote),
        remote: endpoint(rtt.remote.as_ref())?,
        gateway: rtt.gateway.as_ref().map(address).transpose()?,
        device: rtt.device.map(device),
        netns: rtt.netns.map(netns).transpose()?,
        owner: rtt.owner.map(owner).transpose()?.map(Arc::new),
        interval: times.clone(),
        total: times,
    };
    Ok(RttLine { whole: rtt.of.0 == "run", row })
}

/// `tcp.retransmit` and `tcp.reset`: what they have in common, and what tells them apart.
#[derive(Debug, Deserialize)]
struct Event<'a> {
    weight: u32,
    #[serde(borrow, rename = "type")]
    by: Option<Text<'a>>,
    #[serde(borrow)]
    direction: Option<Text<'a>>,
    #[serde(borrow)]
    reason: Option<Text<'a>>,
    #[serde(borrow)]
    state: Option<Text<'a>>,
    #[serde(borrow)]
    failed: Option<Text<'a>>,
    #[serde(borrow)]
    local: Option<Endpoint<'a>>,
    #[serde(borrow)]
    remote: Option<Endpoint<'a>>,
    #[serde(default)]
    v4_mapped: bool,
    cpu: u16,
    segment: Option<Segment>,
    #[serde(default)]
    attempt: u32,
    #[serde(borrow)]
    device: Option<Device<'a>>,
    #[serde(borrow)]
    netns: Option<Netns<'a>>,
    #[serde(borrow)]
    owner: Option<Owner<'a>>,
    #[serde(borrow)]
    owner_known_by: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct Segment {
    sequence: u32,
    #[serde(default)]
    length: u32,
    #[serde(default)]
    segments: u32,
}

/// A line of one of these kinds; nothing of a segment that could not be sent. Socket, connection and TCP's numbers are left out.
pub fn event(time: Timestamp, line: &[u8]) -> Result<Option<TcpEvent>, LineError> {
    let mut event: Event<'_> = serde_json::from_slice(line)?;
    if event.failed.is_some() {
        return Ok(None);
    }
    let kind = event.kind()?;
    let by = event.owner_known_by.as_ref().map(known_by).transpose()?;
    let owner = event.owner.take().zip(by);
    let owner =
        owner.map(|(whose, by)| Ok::<_, LineError>(TcpOwner { owner: Arc::new(self::owner(whose)?), by }));
    Ok(Some(TcpEvent {
        time,
        weight: event.weight,
        kind,
        local: endpoint(event.local.as_ref())?,
        remote: endpoint(event.remote.as_ref())?,
        v4_mapped: event.v4_mapped,
        netns: event.netns.map(netns).transpose()?,
        device: event.device.map(device),
        socket: None,
        owner: owner.transpose()?,
        connection: Connection::default(),
        numbers: None,
        cpu: event.cpu,
    }))
}

impl Event<'_> {
    fn kind(&self) -> Result<TcpKind, LineError> {
        let state = || self.state.as_ref().map(|name| self::state("state", name)).transpose();
        if let Some(by) = &self.by {
            let by = Retransmit::called(&by.0).ok_or_else(|| wrong("type", by))?;
            let segment = self.segment.as_ref().map(Segment::read).unwrap_or_default();
            let state = state()?.unwrap_or_default();
            return Ok(TcpKind::Retransmit { by, segment, attempt: self.attempt, state, failed: None });
        }
        let direction = self.direction.as_ref().ok_or(LineError::Missing("direction"))?;
        match &*direction.0 {
            "sent" => {
                let reason = self.reason.as_ref().map(|reason| Arc::from(&*reason.0));
                Ok(TcpKind::ResetSent { reason, state: state()?, answers: None })
            }
            "received" => Ok(TcpKind::ResetReceived { state: state()?.unwrap_or_default() }),
            _ => Err(wrong("direction", direction)),
        }
    }
}

impl Segment {
    fn read(&self) -> model::tcp::Segment {
        let Self { sequence, length, segments } = *self;
        model::tcp::Segment { sequence, length, segments, ..model::tcp::Segment::default() }
    }
}

fn known_by(name: &Text<'_>) -> Result<KnownBy, LineError> {
    let all = [KnownBy::Socket, KnownBy::Connect, KnownBy::Close, KnownBy::Listener];
    all.into_iter().find(|by| by.as_str() == name.0).ok_or_else(|| wrong("owner_known_by", name))
}

fn device(device: Device<'_>) -> Arc<model::Device> {
    let name = device.name.map(|name| name.0.into_owned());
    Arc::new(model::Device { index: device.index, name })
}

fn netns(netns: Netns<'_>) -> Result<Arc<model::Netns>, LineError> {
    let Netns { inode, name, container, container_name, pod, pod_name, unit } = netns;
    let workload = Arc::new(workload([container, container_name, pod, pod_name, unit])?);
    Ok(Arc::new(model::Netns { inode, name: name.map(|name| name.0.into_owned()), workload }))
}

impl Totals<'_> {
    /// In the model's terms; absent where it isn't a summary's.
    pub fn read(self) -> Result<Option<TcpSummary>, LineError> {
        let Some(accounts) = self.accounts else { return Ok(None) };
        let accounts = accounts.read();
        let host = self.host.map(Host::read).unwrap_or_default();
        let mut tcp = TcpSummary {
            accounts,
            total: accounts,
            host,
            host_total: host,
            existed: self.existed,
            ..TcpSummary::default()
        };
        for count in self.counts {
            let count = count.read(&mut tcp)?;
            tcp.counts.push(count);
        }
        for close in self.closes {
            let called = |kind: &CloseKind| kind.as_str() == close.close.0;
            let kind = CloseKind::ALL.into_iter().find(called).ok_or_else(|| wrong("close", &close.close))?;
            tcp.closes.count(kind, close.count);
        }
        tcp.closes_total = tcp.closes;
        tcp.transitions = self.transitions.into_iter().map(Transition::read).collect::<Result<_, _>>()?;
        Ok(Some(tcp))
    }
}

impl Accounts {
    fn read(self) -> TcpAccounts {
        TcpAccounts {
            seen: self.seen,
            detailed: self.detailed,
            sampled_out: self.sampled_out,
            ring_full: self.ring_full,
            filtered: self.filtered,
            untracked: self.untracked,
            rtt_seen: self.rtt_seen,
            rtt_others: self.rtt_others,
            recursion_misses: self.recursion_misses,
        }
    }
}

impl Host {
    fn read(self) -> HostCounts {
        HostCounts {
            segments_out: self.segments_out,
            segments_retransmitted: self.segments_retransmitted,
            segments_in: self.segments_in,
            resets_out: self.resets_out,
            established_resets: self.established_resets,
            active_opens: self.active_opens,
            passive_opens: self.passive_opens,
            attempt_fails: self.attempt_fails,
        }
    }
}

impl Count<'_> {
    /// `tcp` learns the reasons of resets.
    fn read(self, tcp: &mut TcpSummary) -> Result<TcpCount, LineError> {
        let event = Counted::called(&self.event.0).ok_or_else(|| wrong("event", &self.event))?;
        let state = |detail: Option<Text<'_>>| detail.map_or(Ok(0), |name| self::state("detail", &name));
        let (kind, detail) = match event {
            Counted::Retransmit => {
                let by = self.detail.as_ref().and_then(|detail| Retransmit::called(&detail.0));
                let (kind, detail) = by.unwrap_or(Retransmit::Other).counted_as();
                (kind, if self.failed { detail | FAILED } else { detail })
            }
            Counted::ResetSent => {
                let detail = self.detail.map_or(WITHOUT_REASON, |reason| tcp.reset_detail(&reason.0));
                (kind::RESET_SENT, detail)
            }
            Counted::ResetReceived => (kind::RESET_RECEIVED, state(self.detail)?),
            Counted::State => (kind::STATE, state(self.detail)?),
            Counted::Close => (kind::CLOSE, state(self.detail)?),
        };
        let Self { count: events, segments, bytes, .. } = self;
        let counts = TcpTotal { events, segments, bytes, ..TcpTotal::default() };
        Ok(TcpCount { kind, detail, counts, total: counts })
    }
}

impl Transition<'_> {
    fn read(self) -> Result<TransitionRow, LineError> {
        let mut spent = [0; TRANSITION_BUCKETS];
        for [_, to, count] in self.spent {
            // Bucket n ends at 2^n µs.
            let bucket = to.checked_ilog2().unwrap_or(0) as usize;
            spent[bucket.min(TRANSITION_BUCKETS - 1)] = count;
        }
        Ok(TransitionRow {
            from: state("from", &self.from)?,
            to: state("to", &self.to)?,
            count: self.count,
            total: self.count,
            spent,
            spent_sum: Duration::from_micros(self.spent_us),
        })
    }
}

/// A state's number.
fn state(member: &'static str, name: &Text<'_>) -> Result<u8, LineError> {
    let numbered = || name.0.strip_prefix("state-")?.parse().ok();
    let known = (0..=u8::MAX).find(|state| state_name(*state) == Some(&*name.0));
    known.or_else(numbered).ok_or_else(|| wrong(member, name))
}

/// What a run's lines have told of TCP so far.
#[derive(Debug, Default)]
pub struct Told {
    tcp: Option<TcpSummary>,
    /// Round-trip times whose summary is still to come.
    rtt: Vec<RttLine>,
}

impl Told {
    /// The line comes before its summary.
    pub fn rtt(&mut self, line: RttLine) {
        self.rtt.push(line);
    }

    /// The summary that they belong to is of no interest.
    pub fn pass(&mut self) {
        self.rtt.clear();
    }

    /// An interval's counts, which it gives back with its round-trip times.
    pub fn summary(&mut self, tcp: Option<&TcpSummary>) -> Option<Arc<TcpSummary>> {
        let rtt = self.rtt.drain(..).filter(|line| !line.whole).map(|line| line.row).collect();
        let interval = TcpSummary { rtt, ..tcp?.clone() };
        self.tcp.get_or_insert_default().add(&interval);
        Some(Arc::new(interval))
    }

    /// The end says it all.
    pub fn end(&mut self, tcp: Option<&TcpSummary>) {
        let rtt = self.rtt.drain(..).filter(|line| line.whole).map(|line| line.row).collect();
        self.tcp = tcp.map(|tcp| TcpSummary { rtt, ..tcp.clone() });
    }

    /// What the run came to.
    pub fn finish(self) -> Option<Arc<TcpSummary>> {
        self.tcp.map(Arc::new)
    }
}
