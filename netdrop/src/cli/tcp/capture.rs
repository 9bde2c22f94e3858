//! From what is wanted of TCP to the attached programs: for `netdrop tcp`, and for `--tcp` of other commands.

use std::path::Path;

use anyhow::Context as _;

use super::super::Exit;
use crate::daemon::{Follower, Looked, TcpQueueWatch, TcpSource};
use crate::enrich::KernelResolver;
use crate::filter::{Choice, Compiled, Wanted as Filtered, compile};
use crate::kernel::netns::Namespaces;
use crate::kernel::reasons::Reasons;
use crate::kernel::tcp::TcpKernel;
use crate::probe::tcp::{TcpKinds, TcpOptions, TcpProbe, TcpRtt};
use crate::probe::{Attach, Rate};
use crate::tcp::Wanted;

/// Different histograms of round-trip times, of all CPUs together: 4 MiB of the kernel's memory.
const HISTOGRAMS: u32 = 4096;

/// What is wanted of the programs.
#[derive(Debug, Clone, Copy)]
pub struct TcpCapture {
    /// Which events and counts.
    pub story: Wanted,
    /// How many details.
    pub rate: Rate,
    /// How to attach.
    pub attach: Attach,
    /// How many connections can be followed at once; absent for as many as usual.
    pub connections: Option<u32>,
    /// Whether threads are started by [`TcpSource::start`], once a sandbox is entered.
    pub deferred: bool,
}

impl TcpCapture {
    /// Attaches them. Of a filter for drops, what only drops have (reason, class, function, protocol) is left out.
    pub fn attach(
        self,
        kernel: TcpKernel,
        filter: &Filtered,
        reasons: &Reasons,
    ) -> anyhow::Result<TcpSource> {
        let compiled = compiled(filter, reasons)?;
        let mut probe = TcpProbe::attach(&kernel, &self.options(&compiled)).map_err(Exit::from)?;
        let follow = |map| Follower::new(Path::new("/"), compiled.targets, &compiled.owned, map);
        let mut follower = probe.take_owners().map(follow);
        if let Some(follower) = follower.as_mut().filter(|_| !self.deferred) {
            follower.start().context("can't start the thread that keeps the filter up to date")?;
        }
        let queues = self.story.queues.then(|| TcpQueueWatch::start(looked_at(filter)));
        let queues = queues.transpose().context("can't start the thread that looks at queues")?;
        Ok(TcpSource::new(probe, kernel.reset_reasons, self.story.rtt_by)?.with(follower, queues))
    }

    fn options(self, compiled: &Compiled) -> TcpOptions {
        let Wanted {
            retransmits,
            resets,
            states,
            closes,
            transitions,
            rtt_smoothed,
            rtt_samples,
            rtt_by,
            ..
        } = self.story;
        let rtt = TcpRtt { smoothed: rtt_smoothed, samples: rtt_samples, by: rtt_by, histograms: HISTOGRAMS };
        let usual = TcpOptions::default();
        TcpOptions {
            attach: self.attach,
            connections: self.connections.unwrap_or(usual.connections),
            rate: self.rate,
            kinds: TcpKinds { retransmits, resets, states, closes, transitions },
            rtt: (rtt_smoothed || rtt_samples).then_some(rtt),
            filter: compiled.filter.clone(),
            owners: compiled.owned.entries.clone(),
            ..usual
        }
    }
}

/// The filter's numbers.
fn compiled(filter: &Filtered, reasons: &Reasons) -> Result<Compiled, Exit> {
    let filter = Filtered {
        reason: Choice::default(),
        class: Choice::default(),
        function: Choice::default(),
        protocol: Choice::default(),
        ..filter.clone()
    };
    Ok(compile(&filter, reasons, &mut KernelResolver::new("/"))?)
}

/// The namespaces whose queues are looked at: those that the filter names, else netdrop's own.
fn looked_at(filter: &Filtered) -> Vec<Looked> {
    let mut namespaces = Namespaces::new("/");
    namespaces.refresh();
    Looked::named(&filter.netns.only, &namespaces)
}
