//! `routing-ttl-expired`: packets that were forwarded too often (`ip_forward`, `net/ipv4/ip_forward.c`; `ip6_forward`, `net/ipv6/ip6_output.c`).

use super::{moved, sum};
use crate::doctor::parts::Counters;
use crate::doctor::{Area, Certainty, Check, Finding, Remedy, Scope, Severity, Unread, Window, source};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "routing-ttl-expired",
    area: Area::Routing,
    scope: Scope::Netns,
    needs: &[source::<Counters>()],
    run,
};

/// Bad headers have the same reason: the functions alone are explained.
const EXPLAINED: [&str; 2] = ["ip_forward", "ip6_forward"];
const DROPPED: [&str; 3] = ["IP_INHDR", "ip_forward", "ip6_forward"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    window.delta("Ip", "InHdrErrors")?;
    let of_ipv4 = of_version(window, "Ip", "Icmp", ("Ip", "ForwDatagrams"));
    let of_ipv6 = of_version(window, "Ip6", "Icmp6", ("Ip6", "OutForwDatagrams"));
    Ok(of_ipv4.into_iter().chain(of_ipv6).collect())
}

fn of_version(window: &Window, ip: &str, icmp: &str, forwarded: (&str, &str)) -> Option<Finding> {
    let lost = sum(window, &[(ip, "InHdrErrors")]);
    // Bad headers have the same counter and reason. What tells them apart: where it was, and the ICMP messages, which reassembly that
    // takes too long has too, and which are limited.
    let function = if ip == "Ip" { "ip_forward" } else { "ip6_forward" };
    let told = sum(window, &[(icmp, "OutTimeExcds")]).saturating_sub(sum(window, &[(ip, "ReasmTimeout")]));
    let mut drops = window.rows_of(&DROPPED);
    if lost == 0 || told == 0 && !drops.any(|row| row.function() == Some(function)) {
        return None;
    }
    let counters = moved(window, &[(ip, "InHdrErrors"), (icmp, "OutTimeExcds")]).unwrap_or_default();
    let version = if ip == "Ip" { "IPv4" } else { "IPv6" };
    let sentence = format!(
        "{} of {version} had been forwarded too often (TTL or hop limit), and ended here.",
        counted(lost, "packet", "packets")
    );
    let subject = format!("forwarding of {version}");
    let finding = Finding::new(Severity::of_loss(lost, sum(window, &[forwarded])), subject, sentence)
        .losing(window.rate(lost))
        .shown_by(counters)
        .shown_by(window.drops_of(&DROPPED))
        .explains(&EXPLAINED);
    Some(finding
        .because(
            Certainty::Likely,
            "Two or more routers send them to each other in a circle: a route, or a default route for a network of one's own, points back. A few at a time are somebody's traceroute.",
        )
        .remedy(Remedy::command(
            "See where they want to go; `ip route get DESTINATION` then tells where this router sends them.",
            "netdrop watch --reason IP_INHDR --by dst,device --duration 10s",
        ))
        .remedy(Remedy::advice(
            "Correct the route. Of a network of one's own, refuse what nobody has: `ip route add unreachable NET/LEN`; routes that are more specific go on as they are.",
        ))
        .caution("An unreachable route refuses all in that network that has no route of its own."))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::{Made, row};

    fn made(errors: u64, told: u64, timeouts: u64) -> Made {
        let counters = |by: u64| {
            Counters::from([
                ("Ip", "InHdrErrors", 1 + by * errors),
                ("Ip", "ForwDatagrams", by * 700),
                ("Ip", "ReasmTimeout", by * timeouts),
                ("Icmp", "OutTimeExcds", 2 + by * told),
            ])
        };
        Made::default().part(counters(0), counters(1))
    }

    #[test]
    fn a_loop() {
        let rows = vec![row("IP_INHDR", "ip_forward", "eth0", 60)];
        assert_snapshot!(made(60, 20, 0).drops(rows).told(&CHECK));
    }

    /// Redirects use up what may be sent to a host.
    #[test]
    fn a_loop_of_which_nobody_is_told() {
        let of = |function| made(60, 0, 0).drops(vec![row("IP_INHDR", function, "eth0", 60)]).check(&CHECK);
        assert_eq!(of("ip_forward").unwrap().len(), 1);
        assert_eq!(of("ip_rcv_core"), Ok(Vec::new()));
    }

    #[rstest::rstest]
    #[case::bad_headers(60, 0, 0)]
    #[case::fragments_that_time_out(60, 5, 5)]
    #[case::nothing(0, 0, 0)]
    fn else_there_is_nothing(#[case] errors: u64, #[case] told: u64, #[case] timeouts: u64) {
        assert_eq!(made(errors, told, timeouts).check(&CHECK), Ok(Vec::new()));
    }
}
