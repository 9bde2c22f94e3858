//! `routing-forwarding-off`: packets for other hosts at a host that doesn't forward (`ip_error`, net/ipv4/route.c; `ip6_forward`, `net/ipv6/ip6_output.c`).

use super::{Confs, key, list, sum};
use crate::doctor::parts::{Counters, Sysctls};
use crate::doctor::{
    Area, Certainty, Check, Finding, Moved, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "routing-forwarding-off",
    area: Area::Routing,
    scope: Scope::Netns,
    needs: &[source::<Counters>(), source::<Confs>(), source::<Sysctls>()],
    run,
};

const OF_IPV4: &str = "net.ipv4.ip_forward";
const OF_IPV6: &str = "net.ipv6.conf.all.forwarding";
const EXPLAINED: [&str; 1] = ["IP_INADDRERRORS"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let of_ipv4 = window.delta("Ip", "InAddrErrors")?;
    let of_ipv6 = window.delta("Ip6", "InAddrErrors").ok();
    let of_ipv4 = if of_ipv4.by() > 0 { v4(window, of_ipv4)? } else { None };
    let of_ipv6 = of_ipv6.filter(|moved| moved.by() > 0 && window.sysctl(OF_IPV6) == Ok(0));
    Ok(of_ipv4
        .into_iter()
        .chain(of_ipv6.map(|moved| finding(window, "IPv6", moved, &[OF_IPV6.into()])))
        .collect())
}

/// IPv4 forwards by devices: some of them may be left out.
fn v4(window: &Window, moved: Moved) -> Result<Option<Finding>, Unread> {
    if window.sysctl(OF_IPV4)? == 0 {
        return Ok(Some(finding(window, "IPv4", moved, &[OF_IPV4.into()])));
    }
    let confs = window.now::<Confs>()?;
    let off: Vec<_> =
        confs.devices().filter(|(_, conf)| !conf.forwarding).map(|(device, _)| device).collect();
    // Where all forward, an address is wrong in another way.
    let keys: Vec<_> = off.iter().map(|device| key(device, "forwarding")).collect();
    Ok((!off.is_empty()).then(|| finding(window, "IPv4", moved, &keys)))
}

fn finding(window: &Window, version: &str, moved: Moved, settings: &[String]) -> Finding {
    let lost = moved.by();
    let devices: Vec<_> = window.devices_of(&EXPLAINED).into_iter().map(|(device, _)| device).collect();
    let place = if devices.is_empty() { String::new() } else { format!(" by {}", list(&devices)) };
    let group = if version == "IPv4" { "Ip" } else { "Ip6" };
    let passed = sum(window, &[(group, "InDelivers")]);
    let sentence = format!(
        "{} for other hosts came in{place}, and forwarding is off.",
        counted(lost, "packet", "packets")
    );
    let pairs: Vec<(&str, &dyn std::fmt::Display)> =
        settings.iter().map(|key| (key.as_str(), &1 as &dyn std::fmt::Display)).collect();
    // Whether it should forward, nothing here tells.
    Finding::new(Severity::of_loss(lost, passed).min(Severity::Warning), format!("{version} forwarding"), sentence)
        .losing(moved.rate)
        .shown_by([moved])
        .shown_by(window.setting(if version == "IPv4" { OF_IPV4 } else { OF_IPV6 }))
        .shown_by(window.drops_of(&EXPLAINED))
        .explains(&EXPLAINED)
        .because(
            Certainty::Likely,
            "Others take this host for their way on: it should be a router (of containers, of a VPN) and doesn't forward; or their gateway, or an address that moved away, is wrong.",
        )
        .remedy(Remedy::sysctl(window, "If it should forward, have it do so.", &pairs))
        .remedy(Remedy::advice("If it shouldn't, correct the gateway or the neighbour entry of those who send."))
        .caution("Forwarding joins networks: set up the firewall's forward chain first. With IPv6, router advertisements are then ignored, unless accept_ra is 2.")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::{Made, row};
    use crate::doctor::routing::Conf;

    /// Forwarding of all, of eth1, and of IPv6.
    fn made(all: u8, own: bool, of_ipv6: u8, lost: (u64, u64)) -> Made {
        let counters = |by: u64| {
            Counters::from([
                ("Ip", "InAddrErrors", by * lost.0),
                ("Ip", "InDelivers", by * 900),
                ("Ip6", "InAddrErrors", by * lost.1),
            ])
        };
        let conf = |forwarding| Conf { rp_filter: 0, forwarding };
        let confs = [("all", conf(all == 1)), ("eth0", conf(true)), ("eth1", conf(own))];
        let settings: Sysctls = [(OF_IPV4, all), (OF_IPV6, of_ipv6)].into_iter().collect();
        Made::default()
            .part(counters(0), counters(1))
            .part(Confs::default(), Confs(confs.map(|(name, conf)| (name.into(), conf)).into()))
            .part(Sysctls::default(), settings)
    }

    #[test]
    fn a_host_that_should_be_a_router() {
        let rows = vec![row("IP_INADDRERRORS", "ip_error", "eth1", 100)];
        assert_snapshot!(made(0, false, 0, (100, 0)).drops(rows).told(&CHECK));
    }

    #[test]
    fn a_device_is_left_out() {
        let findings = made(1, false, 0, (100, 0)).check(&CHECK).unwrap();
        assert_eq!(findings[0].remedies[0].now, ["sysctl -w net.ipv4.conf.eth1.forwarding=1"]);
    }

    #[test]
    fn ipv6_has_one_setting() {
        let findings = made(1, true, 0, (0, 100)).check(&CHECK).unwrap();
        assert_eq!(findings[0].remedies[0].now, ["sysctl -w net.ipv6.conf.all.forwarding=1"]);
    }

    #[rstest::rstest]
    #[case::it_forwards(1, true, 1, (100, 100))]
    #[case::nothing_came(0, false, 0, (0, 0))]
    fn else_there_is_nothing(#[case] all: u8, #[case] own: bool, #[case] v6: u8, #[case] lost: (u64, u64)) {
        assert_eq!(made(all, own, v6, lost).check(&CHECK), Ok(Vec::new()));
    }
}
