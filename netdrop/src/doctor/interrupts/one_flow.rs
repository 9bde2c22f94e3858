//! `interrupts-one-flow`: one queue gets nearly all, though the hash spreads by ports: one flow (scaling.rst: RSS spreads flows, not packets).

use super::{at_sysfs, busiest, strained};
use crate::counters::cpu_times::CpuTimes;
use crate::doctor::ports::Ports;
use crate::doctor::shell::shell;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "interrupts-one-flow",
    area: Area::Interrupts,
    scope: Scope::Netns,
    needs: &[source::<Ports>(), source::<CpuTimes>()],
    run,
};

/// Four of five packets: many flows never fall that way by chance.
const NEARLY_ALL: f64 = 0.8;
/// scaling.rst: the number of flows that are followed, for all queues together.
const FLOWS: u32 = 32_768;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let mut findings = Vec::new();
    for port in strained(window)? {
        let queues = port.pair.queues();
        let Some((queue, share)) = busiest(&queues).filter(|(_, share)| *share > NEARLY_ALL) else {
            continue;
        };
        // That UDP has one queue between two hosts is told by another check, and so is a table that spreads nothing.
        if port.pair.now.hashes_udp_ports == Some(false) || port.pair.now.queues_in_table() == 1 {
            continue;
        }
        let name = port.pair.now.name();
        let word = shell(name);
        let sentence = format!(
            "{:.0} percent of the packets of {name} come by one of its {} queues: one flow, or few.",
            share * 100.0,
            queues.len()
        );
        let of_queue = FLOWS / u32::try_from(queues.len()).unwrap_or(1).max(1);
        let flows = format!("/sys/class/net/{name}/queues/rx-{queue}/rps_flow_cnt");
        let follow = Remedy {
            what: "Hand the packets of each flow to the CPU of the program that reads them (RFS), so that at least its work is elsewhere.".into(),
            now: vec![
                format!("sysctl -w net.core.rps_sock_flow_entries={FLOWS}"),
                at_sysfs(window, &format!("echo {of_queue} > {}", shell(&flows))),
            ],
            persistently: Some(format!("printf 'net.core.rps_sock_flow_entries = {FLOWS}\\n' > /etc/sysctl.d/90-net-core-rps_sock_flow_entries.conf")),
        };
        findings.push(
            Finding::new(Severity::Warning, name, sentence)
                .losing(port.losing(window))
                .because(Certainty::Possible, "A flow keeps to its queue and its CPU, so that its packets stay in order: a tunnel, a backup, a capture has the speed of one CPU.")
                .shown_by(port.evidence())
                .shown_by(queues.iter().take(16).map(|(queue, packets)| Evidence::value(format!("queue {queue}"), counted(*packets, "packet", "packets"), port.pair.now.queues_from())))
                .remedy(Remedy::command("Find the flow.", format!("timeout 5 tcpdump -nni {word} -c 2000 -q | cut -d' ' -f3-5 | sort | uniq -c | sort -rn | head")).inside(window))
                .remedy(follow)
                .remedy(Remedy::advice(format!("Have several flows carry it: more connections, a tunnel whose outer port varies (VXLAN, GENEVE and FOU do). Keep what is critical out of its way by a filter: ethtool -N {word} flow-type tcp4 dst-port PORT action QUEUE.")))
                .caution("A filter needs `ethtool -K … ntuple on`, and a queue that the hash doesn't use: take it out of the indirection table (ethtool -X)."),
        );
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::interrupts::made::window;
    use crate::doctor::made::Made;
    use crate::doctor::ports::Port;
    use crate::doctor::ports::made::port;

    fn made(percent: u64, hashes_udp_ports: Option<bool>, second: u64, table: &[u32]) -> Made {
        let of = |received, second| Port {
            hashes_udp_ports,
            indirection: table.to_vec(),
            ..port(received, &[("rx-0.packets", second), ("rx-1.packets", received)])
        };
        window(percent, of(0, 0), of(500_000, second))
    }

    #[test]
    fn a_tunnel() {
        assert_snapshot!(made(95, Some(true), 3000, &[0, 1]).told(&CHECK));
    }

    #[rstest::rstest]
    #[case::spread(95, None, 400_000, &[])]
    #[case::by_addresses(95, Some(false), 3000, &[])]
    #[case::at_ease(10, None, 3000, &[])]
    #[case::a_table_of_one_queue(95, None, 3000, &[1, 1])]
    fn fine(#[case] percent: u64, #[case] hashes: Option<bool>, #[case] second: u64, #[case] table: &[u32]) {
        assert_eq!(made(percent, hashes, second, table).check(&CHECK), Ok(Vec::new()));
    }
}
