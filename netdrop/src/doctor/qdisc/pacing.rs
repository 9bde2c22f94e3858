//! `qdisc-pacing`: BBR sends at a pace, which `fq` keeps best (`net/ipv4/tcp_bbr.c`, its opening comment: without it TCP paces by timers of its
//! own). Hygiene: nothing is lost.

use crate::counters::qdiscs::Qdiscs;
use crate::doctor::parts::Sysctls;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};

pub const CHECK: Check = Check {
    name: "qdisc-pacing",
    area: Area::Qdisc,
    scope: Scope::Host,
    needs: &[source::<Qdiscs>(), source::<Sysctls>()],
    run,
};

const CONTROL: &str = "net.ipv4.tcp_congestion_control";
const DEFAULT: &str = "net.core.default_qdisc";
/// Those that keep the times that TCP wants.
const PACING: [&str; 2] = ["fq", "etf"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let (qdiscs, settings) = (window.now::<Qdiscs>()?, window.now::<Sysctls>()?);
    // Other namespaces don't see the default.
    let default = settings.get(DEFAULT).filter(|default| !PACING.contains(default));
    let (Some("bbr"), Some(default)) = (settings.get(CONTROL), default) else { return Ok(Vec::new()) };
    let busy = qdiscs.qdiscs.iter().filter(|queue| queue.counts.packets > 0);
    let [mut paces, mut others] = [false, false];
    for queue in busy {
        let is_pacing = PACING.contains(&queue.kind.as_str());
        paces |= is_pacing;
        others |= !is_pacing;
    }
    if paces || !others {
        return Ok(Vec::new());
    }
    Ok(vec![
        Finding::new(Severity::Info, "congestion control", "TCP uses BBR, and no device's queue keeps its pace.")
            .shown_by([
                Evidence::value(CONTROL, "bbr", Sysctls::FROM),
                Evidence::value(DEFAULT, default, Sysctls::FROM),
            ])
            .because(
                Certainty::Certain,
                "BBR works all the same: TCP then keeps the pace by a timer for each connection, which takes more of the CPU than fq does. This is hygiene; no packet is lost by it.",
            )
            .remedy(Remedy::host_sysctl(
                "Have devices that are made or set up from now on use fq.",
                &[(DEFAULT, &"fq")],
            ))
            .caution("It needs sch_fq in the kernel. Devices that are there keep their queue: `tc qdisc replace dev DEVICE root fq` changes one, and what waits in it is lost. On a router, fq_codel is better for the packets of others."),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::tests::{qdiscs, queue};
    use super::*;
    use crate::counters::qdiscs::{QueueCounts, ROOT};
    use crate::doctor::made::Made;

    #[rstest::rstest]
    #[case::by_timers("bbr", "pfifo_fast", "pfifo_fast", 9, true)]
    #[case::fq_is_there("bbr", "pfifo_fast", "fq", 9, false)]
    #[case::fq_will_be("bbr", "fq", "pfifo_fast", 9, false)]
    #[case::nothing_is_sent("bbr", "pfifo_fast", "pfifo_fast", 0, false)]
    #[case::no_pace("cubic", "pfifo_fast", "pfifo_fast", 9, false)]
    fn bbr_wants_fq(
        #[case] control: &str,
        #[case] default: &str,
        #[case] kind: &str,
        #[case] packets: u32,
        #[case] is_found: bool,
    ) {
        let counts = QueueCounts { packets, ..QueueCounts::default() };
        let settings: Sysctls = [(CONTROL, control), (DEFAULT, default)].into_iter().collect();
        let made = Made::default()
            .part(Qdiscs::default(), qdiscs([queue(kind, 0, ROOT, counts)]))
            .part(Sysctls::default(), settings);
        let findings = made.check(&CHECK).unwrap();
        assert_eq!(findings.len(), usize::from(is_found));
        assert!(findings.iter().all(|finding| finding.severity == Severity::Info));
    }
}
