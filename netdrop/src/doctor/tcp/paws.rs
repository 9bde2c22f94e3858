//! `tcp-paws`: segments whose timestamp is older than one that came before, which are taken for old duplicates (RFC 7323, section 5;
//! `tcp_validate_incoming`, `tcp_paws_check`, `net/ipv4/tcp_input.c`).

use super::{rise, risen};
use crate::doctor::parts::{Counters, Sysctls};
use crate::doctor::{
    Area, Certainty, Check, Finding, Moved, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "tcp-paws",
    area: Area::Tcp,
    scope: Scope::Netns,
    needs: &[source::<Counters>(), source::<Sysctls>()],
    run,
};

/// Connections that are open, those that are being opened, those in `TIME_WAIT`, and handshakes that echo what was never sent.
const REJECTED: [&str; 4] = ["PAWSEstab", "PAWSActive", "PAWSTimewait", "TSEcrRejected"];
const EXPLAINED: [&str; 4] =
    ["TCP_RFC7323_PAWS", "TCP_RFC7323_PAWS_ACK", "TCP_RFC7323_TW_PAWS", "TCP_RFC7323_TSECR"];
const TIMESTAMPS: &str = "net.ipv4.tcp_timestamps";

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    window.delta("TcpExt", REJECTED[0])?;
    let counters = risen(window, &REJECTED);
    let lost: u64 = counters.iter().map(Moved::by).sum();
    if lost == 0 {
        return Ok(Vec::new());
    }
    let sentence = format!(
        "{} dropped as the timestamps are older than what came before.",
        counted(lost, "segment was", "segments were")
    );
    let finding = Finding::new(Severity::of_loss(lost, rise(window, "Tcp", "InSegs")), "connections", sentence)
        .losing(window.rate(lost))
        .because(
            Certainty::Possible,
            "Several hosts with different clocks are behind one address (NAT, a load balancer), or a proxy rewrites timestamps of one direction; few may be late duplicates.",
        )
        .shown_by(counters)
        .shown_by(window.setting(TIMESTAMPS))
        .shown_by(window.drops_of(&EXPLAINED))
        .explains(&EXPLAINED)
        .remedy(Remedy::advice(
            "Have the NAT or proxy before this host keep timestamps as they are, or take them out of both directions; or give it more addresses.",
        ))
        .caution("Without timestamps, round trips are measured worse, ports in TIME_WAIT can't be taken again, and above a gigabit a second old segments may be taken for new ones.");
    let what = "As a last resort, use no timestamps on connections to come.";
    let is_on = window.sysctl(TIMESTAMPS).is_ok_and(|value| value > 0);
    Ok(vec![if is_on { finding.remedy(Remedy::sysctl(window, what, &[(TIMESTAMPS, &0)])) } else { finding }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made::Made;

    fn made(established: u64, time_wait: u64) -> Made {
        let counters = |established, time_wait, all| {
            Counters::from([
                ("TcpExt", "PAWSEstab", established),
                ("TcpExt", "PAWSTimewait", time_wait),
                ("Tcp", "InSegs", all),
            ])
        };
        let settings: Sysctls = [(TIMESTAMPS, 1)].into_iter().collect();
        Made::default()
            .part(counters(1, 1, 0), counters(1 + established, 1 + time_wait, 100_000))
            .part(Sysctls::default(), settings)
    }

    #[test]
    fn all_kinds_count() {
        let findings = made(100, 20).check(&CHECK).unwrap();
        assert!(findings[0].sentence.starts_with("120 segments"), "{findings:?}");
        assert_eq!(findings[0].severity, Severity::Warning);
        assert_eq!(findings[0].remedies[1].now, ["sysctl -w net.ipv4.tcp_timestamps=0"]);
        assert_eq!(made(2, 0).check(&CHECK).unwrap()[0].severity, Severity::Info);
        assert_eq!(made(0, 0).check(&CHECK), Ok(Vec::new()));
    }
}
