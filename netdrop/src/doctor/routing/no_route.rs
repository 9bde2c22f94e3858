//! `routing-no-route`: packets that no route leads on (`ip_error`, net/ipv4/route.c; `ip6_pkt_drop`, net/ipv6/route.c), and sendings that none leads
//! out (`OutNoRoutes`: `udp_sendmsg`, `tcp_v4_connect`, `ip6_dst_lookup_tail`).

use super::{moved, sum, total};
use crate::doctor::parts::{Counters, Sysctls};
use crate::doctor::{Area, Certainty, Check, Finding, Remedy, Scope, Severity, Unread, Window, source};
use crate::units::{counted, times};

pub const CHECK: Check = Check {
    name: "routing-no-route",
    area: Area::Routing,
    scope: Scope::Netns,
    needs: &[source::<Counters>(), source::<Sysctls>()],
    run,
};

const FORWARDED: [&str; 1] = ["IP_INNOROUTES"];
const SENT: [&str; 1] = ["IP_OUTNOROUTES"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    Ok([
        forwarded(window)?,
        sent(window, "Ip", "ip route")?,
        sent(window, "Ip6", "ip -6 route").unwrap_or(None),
    ]
    .into_iter()
    .flatten()
    .collect())
}

/// Packets of others.
fn forwarded(window: &Window) -> Result<Option<Finding>, Unread> {
    // A host that doesn't forward counts its own packets there, too: reports of groups on a link that comes up (`ip6_pkt_drop`).
    let forwards_v6 = window.sysctl("net.ipv6.conf.all.forwarding").is_ok_and(|forwarding| forwarding > 0);
    let names: &[_] = &[("IpExt", "InNoRoutes"), ("Ip6", "InNoRoutes")];
    let counters = moved(window, if forwards_v6 { names } else { &names[..1] })?;
    let lost = total(&counters);
    let passed = sum(window, &[("Ip", "ForwDatagrams"), ("Ip6", "OutForwDatagrams")]);
    let sentence = format!(
        "{} came to be forwarded, and no route leads to the destination.",
        counted(lost, "packet", "packets")
    );
    Ok((lost > 0).then(|| {
        Finding::new(Severity::of_loss(lost, passed), "packets to be forwarded", sentence)
            .losing(window.rate(lost))
            .shown_by(counters)
            .shown_by(window.drops_of(&FORWARDED))
            .explains(&FORWARDED)
            .because(
                Certainty::Likely,
                "A route is missing or was withdrawn, an unreachable entry covers it, or a rule asks another table.",
            )
            .remedy(Remedy::command(
                "See where they want to go.",
                "netdrop watch --reason IP_INNOROUTES --by src,dst --duration 10s",
            ))
            .remedy(Remedy::advice(
                "Add the route that is missing: `ip route add NET/LEN via GATEWAY`, lasting in the network's or the routing daemon's configuration.",
            ))
            .caution("A default route that is added by hand on a router may make a loop.")
    }))
}

/// The host's own.
fn sent(window: &Window, group: &str, command: &str) -> Result<Option<Finding>, Unread> {
    let refused = window.delta(group, "OutNoRoutes")?;
    let count = refused.by();
    let version = if group == "Ip" { "IPv4" } else { "IPv6" };
    let passed = sum(window, &[(group, "OutRequests")]);
    // The program is told (ENETUNREACH). Without a way out by IPv6, programs try it all the same, and then IPv4.
    let most = if group == "Ip" { Severity::Warning } else { Severity::Info };
    let sentence = format!(
        "Programs of this host wanted to send by {version}, and no route led there: {}.",
        times(count)
    );
    Ok((count > 0).then(|| {
        Finding::new(Severity::of_loss(count, passed).min(most), format!("{version} of this host"), sentence)
            .losing(refused.rate)
            .shown_by([refused])
            .shown_by(window.drops_of(&SENT))
            .explains(&SENT)
            .because(
                Certainty::Likely,
                "There is no default route, or it went away with its interface; a rule, a VRF or this namespace knows fewer routes than the program expects.",
            )
            .remedy(
                Remedy::command("See which routes there are.", format!("{command} show table all type unicast"))
                    .inside(window),
            )
            .remedy(Remedy::advice(format!(
                "Add the one that is missing: `{command} add default via GATEWAY dev DEVICE`, lasting in the network's configuration."
            )))
            .caution("A route by hand is gone at the next boot, and fights with NetworkManager, networkd or a routing daemon.")
    }))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::{Made, row};

    fn made(forwarded: u64, sent: u64, sent_v6: u64) -> Made {
        let counters = |by: u64| {
            Counters::from([
                ("IpExt", "InNoRoutes", 7 + by * forwarded),
                ("Ip", "ForwDatagrams", by * 1000),
                ("Ip", "OutNoRoutes", by * sent),
                ("Ip6", "OutNoRoutes", by * sent_v6),
                ("Ip", "OutRequests", by * 500),
            ])
        };
        Made::default().part(counters(0), counters(1))
    }

    #[test]
    fn packets_of_others() {
        let rows = vec![row("IP_INNOROUTES", "ip_error", "eth0", 30)];
        assert_snapshot!(made(30, 0, 0).drops(rows).told(&CHECK));
    }

    /// A link that comes up reports its groups; what a router drops is another matter.
    #[rstest::rstest]
    #[case::a_host(0, 0)]
    #[case::a_router(1, 1)]
    fn ipv6_counts_a_hosts_own_reports(#[case] forwarding: u32, #[case] found: usize) {
        let counters = |lost| {
            Counters::from([
                ("Ip", "OutNoRoutes", 0),
                ("IpExt", "InNoRoutes", 0),
                ("Ip6", "InNoRoutes", lost),
            ])
        };
        let settings: Sysctls = [("net.ipv6.conf.all.forwarding", forwarding)].into_iter().collect();
        let made = Made::default().part(counters(0), counters(2)).part(Sysctls::default(), settings);
        assert_eq!(made.check(&CHECK).unwrap().len(), found);
    }

    #[test]
    fn sendings_of_the_host() {
        assert_snapshot!(made(0, 60, 0).told(&CHECK));
    }

    #[test]
    fn trying_ipv6_in_vain_is_no_harm() {
        let findings = made(0, 0, 60).check(&CHECK).unwrap();
        assert_eq!((findings.len(), findings[0].severity), (1, Severity::Info));
        assert_eq!(made(0, 0, 0).check(&CHECK), Ok(Vec::new()));
    }
}
