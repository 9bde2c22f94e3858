//! `routing-packet-too-big`: packets that are larger than the link that they have to go on by, and may not be fragmented (`ip_forward`,
//! `net/ipv4/ip_forward.c`; `ip_fragment`, `net/ipv4/ip_output.c`; `ip6_forward`, `net/ipv6/ip6_output.c`).

use super::{moved, sum};
use crate::doctor::parts::Counters;
use crate::doctor::{
    Area, Certainty, Check, Finding, Moved, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "routing-packet-too-big",
    area: Area::Routing,
    scope: Scope::Netns,
    needs: &[source::<Counters>()],
    run,
};

const EXPLAINED: [&str; 1] = ["PKT_TOO_BIG"];
/// A table of its own, which nobody else's rules are in.
const CLAMP: [&str; 3] = [
    "nft add table inet netdrop_mss",
    "nft add chain inet netdrop_mss forward '{ type filter hook forward priority mangle; }'",
    "nft add rule inet netdrop_mss forward 'tcp flags syn / syn,rst tcp option maxseg size set rt mtu'",
];

/// Three first windows of TCP (RFC 6928: ten segments): so many a path takes to be found out.
const LEARNING: u64 = 30;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    // IPv6's forwarding counts in both of its counters.
    let counters = moved(window, &[("Ip", "FragFails"), ("Ip6", "FragFails"), ("Ip6", "InTooBigErrors")])?;
    let lost = sum(window, &[("Ip", "FragFails")])
        + sum(window, &[("Ip6", "FragFails")]).max(sum(window, &[("Ip6", "InTooBigErrors")]));
    Ok((lost > 0).then(|| finding(window, lost, counters)).into_iter().collect())
}

fn finding(window: &Window, lost: u64, counters: Vec<Moved>) -> Finding {
    let passed = sum(window, &[("Ip", "ForwDatagrams"), ("Ip6", "OutForwDatagrams")]);
    // Each path's MTU is found by losing packets: some are as it should be, and senders are told.
    let most = if lost < LEARNING { Severity::Info } else { Severity::Warning };
    let told = moved(window, &[("Icmp", "OutDestUnreachs"), ("Icmp6", "OutPktTooBigs")]).unwrap_or_default();
    let sentence = format!(
        "{} larger than the next link, and may not be fragmented.",
        counted(lost, "packet was", "packets were")
    );
    let clamp = Remedy {
        what: "Have TCP's connections through this host take segments that fit, from their first packets on."
            .into(),
        now: CLAMP.map(str::to_owned).into(),
        persistently: Some("the same rule in the ruleset that is loaded at boot (/etc/nftables.conf)".into()),
    };
    Finding::new(Severity::of_loss(lost, passed).min(most), "packets to be forwarded", sentence)
        .losing(window.rate(lost))
        .shown_by(counters)
        .shown_by(told)
        .shown_by(window.drops_of(&EXPLAINED))
        .explains(&EXPLAINED)
        .because(
            Certainty::Likely,
            "The next link, often a tunnel (WireGuard, VXLAN, IPsec, PPPoE), has a smaller MTU than the one before. A sender that goes on so doesn't get, or doesn't heed, the ICMP message that tells it.",
        )
        .remedy(clamp.inside(window))
        .remedy(Remedy::advice(
            "Let ICMP pass on the way back to the senders: \"fragmentation needed\" (type 3, code 4) and ICMPv6 \"packet too big\" (type 2). For UDP and QUIC nothing else helps.",
        ))
        .caution("Clamping helps new connections of TCP alone. `nft delete table inet netdrop_mss` undoes it.")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::{Made, row};

    fn made(v4: u64, v6: u64) -> Made {
        let counters = |by: u64| {
            Counters::from([
                ("Ip", "FragFails", by * v4),
                ("Ip6", "FragFails", by * v6),
                ("Ip6", "InTooBigErrors", by * v6),
                ("Icmp", "OutDestUnreachs", by * v4),
                ("Ip", "ForwDatagrams", by * 3000),
            ])
        };
        Made::default().part(counters(0), counters(1))
    }

    #[test]
    fn a_tunnel_is_smaller() {
        let rows = vec![row("PKT_TOO_BIG", "ip_forward", "eth0", 80)];
        assert_snapshot!(made(80, 0).drops(rows).told(&CHECK));
    }

    #[test]
    fn ipv6_counts_each_once() {
        let findings = made(0, 12).check(&CHECK).unwrap();
        assert!(findings[0].sentence.starts_with("12 packets"), "{findings:?}");
        assert_eq!(made(0, 0).check(&CHECK), Ok(Vec::new()));
    }
}
