//! `udp-no-port`: datagrams to ports that nobody has (`__udp4_lib_rcv`, `net/ipv4/udp.c`), each answered by ICMP's port unreachable.

use super::{of_all, rise, risen};
use crate::doctor::parts::Counters;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Moved, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check =
    Check { name: "udp-no-port", area: Area::Udp, scope: Scope::Netns, needs: &[source::<Counters>()], run };

const EXPLAINED: [&str; 2] = ["__udp4_lib_rcv", "__udp6_lib_rcv"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let counters = of_all(window, "NoPorts")?;
    let lost: u64 = counters.iter().map(Moved::by).sum();
    if lost == 0 {
        return Ok(Vec::new());
    }
    // A scan, or a service that is down: this host can't tell, and itself lacks nothing.
    let severity = Severity::of_loss(lost, rise(window, "InDatagrams")).min(Severity::Warning);
    let sentence = format!("{} came to ports that nobody has open.", counted(lost, "datagram", "datagrams"));
    Ok(vec![
        Finding::new(severity, "closed ports", sentence)
            .losing(window.rate(lost))
            .because(
                Certainty::Possible,
                "A service is down, or has another port or address open than its clients think; or somebody scans.",
            )
            .shown_by(risen(counters))
            .shown_by(window.drops_of(&["NO_SOCKET"]).into_iter().filter(is_of_udp))
            .shown_by(window.drops_of(&EXPLAINED))
            .explains(&EXPLAINED)
            .remedy(
                Remedy::command(
                    "See which ports, and who sends there; then start the service, or stop the sender.",
                    "netdrop watch --proto udp --reason NO_SOCKET --by src,dst --duration 10s",
                ),
            )
            .remedy(Remedy::command("See which ports are open, at which addresses.", "ss -ulnp").inside(window))
            .caution("To drop them by a rule takes the answer from their senders: they wait for their timeouts instead."),
    ])
}

/// TCP gives the same reason.
fn is_of_udp(drops: &Evidence) -> bool {
    matches!(drops, Evidence::Drops(drops) if drops.function.as_ref().is_some_and(|name| name.contains("udp")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made::Made;

    fn made(lost: u64, lost_v6: u64) -> Made {
        let counters = |v4, v6| {
            let delivered = ("Udp", "InDatagrams", 0);
            Counters::from([("Udp", "NoPorts", v4), ("Udp6", "NoPorts", v6), delivered])
        };
        Made::default().part(counters(5, 1), counters(5 + lost, 1 + lost_v6))
    }

    #[test]
    fn both_families_count_and_a_stray_is_information() {
        let findings = made(50, 20).check(&CHECK).unwrap();
        assert!(findings[0].sentence.starts_with("70 datagrams"), "{findings:?}");
        assert_eq!((findings[0].severity, findings[0].evidence.len()), (Severity::Warning, 2));
        assert_eq!(made(1, 0).check(&CHECK).unwrap()[0].severity, Severity::Info);
        assert_eq!(made(0, 0).check(&CHECK), Ok(Vec::new()));
    }
}
