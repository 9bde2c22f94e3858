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
}

impl TcpCapture {
    /// Attaches them. Of a filter for drops, what only drops have (reason, class, function, protocol) is left out.
    pub fn attach(self, filter: &Filtered, reasons: &Reasons) -> anyhow::Result<TcpSource> {
        let kernel = TcpKernel::read(Path::new("/")).map_err(Exit::from)?;
        let compiled = compiled(filter, reasons)?;
        let mut probe = TcpProbe::attach(&kernel, &self.options(&compiled)).map_err(Exit::from)?;
        let follow = |map| Follower::new(Path::new("/"), compiled.targets, &compiled.owned, map);
        let mut follower = probe.take_owners().map(follow);
        if let Some(follower) = &mut follower {
            follower.start().context("can't start the thread that keeps the filter up to date")?;
        }
        let source = TcpSource::new(probe, kernel.reset_reasons, self.story.rtt_by, follower)?;
        Ok(if self.story.queues { source.with_queues(queues(&filter.netns.only)?) } else { source })
    }

    fn options(self, compiled: &Compiled) -> TcpOptions {
        let wanted = self.story;
        let rtt = TcpRtt {
            smoothed: wanted.rtt_smoothed,
            samples: wanted.rtt_samples,
            by: wanted.rtt_by,
            histograms: HISTOGRAMS,
        };
        TcpOptions {
            attach: self.attach,
            rate: self.rate,
            kinds: TcpKinds {
                retransmits: wanted.retransmits,
                resets: wanted.resets,
                states: wanted.states,
                closes: wanted.closes,
                transitions: wanted.transitions,
            },
            rtt: (rtt.smoothed || rtt.samples).then_some(rtt),
            filter: compiled.filter.clone(),
            owners: compiled.owned.entries.clone(),
            ..TcpOptions::default()
        }
    }
}

/// Looks at listeners' queues in the namespaces that are named, else in netdrop's own.
fn queues(netns: &[String]) -> anyhow::Result<TcpQueueWatch> {
    let mut namespaces = Namespaces::new("/");
    namespaces.refresh();
    TcpQueueWatch::start(Looked::named(netns, &namespaces))
        .context("can't start the thread that looks at listeners' queues")
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
