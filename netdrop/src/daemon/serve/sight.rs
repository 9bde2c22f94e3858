//! An attached program, and all that turns what it sees into drops.

use netdrop_common::Counter;
use tracing::warn;

use super::tally::Reading;
use crate::daemon::RunError;
use crate::daemon::TcpSource;
use crate::daemon::events::Events;
use crate::daemon::follow::Follower;
use crate::daemon::lookups::Lookups;
use crate::daemon::surroundings::Surroundings;
use crate::decode::{accounts, counts, decode};
use crate::enrich::{Enricher, Named};
use crate::export::metrics::About;
use crate::kernel::debug_info::DebugInfo;
use crate::model::Drop;
use crate::model::tcp::{TcpEvent, TcpSummary};
use crate::owner::Owners;
use crate::probe::{Log, Probe, ProbeError};

/// Drops that are shown at one look, so that all else has its turn.
const MOST: usize = 4096;

/// The attached program, as the command line gives it.
pub struct Attached {
    /// The program.
    pub probe: Probe,
    /// The names.
    pub enricher: Enricher,
    /// Who has which socket, where that is asked for.
    pub owners: Option<Box<Owners>>,
    /// What keeps the filter up to date, where that is needed.
    pub follower: Option<Follower>,
    /// Where source lines come from.
    pub debug_info: Option<DebugInfo>,
    /// What the program logs.
    pub log: Option<Log>,
    /// What there is to say of it.
    pub about: About,
    /// TCP's programs, where they are asked for.
    pub tcp: Option<TcpSource>,
}

/// The same, being read.
pub struct Sight {
    pub probe: Probe,
    pub enricher: Enricher,
    events: Events,
    lookups: Lookups,
    context: Surroundings,
    _follower: Option<Follower>,
    _log: Option<Log>,
    tcp: Option<TcpSource>,
    /// Events that could not be decoded.
    pub undecodable: u64,
}

impl Sight {
    pub fn new(attached: Attached) -> Result<(Self, About), RunError> {
        let Attached { mut probe, mut enricher, owners, mut follower, debug_info, log, about, mut tcp } =
            attached;
        if let Some(tcp) = &mut tcp {
            tcp.start().map_err(|error| RunError::Wait { what: "the filter's owners", error })?;
        }
        if let Some(follower) = &mut follower {
            follower.start().map_err(|error| RunError::Wait { what: "the filter's owners", error })?;
        }
        let rings = probe.take_rings().map_err(|error| RunError::Wait { what: "drops", error })?;
        if let Some(traps) = probe.take_traps() {
            enricher.with_traps(traps);
        }
        let lookups = Lookups::start(&mut enricher, debug_info);
        let context = Surroundings::new(owners, probe.take_stacks());
        let events = Events::new(rings);
        let sight = Self {
            probe,
            enricher,
            events,
            lookups,
            context,
            _follower: follower,
            _log: log,
            tcp,
            undecodable: 0,
        };
        Ok((sight, about))
    }

    /// Gives every drop that is in the rings to `see`, until one must wait for its name; tells how many there were.
    pub fn look(&mut self, mut see: impl FnMut(&Drop<'_>)) -> usize {
        self.lookups.poll(&mut self.enricher);
        if self.lookups.is_reading() {
            self.events.keep();
            return 0;
        }
        self.enricher.set_clock();
        let mut seen = 0;
        while seen < MOST
            && let Some(bytes) = self.events.next()
        {
            seen += 1;
            match decode(bytes) {
                Ok(raw) => {
                    let site = raw.key.site;
                    if self.enricher.enrich(&raw, &mut self.context, &mut see).is_none() {
                        let bytes = bytes.to_vec();
                        self.events.put_back(&bytes);
                        self.lookups.look_up(site, &self.enricher);
                        return seen - 1;
                    }
                }
                Err(error) => {
                    if self.undecodable == 0 {
                        warn!("{error}");
                    }
                    self.undecodable += 1;
                }
            }
        }
        if seen > 0 && self.context.refresh() {
            self.enricher.turn();
        }
        seen
    }

    /// Gives every event of TCP's to `see`; tells how many there were.
    pub fn look_at_tcp(&mut self, mut see: impl FnMut(&TcpEvent)) -> usize {
        let Self { tcp: Some(tcp), enricher, context, .. } = self else { return 0 };
        let mut seen = 0;
        while seen < MOST && tcp.next(enricher, context, &mut see) {
            seen += 1;
        }
        seen
    }

    /// What was counted of TCP since the last time, where it is asked for.
    pub fn tcp(&mut self) -> Result<Option<TcpSummary>, ProbeError> {
        let Self { tcp: Some(tcp), enricher, context, .. } = self else { return Ok(None) };
        tcp.interval(&mut Named { enricher, beyond: context }).map(Some)
    }

    /// Takes TCP's programs off: what they count is final then.
    pub fn detach_tcp(&mut self) {
        if let Some(tcp) = &mut self.tcp {
            tcp.detach();
        }
    }

    /// Takes what is in the rings and shows it to nobody.
    pub fn skip(&mut self) {
        while self.events.next().is_some() {}
    }

    /// Whether names are being read for which drops or a summary wait.
    pub fn waits_for_names(&self) -> bool {
        self.lookups.is_reading()
    }

    /// Whether a summary must wait for names of what was counted.
    pub fn wants_names(&mut self, counters: &[Counter]) -> bool {
        for counter in counters {
            self.lookups.look_up(counter.key.site, &self.enricher);
        }
        self.lookups.is_reading()
    }

    /// Waits for the names of what was counted, at the end.
    pub fn wait_for_names(&mut self) {
        self.lookups.wait(&mut self.enricher);
    }

    /// What the program has counted.
    pub fn reading(&self, counters: &[Counter]) -> Result<Reading, ProbeError> {
        let accounts = accounts(&self.probe.counts.accounts(), self.probe.recursion_misses()?);
        Ok(Reading::new(counters.iter().map(counts), accounts))
    }

    /// Who knows the names of rows.
    pub fn names(&mut self) -> Named<'_, Surroundings> {
        self.enricher.turn();
        self.context.let_go();
        Named { enricher: &mut self.enricher, beyond: &mut self.context }
    }
}
