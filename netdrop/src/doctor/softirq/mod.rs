//! The software interrupt: each CPU's backlog, and how much it may do at once.

mod backlog;
mod flow_limit;
mod squeeze;

use super::{Check, Part, Place, Unread};
use crate::counters::softnet::{Cpu, Softnet, parse};

pub const CHECKS: &[Check] = &[backlog::CHECK, flow_limit::CHECK, squeeze::CHECK];

impl Part for Softnet {
    const FROM: &'static str = "/proc/net/softnet_stat";

    fn read(place: &Place) -> Result<Self, Unread> {
        parse(&place.net("softnet_stat")?).map_err(|error| Unread::new(Self::FROM, error))
    }
}

/// Each CPU as it was at both ends; one that came meanwhile had counted nothing.
fn pairs<'s>((before, after): (&'s Softnet, &'s Softnet)) -> impl Iterator<Item = (Cpu, Cpu)> + 's {
    after.0.iter().map(|cpu| (before.cpu(cpu.cpu).copied().unwrap_or_default(), *cpu))
}
