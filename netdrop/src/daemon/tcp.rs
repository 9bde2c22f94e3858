//! TCP's programs as the loop sees them: events one by one, counts once an interval.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::follow::Follower;
use super::surroundings::Surroundings;
use super::tcp_queues::TcpQueueWatch;
use crate::aggregate::Names as _;
use crate::counters::snmp;
use crate::enrich::{Beyond as _, Enricher, Named};
use crate::model::tcp::{Closes, TcpAccounts, TcpEvent, TcpQueues, TcpSummary, TcpTotal, WITHOUT_REASON};
use crate::model::{Device, Netns, Owner, Socket, SocketKind, Whose};
use crate::probe::ProbeError;
use crate::probe::tcp::{TcpEvents, TcpKindTotal, TcpProbe};
use crate::tcp::tally::{Reading, RttNames, Tally};

/// The programs with what is kept of them.
pub struct TcpSource {
    probe: TcpProbe,
    events: TcpEvents,
    reasons: BTreeMap<u32, Arc<str>>,
    /// The same by number, for counts.
    reset_reasons: Arc<[Arc<str>]>,
    /// How connections ended.
    closes: Closes,
    tally: Tally,
    root: PathBuf,
    /// Looks at listeners' queues and ports in use, where that is asked for.
    queues: Option<TcpQueueWatch>,
    /// Keeps the filter up to date, where that is needed.
    follower: Option<Follower>,
    /// Details that nobody will see.
    given_up: u64,
}

impl TcpSource {
    /// The attached programs; `reasons` are the kernel's names of `enum sk_rst_reason`, `rtt_by` is what round-trip times are told apart by.
    ///
    /// # Errors
    /// When their events can't be read.
    pub fn new(
        mut probe: TcpProbe,
        reasons: BTreeMap<u32, Arc<str>>,
        rtt_by: u32,
    ) -> Result<Self, ProbeError> {
        let root = Path::new("/");
        let tally = Tally::new(snmp::read(root).unwrap_or_default(), snmp::connections(root), rtt_by);
        let events = probe.take_events()?;
        let reset_reasons = by_number(&reasons);
        Ok(Self {
            probe,
            events,
            reasons,
            reset_reasons,
            closes: Closes::default(),
            tally,
            root: root.into(),
            queues: None,
            follower: None,
            given_up: 0,
        })
    }

    /// The same, with what keeps its filter up to date and what looks at queues, where they are asked for.
    #[must_use]
    pub fn with(self, follower: Option<Follower>, queues: Option<TcpQueueWatch>) -> Self {
        Self { queues, follower, ..self }
    }

    /// Starts the threads that it needs, where they weren't yet: a daemon's come after its sandbox.
    ///
    /// # Errors
    /// When one can't be started.
    pub fn start(&mut self) -> std::io::Result<()> {
        self.follower.as_mut().map_or(Ok(()), Follower::start)
    }

    /// Takes the next event; false when there is none.
    pub(super) fn next(
        &mut self,
        enricher: &mut Enricher,
        beyond: &mut Surroundings,
        take: impl FnOnce(&TcpEvent),
    ) -> bool {
        let Some(raw) = self.events.next() else { return false };
        // A kind that isn't known can't be met: object and command are one binary.
        if let Some(event) = enricher.tcp(&raw, |number| self.reasons.get(&number).cloned(), beyond) {
            self.closes.record(&event);
            take(&event);
        }
        true
    }

    /// What was counted since the last time.
    pub(super) fn interval(&mut self, names: &mut Named<'_, Surroundings>) -> Result<TcpSummary, ProbeError> {
        let now = self.read()?;
        let mut names = Rows(names);
        let summary = self.tally.interval(now, &mut names);
        Ok(TcpSummary { queues: self.queues(&mut names), ..summary })
    }

    /// What was counted in all.
    pub(super) fn whole(&mut self, names: &mut Named<'_, Surroundings>) -> Result<TcpSummary, ProbeError> {
        let now = self.read()?;
        let mut names = Rows(names);
        let summary = self.tally.whole(&now, &mut names);
        Ok(TcpSummary { queues: self.queues(&mut names), ..summary })
    }

    /// Takes the programs off: counts are final then.
    pub(super) fn detach(&mut self) {
        self.probe.detach();
    }

    /// Details that nobody will see are accounted as sampled out.
    pub(super) fn give_up_unread(&mut self) {
        while self.events.next().is_some() {
            self.given_up += 1;
        }
    }

    fn queues(&self, names: &mut Rows<'_, '_>) -> Option<Arc<TcpQueues>> {
        let mut seen = self.queues.as_ref()?.read();
        // Whose they are matters where something waited.
        for row in seen.listeners.iter_mut().filter(|row| row.accept.most > 0 || row.syn.most > 0) {
            row.owner = names.owner(row.inode.into(), 0);
        }
        Some(Arc::new(seen))
    }

    fn read(&self) -> Result<Reading, ProbeError> {
        let counted = self.probe.accounts();
        Ok(Reading {
            accounts: TcpAccounts {
                seen: counted.seen,
                detailed: counted.detailed - self.given_up,
                sampled_out: counted.sampled_out + self.given_up,
                ring_full: counted.ring_full,
                filtered: counted.filtered,
                untracked: counted.untracked,
                rtt_seen: counted.rtt_seen,
                rtt_others: counted.rtt_others,
                recursion_misses: self.probe.recursion_misses()?,
            },
            totals: self.probe.totals().into_iter().map(total).collect(),
            transitions: self
                .probe
                .transitions()?
                .into_iter()
                .map(|one| ((one.from, one.to), one.total))
                .collect(),
            rtt: self.probe.rtt()?.into_iter().map(|one| (one.key, one.histogram)).collect(),
            host: snmp::read(&self.root).unwrap_or_default(),
            closes: self.closes,
            reset_reasons: Arc::clone(&self.reset_reasons),
        })
    }
}

/// Those that a detail can tell; an empty name where there is none.
fn by_number(reasons: &BTreeMap<u32, Arc<str>>) -> Arc<[Arc<str>]> {
    let told = 0..u32::from(WITHOUT_REASON);
    let last = reasons.keys().copied().filter(|number| told.contains(number)).max();
    let numbers = 0..last.map_or(0, |last| last + 1);
    numbers.map(|number| reasons.get(&number).cloned().unwrap_or_else(|| "".into())).collect()
}

fn total(counted: TcpKindTotal) -> ((u8, u8), TcpTotal) {
    let TcpKindTotal { kind, detail, events, bytes, segments } = counted;
    ((kind, detail), TcpTotal { events, bytes, segments, ..TcpTotal::default() })
}

/// Names of what round-trip times are told apart by.
struct Rows<'a, 'n>(&'a mut Named<'n, Surroundings>);

impl RttNames for Rows<'_, '_> {
    fn device(&mut self, netns: u32, ifindex: u32) -> Arc<Device> {
        self.0.device(netns, ifindex)
    }

    fn netns(&mut self, inode: u32) -> Arc<Netns> {
        self.0.netns(inode)
    }

    fn owner(&mut self, inode: u64, cgroup: u64) -> Option<Arc<Owner>> {
        let known = |number: u64| (number != 0).then_some(number);
        let socket = Socket {
            whose: Whose::Packet,
            kind: SocketKind::Full,
            family: netdrop_common::AF_INET,
            protocol: 6,
            state: netdrop_common::tcp_state::ESTABLISHED,
            local: None,
            remote: None,
            queues: None,
            inode: known(inode),
            cookie: None,
            cgroup: known(cgroup),
        };
        self.0.beyond.of_tcp(Some(&socket), None).map(|owner| owner.owner)
    }
}
