//! Drops counted over a time, with a packet of each kind as an example: the program attached, its counters named at the end.

use std::io;
use std::path::Path;
use std::time::Instant;

use tracing::warn;

use super::lookups::Lookups;
use crate::aggregate::{Aggregator, By, Now};
use crate::decode::{accounts, counts, decode};
use crate::enrich::{Enricher, Named};
use crate::kernel::identity::Identity;
use crate::model::{Summary, Timestamp};
use crate::probe::{Options, Probe, ProbeError, Rate, RingSize};

/// Examples: one of each counter a second, the latest is shown. They are read at the end; what found no room is counted all the same.
const EXAMPLES: Rate = Rate::PerSecond(1);
const RING: RingSize = RingSize { each: 64 << 10, together: 4 << 20 };

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
        let options = Options { rate: EXAMPLES, ring: RING, ..Options::default() };
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
        let mut aggregator = Aggregator::new(By::default());
        if let Err(error) = self.record_examples(&mut aggregator) {
            // What was counted is exact without them.
            warn!("drops have no examples: the ring buffers can't be read: {error}");
        }
        let now = Now { time: Timestamp::now(), elapsed, accounts };
        let mut names = Named { enricher: &mut self.enricher, beyond: &mut () };
        Ok(aggregator.end(now, counters.iter().map(counts), &mut names))
    }

    fn record_examples(&mut self, aggregator: &mut Aggregator) -> io::Result<()> {
        let mut rings = self.probe.take_rings()?;
        while let Some(bytes) = rings.next() {
            // A record that can't be read is no example; the packet is counted.
            let Ok(raw) = decode(bytes) else { continue };
            // Where symbols can't be read, drops go without a name, and without an example.
            let _ = self.enricher.enrich(&raw, &mut (), |drop| aggregator.record(drop));
        }
        Ok(())
    }
}
