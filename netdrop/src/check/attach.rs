//! Whether the program loads and attaches: it is tried, for a moment, and counts nothing.

use super::Finding;
use crate::kernel::features::Features;
use crate::kernel::identity::Identity;
use crate::probe::{Attach, Options, Probe, ProbeError, Rate};

/// Findings from a trial.
pub fn findings(features: &Features, identity: Option<&Identity>) -> Vec<Finding> {
    let Some(identity) = identity.filter(|_| features.capabilities.can_trace()) else {
        return vec![Finding::broken("attach", "not tried", "something above is missing")];
    };
    let options = Options { attach: Attach::TpBtf, rate: Rate::PerSecond(1), ..Options::default() };
    match Probe::attach(&identity.into(), &options) {
        Ok(_) => vec![
            Finding::good(
                "ring buffers",
                format!("{} KiB a CPU", options.ring.each >> 10),
                "details of drops can be streamed",
            ),
            Finding::good("attach", "tp_btf", "typed loads, checked by the verifier: the cheapest way"),
        ],
        Err(error @ ProbeError::Ring { .. }) => {
            vec![Finding::broken("ring buffers", "refused", error.to_string())]
        }
        Err(error) => vec![raw(identity, &options, &error)],
    }
}

fn raw(identity: &Identity, options: &Options, typed: &ProbeError) -> Finding {
    match Probe::attach(&identity.into(), &Options { attach: Attach::Raw, ..options.clone() }) {
        Ok(_) => Finding::limited(
            "attach",
            "raw tracepoint",
            format!("probe reads, which cost more, as tp_btf was refused: {typed}"),
        ),
        Err(error) => Finding::broken("attach", "refused", error.to_string()),
    }
}
