//! `ring-memory`: no memory for new receive buffers, so that the ring runs empty (`__alloc_pages` with `GFP_ATOMIC` may take what
//! `vm.min_free_kbytes` keeps; Documentation/admin-guide/sysctl/vm.rst).

use super::KeptFree;
use crate::counters::losses::Trouble;
use crate::doctor::ports::{Ports, hardware, most};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "ring-memory",
    area: Area::Ring,
    scope: Scope::Netns,
    needs: &[source::<Ports>(), source::<KeptFree>()],
    run,
};

const KEPT: &str = "vm.min_free_kbytes";
/// A quarter of a GiB: at 100 Gbit/s that is 20 ms of packets, far longer than reclaim takes to start.
const ENOUGH: u64 = 256 << 10;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let kept = window.now::<KeptFree>()?.0;
    let mut findings = Vec::new();
    for pair in hardware(window)? {
        let signs = pair.signs(Trouble::Memory);
        let failed = most(&signs);
        if failed == 0 {
            continue;
        }
        let name = pair.now.name();
        let sentence = format!(
            "{name} found no memory for {}: its ring runs empty, and packets are lost.",
            counted(failed, "receive buffer", "receive buffers")
        );
        let finding = Finding::new(Severity::of_loss(failed, pair.traffic()[0]), name, sentence)
            .losing(window.rate(failed))
            .because(Certainty::Likely, "The host is short of free memory at the moment packets come: buffers are taken in interrupts, which can't wait for memory to be freed.")
            .shown_by(signs)
            .shown_by([Evidence::value(KEPT, kept, KeptFree::FROM)])
            .caution("What is kept free is lost for programs. Where memory is short all the time, find who takes it instead.");
        let larger = (kept * 2).min(ENOUGH);
        findings.push(if larger > kept {
            finding.remedy(Remedy::host_sysctl(
                "Keep twice as much memory free for those that can't wait.",
                &[(KEPT, &larger)],
            ))
        } else {
            finding.remedy(Remedy::advice(
                "Find who takes the memory: ps -eo pid,rss,comm --sort=-rss | head, and give it a limit.",
            ))
        });
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::Made;
    use crate::doctor::ports::made::{port, ports};

    fn made(kept: u64, failed: u64) -> Made {
        let of = |failed| ports(port(100_000, &[("alloc_rx_page_failed", failed)]));
        Made::default().part(of(0), of(failed)).part(KeptFree(kept), KeptFree(kept))
    }

    #[test]
    fn short_of_memory() {
        assert_snapshot!(made(67_584, 300).told(&CHECK));
    }

    #[test]
    fn enough_is_kept_already_and_none_is_nothing() {
        assert!(made(ENOUGH, 300).check(&CHECK).unwrap()[0].remedies[0].now.is_empty());
        assert_eq!(made(ENOUGH, 0).check(&CHECK), Ok(Vec::new()));
    }
}
