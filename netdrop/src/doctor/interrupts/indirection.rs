//! `interrupts-indirection`: queues that the table of the hash leaves out (`ethtool -x`; scaling.rst, RSS Configuration).

use super::{CpuTimes, strained};
use crate::doctor::ports::Ports;
use crate::doctor::{Area, Certainty, Check, Evidence, Finding, Scope, Severity, Unread, Window, source};

pub const CHECK: Check = Check {
    name: "interrupts-indirection",
    area: Area::Interrupts,
    scope: Scope::Netns,
    needs: &[source::<Ports>(), source::<CpuTimes>()],
    run,
};

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let mut findings = Vec::new();
    for port in strained(window)? {
        let table = &port.pair.now.indirection;
        let used = port.pair.now.queues_in_table();
        let cpus = u32::try_from(port.cpus.len()).unwrap_or(u32::MAX);
        // A table shorter than there are queues can't name all; more queues than CPUs are no use.
        let possible =
            port.pair.now.receive_queues().min(u32::try_from(table.len()).unwrap_or(u32::MAX)).min(cpus);
        if table.is_empty() || used >= possible {
            continue;
        }
        let name = port.pair.now.name();
        let sentence = format!(
            "{name} has {} receive queues, and its table spreads packets over {used} of them.",
            port.pair.now.receive_queues()
        );
        let command = format!("equal {possible}");
        findings.push(
            Finding::new(Severity::Warning, name, sentence)
                .losing(port.losing(window))
                .because(Certainty::Likely, "The indirection table was set for fewer queues, by hand or before there were so many.")
                .shown_by(port.evidence())
                .shown_by([Evidence::value("indirection table", format!("{used} queues in {} places", table.len()), format!("ethtool -x {name}"))])
                .remedy(port.pair.now.remedy(window, "Spread packets evenly.", "table", ("-X", &command)))
                .caution("Somebody may have kept queues free for a filter (ntuple) or for AF_XDP: those must stay out of the table."),
        );
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::counters::ethtool_netlink::{Channels, Told};
    use crate::doctor::interrupts::made::window;
    use crate::doctor::made::Made;
    use crate::doctor::ports::Port;
    use crate::doctor::ports::made::port;

    fn made(table: &[u32]) -> Made {
        let channels = Some(Channels { combined: (4, 8), receive: (0, 0) });
        let told = Told { channels, ..Told::default() };
        let of = |received| Port { told: told.clone(), indirection: table.to_vec(), ..port(received, &[]) };
        window(80, of(0), of(500_000))
    }

    #[test]
    fn half_of_the_queues() {
        assert_snapshot!(made(&[0, 1, 0, 1, 0, 1, 0, 1]).told(&CHECK));
    }

    #[test]
    fn all_of_them_or_no_table_is_fine() {
        assert_eq!(made(&[0, 1, 2, 3]).check(&CHECK), Ok(Vec::new()));
        assert_eq!(made(&[]).check(&CHECK), Ok(Vec::new()));
    }
}
