//! `routing-martian`: packets whose addresses can't be (`ip_route_input_slow`, net/ipv4/route.c; `__fib_validate_source`, `net/ipv4/fib_frontend.c`).
//!
//! The kernel counts them for the whole host alone, together with what the reverse path filter takes. Kernels from 6.14 give each a reason.

use super::{RouteStats, key, sum};
use crate::doctor::parts::Counters;
use crate::doctor::{
    Area, Certainty, Check, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "routing-martian",
    area: Area::Routing,
    scope: Scope::Netns,
    needs: &[source::<RouteStats>(), source::<Counters>()],
    run,
};

const OWN: &str = "IP_LOCAL_SOURCE";
const LOOPBACK: &str = "IP_LOCALNET";
const EXPLAINED: [&str; 4] = [OWN, LOOPBACK, "IP_INVALID_SOURCE", "IP_INVALID_DEST"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let devices = window.devices_of(&EXPLAINED);
    if devices.is_empty() {
        return tallied(window);
    }
    Ok(devices.into_iter().map(|(device, lost)| at_device(window, &device, lost)).collect())
}

/// By what netdrop counted there.
fn at_device(window: &Window, device: &str, lost: u64) -> Finding {
    let of = |reason: &'static str| {
        let here = window.devices_of(&[reason]);
        here.into_iter().find(|(name, _)| name == device).map_or(0, |(_, drops)| drops)
    };
    let most = EXPLAINED.into_iter().max_by_key(|reason| of(reason)).unwrap_or(OWN);
    let received = sum(window, &[("Ip", "InReceives")]).saturating_sub(lost);
    let sentence = format!(
        "{} came in by {device} with addresses that can't be right.",
        counted(lost, "packet", "packets")
    );
    // Whoever sends them is wrong, and gets no answer; this host does as it should.
    let finding = Finding::new(Severity::of_loss(lost, received).min(Severity::Warning), device, sentence)
        .losing(window.rate(lost))
        .shown_by(window.drops_of(&EXPLAINED))
        .explains(&EXPLAINED);
    let log = Remedy::sysctl(
        window,
        "Have the kernel log them, sender's MAC address included (`dmesg`, martian); set it back to 0 afterwards.",
        &[(&key(device, "log_martians"), &1)],
    );
    let log = Remedy { persistently: None, ..log };
    let allowed = |what, name| Remedy::sysctl(window, what, &[(&key(device, name), &1)]);
    match most {
        OWN => finding
            .because(
                Certainty::Likely,
                "They bear an address of this host itself as their source: it is in use twice, a loop brings its own packets back, or it is forged.",
            )
            .remedy(log)
            .remedy(allowed("Where they are meant (two interfaces on one network, a load balancer that answers directly), accept them there.", "accept_local"))
            .caution("With accept_local, anybody on that link may speak as this host."),
        LOOPBACK => finding
            .because(
                Certainty::Likely,
                "They bear an address in 127.0.0.0/8, which never leaves a host: a redirection to 127.0.0.1 needs route_localnet, or they are forged.",
            )
            .remedy(log)
            .remedy(allowed("For a redirection (DNAT) to 127.0.0.1 that is meant, allow it there.", "route_localnet"))
            .caution("With route_localnet, services on 127.0.0.1 can be reached from that link (CVE-2020-8558): filter first."),
        _ => finding
            .because(
                Certainty::Likely,
                "Their source is a group, a broadcast address or 0.0.0.0, or their destination 0.0.0.0: the sender's address or netmask is wrong, or they are forged.",
            )
            .remedy(log)
            .remedy(Remedy::advice("Correct the sender's address and netmask; drop what is forged at the edge."))
            .caution("In a flood, log_martians fills the log."),
    }
}

/// By the host's own counter, where drops aren't counted or have no such reasons: less is sure.
fn tallied(window: &Window) -> Result<Vec<Finding>, Unread> {
    let (before, after) = window.both::<RouteStats>()?;
    let moved = |name: &str| {
        let pair = after.0.since(&before.0, name)?;
        Some(window.moved(name, pair, RouteStats::FROM))
    };
    let counters: Vec<_> = ["in_martian_src", "in_martian_dst"]
        .into_iter()
        .filter_map(moved)
        .filter(|one| one.by() > 0)
        .collect();
    let lost = super::total(&counters).saturating_sub(sum(window, &[("TcpExt", "IPReversePathFilter")]));
    // Those of all namespaces are in it: it is told once.
    if lost == 0 || window.home.enter.is_some() || has_reasons(window) {
        return Ok(Vec::new());
    }
    let sentence = format!(
        "{} came in with addresses that can't be right, in this namespace or another.",
        counted(lost, "packet", "packets")
    );
    Ok(vec![
        Finding::new(Severity::Info, "martians", sentence)
            .losing(window.rate(lost))
            .shown_by(counters)
            .because(
                Certainty::Possible,
                "An address is in use twice, a netmask is wrong, or sources are forged.",
            )
            .remedy(Remedy::sysctl(
                window,
                "Have the kernel log them, sender's MAC address included (`dmesg`, martian); set it back to 0 afterwards.",
                &[("net.ipv4.conf.all.log_martians", &1)],
            ))
            .caution("In a flood, log_martians fills the log."),
    ])
}

/// Whether a drop, of any namespace, bears one of the reasons: then this kernel has them, and here there was none.
fn has_reasons(window: &Window) -> bool {
    let rows = window.drops.as_ref().copied().unwrap_or_default();
    let mut reasons = rows.iter().filter_map(|row| row.reason.as_ref());
    reasons.any(|reason| EXPLAINED.contains(&reason.name.as_str()))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::counters::cpu_table::CpuTable;
    use crate::doctor::made::{Made, row};

    fn made(martians: u64, filtered: u64) -> Made {
        let stats =
            |martians| RouteStats(CpuTable::from([("in_martian_src", 9 + martians), ("in_martian_dst", 1)]));
        let counters =
            |filtered| Counters::from([("TcpExt", "IPReversePathFilter", filtered), ("Ip", "InReceives", 0)]);
        Made::default().part(stats(0), stats(martians)).part(counters(0), counters(filtered))
    }

    #[test]
    fn an_address_that_is_there_twice() {
        let rows = vec![
            row(OWN, "ip_rcv_finish_core", "eth0", 40),
            row("IP_INVALID_SOURCE", "ip_rcv_finish_core", "eth0", 2),
        ];
        assert_snapshot!(made(42, 0).drops(rows).told(&CHECK));
    }

    #[rstest::rstest]
    #[case("IP_LOCALNET", "route_localnet=1")]
    #[case("IP_INVALID_SOURCE", "log_martians=1")]
    fn each_reason_has_its_remedy(#[case] reason: &str, #[case] ends_with: &str) {
        let findings = made(42, 0).drops(vec![row(reason, "f", "eth0.7", 42)]).check(&CHECK).unwrap();
        let command = findings[0].remedies.iter().rev().find_map(|remedy| remedy.now.last()).unwrap();
        assert!(command.ends_with(ends_with) && command.contains("conf.eth0/7."), "{command}");
    }

    #[test]
    fn the_hosts_counter_tells_less() {
        let findings = made(42, 40).check(&CHECK).unwrap();
        assert_eq!((findings[0].severity, findings[0].subject.as_str()), (Severity::Info, "martians"));
        assert!(findings[0].sentence.starts_with("2 packets"), "{}", findings[0].sentence);
        assert_eq!(made(40, 40).check(&CHECK), Ok(Vec::new()));
    }
}
