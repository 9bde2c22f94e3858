//! Drops counted over a time, without details: the program attached, its counters named at the end.

use std::path::Path;
use std::time::Instant;

use super::lookups::Lookups;
use crate::aggregate::{Aggregator, By, Now};
use crate::decode::{accounts, counts};
use crate::enrich::{Enricher, Named};
use crate::kernel::identity::Identity;
use crate::model::{Summary, Timestamp};
use crate::probe::{Options, Probe, ProbeError, Rate, RingSize};

/// No detail will come: a page a CPU.
const NO_RING: RingSize = RingSize { each: 4096, together: u32::MAX };

/// The program, counting.
pub struct DropCount {
    probe: Probe,
    enricher: Enricher,
    lookups: Lookups,
    started: Instant,
}

impl DropCount {
    /// Attaches it; kallsyms is read in a thread meanwhile.
    pub fn start(identity: Identity) -> Result<Self, ProbeError> {
        let options = Options { rate: Rate::PerSecond(0), snaplen: 0, ring: NO_RING, ..Options::default() };
        let probe = Probe::attach(&(&identity).into(), &options)?;
        let mut enricher = Enricher::new(Path::new("/"), identity.reasons);
        let lookups = Lookups::start(&mut enricher, None);
        Ok(Self { probe, enricher, lookups, started: Instant::now() })
    }

    /// Detaches it: what was counted until then, by site, reason, device, namespace and protocol.
    pub fn end(mut self) -> Result<Summary, ProbeError> {
        self.probe.detach();
        let elapsed = self.started.elapsed();
        let counters = self.probe.counts.counters()?;
        let accounts = accounts(&self.probe.counts.accounts(), self.probe.recursion_misses()?);
        self.lookups.wait(&mut self.enricher);
        let now = Now { time: Timestamp::now(), elapsed, accounts };
        let mut names = Named { enricher: &mut self.enricher, beyond: &mut () };
        Ok(Aggregator::new(By::default()).end(now, counters.iter().map(counts), &mut names))
    }
}
