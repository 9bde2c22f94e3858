//! `routing-path-mtu`: connections whose large segments vanish on the way while small ones arrive: the path takes less, and nobody says so
//! (RFC 2923, 2.1; `tcp_mtu_probing`, `net/ipv4/tcp_timer.c`).

use super::{Stalls, moved};
use crate::counters::tcp_stalls::Stall;
use crate::doctor::parts::{Counters, Sysctls};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::times;

pub const CHECK: Check = Check {
    name: "routing-path-mtu",
    area: Area::Routing,
    scope: Scope::Netns,
    needs: &[source::<Stalls>(), source::<Counters>(), source::<Sysctls>()],
    run,
};

const PROBING: &str = "net.ipv4.tcp_mtu_probing";
/// So many timeouts in a row have the kernel itself suspect a black hole (`tcp_retries1`, Documentation/networking/ip-sysctl.rst).
const SUSPICIOUS: u8 = 3;
/// With probing it has made its segments smaller by then; so many more it may take.
const SUSPICIOUS_WITH_PROBING: u8 = 6;
/// What every path takes (`TCP_BASE_MSS`, include/net/tcp.h): segments that are smaller vanish for other reasons.
const SMALL: u32 = 1024;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let probing = window.sysctl(PROBING)?;
    let timeouts = if probing == 0 { SUSPICIOUS } else { SUSPICIOUS_WITH_PROBING };
    let stalls = window.now::<Stalls>()?;
    let vanishing = stalls.0.all.iter().filter(|stall| stall.timeouts >= timeouts && is_black_hole(stall));
    let findings: Vec<_> = vanishing.map(|stall| finding(window, stall, probing)).collect();
    if findings.is_empty() && stalls.0.is_cut {
        let why = format!(
            "{} of the connections that wait in vain were looked at, and there are more",
            stalls.0.all.len()
        );
        return Err(Unread::new(Stalls::FROM, why));
    }
    Ok(findings)
}

/// A full segment waits, and none of that size ever arrived: on average, those that did were smaller.
fn is_black_hole(stall: &Stall) -> bool {
    let average = stall.acknowledged / u64::from(stall.delivered.max(1));
    stall.segment > SMALL
        && stall.unacknowledged >= stall.segment
        && average * 4 < u64::from(stall.segment) * 3
}

fn finding(window: &Window, stall: &Stall, probing: u64) -> Finding {
    let Stall { remote, segment, path_mtu, timeouts, .. } = *stall;
    let subject = format!("connection {} to {remote}{}", stall.local, window.of_owner(stall.socket));
    let sentence = format!(
        "A segment of {segment} bytes has been sent {}, and none of that size ever arrived.",
        times(u64::from(timeouts) + 1)
    );
    let value = |name: &str, value: String| Evidence::value(name, value, Stalls::FROM);
    let arrived = format!("{} bytes in {} segments", stall.acknowledged, stall.delivered);
    let counters = [
        ("TcpExt", "TCPTimeouts"),
        ("TcpExt", "TCPMTUPSuccess"),
        ("TcpExt", "TCPMTUPFail"),
        ("Icmp", "InDestUnreachs"),
    ];
    let finding = Finding::new(Severity::Warning, subject, sentence)
        .shown_by([
            value("timeouts in a row", timeouts.to_string()),
            value("largest segment", format!("{segment} bytes, for an MTU of {path_mtu}")),
            value("arrived so far", arrived),
            value("nothing came for", format!("{} ms", stall.silent_for)),
        ])
        .shown_by(moved(window, &counters).unwrap_or_default())
        .shown_by(window.setting(PROBING))
        .because(
            Certainty::Possible,
            format!("A link on the way to {} takes less than {path_mtu} bytes, and the ICMP message that says so is filtered or never sent. Where nothing at all comes from there any more, it is away instead.", remote.ip()),
        )
        .caution("Probing finds the size by itself, some seconds late in each new connection: letting ICMP \"fragmentation needed\" and ICMPv6 \"packet too big\" through is better.");
    let finding = if probing == 0 {
        finding.remedy(Remedy::sysctl(
            window,
            "Have TCP try smaller segments where large ones vanish.",
            &[(PROBING, &1)],
        ))
    } else {
        finding
    };
    finding.remedy(Remedy::advice(format!(
        "See where it is: `tracepath -n {}`; then let ICMP pass there, or tell this host the size: `ip route add {} via GATEWAY mtu lock 1280`.",
        remote.ip(),
        remote.ip()
    )))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::counters::inet_sockets::Listed;
    use crate::counters::tcp_stalls::tests::made as stall;
    use crate::doctor::made::Made;

    fn made(stall: Stall, probing: u8) -> Made {
        let counters = |timeouts| Counters::from([("TcpExt", "TCPTimeouts", timeouts)]);
        let settings: Sysctls = [(PROBING, probing)].into_iter().collect();
        Made::default()
            .part(Stalls::default(), Stalls(vec![stall].into()))
            .part(counters(5), counters(9))
            .part(Sysctls::default(), settings)
            .owner(7, "nginx", 4242)
    }

    #[test]
    fn a_black_hole() {
        assert_snapshot!(made(stall("203.0.113.9:51000", 4, (518, 2)), 0).told(&CHECK));
    }

    #[test]
    fn of_a_list_that_was_cut_nothing_is_no_answer() {
        let fine = || Stalls(Listed { all: vec![stall("203.0.113.9:5", 2, (1, 1))], is_cut: true });
        let made = made(stall("203.0.113.9:5", 2, (1, 1)), 0).part(Stalls::default(), fine());
        let why = made.check(&CHECK).unwrap_err();
        assert!(
            why.ends_with("1 of the connections that wait in vain were looked at, and there are more"),
            "{why}"
        );
    }

    #[rstest::rstest]
    #[case::large_ones_arrived(stall("203.0.113.9:5", 4, (1_448_000, 1000)), 0)]
    #[case::too_early(stall("203.0.113.9:5", 2, (1, 1)), 0)]
    #[case::probing_is_under_way(stall("203.0.113.9:5", 4, (1, 1)), 1)]
    #[case::small_ones(Stall { segment: 536, ..stall("203.0.113.9:5", 4, (1, 1)) }, 0)]
    #[case::a_part_of_one(Stall { unacknowledged: 20, ..stall("203.0.113.9:5", 4, (1, 1)) }, 0)]
    fn else_it_is_something_else(#[case] stall: Stall, #[case] probing: u8) {
        assert_eq!(made(stall, probing).check(&CHECK), Ok(Vec::new()));
    }
}
