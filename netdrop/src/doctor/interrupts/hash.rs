//! `interrupts-hash`: UDP that is spread by its addresses alone, so that two hosts have one queue between them, however many sockets they have
//! (`ethtool -n IF rx-flow-hash udp4`; the default of most drivers, as fragments have no ports).

use super::{CpuTimes, busiest, strained};
use crate::doctor::parts::Counters;
use crate::doctor::ports::Ports;
use crate::doctor::{Area, Certainty, Check, Evidence, Finding, Scope, Severity, Unread, Window, source};

pub const CHECK: Check = Check {
    name: "interrupts-hash",
    area: Area::Interrupts,
    scope: Scope::Netns,
    needs: &[source::<Ports>(), source::<CpuTimes>(), source::<Counters>()],
    run,
};

/// More than half of all in one of several queues: they aren't spread.
const UNEVEN: f64 = 0.5;
/// UDP is what it is about where it is a tenth of all packets or more.
const SHARE: u64 = 10;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let strained = strained(window)?;
    let datagrams = window.delta("Udp", "InDatagrams")?.by() + window.delta("Udp", "InErrors")?.by();
    let mut findings = Vec::new();
    for port in strained {
        let queues = port.pair.queues();
        let uneven = busiest(&queues).filter(|(_, share)| *share > UNEVEN);
        let is_udp = datagrams.saturating_mul(SHARE) >= port.pair.traffic()[0];
        let (Some((queue, share)), Some(false), true) = (uneven, port.pair.now.hashes_udp_ports, is_udp)
        else {
            continue;
        };
        let name = port.pair.now.name();
        let sentence = format!(
            "{:.0} percent of the packets of {name} come by queue {queue} of {}: UDP is spread by addresses alone.",
            share * 100.0,
            queues.len()
        );
        findings.push(
            Finding::new(Severity::Warning, name, sentence)
                .losing(port.losing(window))
                .because(Certainty::Likely, "All datagrams between two hosts have the same hash, whatever their ports are: a tunnel, a resolver, a telemetry sender takes one queue and one CPU.")
                .shown_by(port.evidence())
                .shown_by([Evidence::value("UDP over IPv4 is spread by", "addresses", format!("ethtool -n {name} rx-flow-hash udp4"))])
                .remedy(port.pair.now.remedy(window, "Spread it by ports too.", "hash", ("-N", "rx-flow-hash udp4 sdfn")))
                .caution("Only the first fragment of a datagram has ports: fragments then come by several queues, out of order."),
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

    fn made(hashes_udp_ports: Option<bool>, datagrams: u64, second_queue: u64) -> Made {
        let of = |received, second| Port {
            hashes_udp_ports,
            ..port(received, &[("rx_queue_0_packets", received), ("rx_queue_1_packets", second)])
        };
        let counters =
            |datagrams| Counters::from([("Udp", "InDatagrams", datagrams), ("Udp", "InErrors", 0)]);
        window(95, of(0, 0), of(500_000, second_queue)).part(counters(0), counters(datagrams))
    }

    #[test]
    fn one_queue_gets_it_all() {
        assert_snapshot!(made(Some(false), 480_000, 9000).told(&CHECK));
    }

    #[rstest::rstest]
    #[case::by_ports(Some(true), 480_000, 9000)]
    #[case::unknown(None, 480_000, 9000)]
    #[case::hardly_any_udp(Some(false), 4000, 9000)]
    #[case::even(Some(false), 480_000, 500_000)]
    fn fine(#[case] hashes: Option<bool>, #[case] datagrams: u64, #[case] second_queue: u64) {
        assert_eq!(made(hashes, datagrams, second_queue).check(&CHECK), Ok(Vec::new()));
    }
}
