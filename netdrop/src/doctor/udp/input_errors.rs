//! `udp-input-errors`: datagrams that were dropped for another reason than a full queue, a checksum or memory (`InErrors` counts all
//! four; `udp_queue_rcv_one_skb`, `__udp4_lib_rcv`, `net/ipv4/udp.c`): a length that is wrong, a filter at the socket, a policy of `IPsec`.

use super::{of_all, rise, risen};
use crate::doctor::parts::Counters;
use crate::doctor::{
    Area, Certainty, Check, Finding, Moved, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "udp-input-errors",
    area: Area::Udp,
    scope: Scope::Netns,
    needs: &[source::<Counters>()],
    run,
};

/// Those that have checks of their own.
const KNOWN: [&str; 3] = ["RcvbufErrors", "InCsumErrors", "MemErrors"];
/// The drop reason, and what it means of a datagram.
const CAUSES: [(&str, &str); 3] = [
    (
        "SOCKET_FILTER",
        "A filter at the socket (SO_ATTACH_FILTER, SO_ATTACH_BPF) or at its cgroup refused them.",
    ),
    ("XFRM_POLICY", "A policy of IPsec wants them encrypted, and they came in the clear."),
    ("PKT_TOO_SMALL", "The length that their header gives is more than there is, or less than a header."),
];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let counters = of_all(window, "InErrors")?;
    let all: u64 = counters.iter().map(Moved::by).sum();
    let lost = all.saturating_sub(KNOWN.iter().map(|name| rise(window, name)).sum());
    if lost == 0 {
        return Ok(Vec::new());
    }
    let shown = CAUSES.iter().filter(|(reason, _)| !window.drops_of(&[reason]).is_empty());
    let shown: Vec<_> = shown.collect();
    let sentence = format!(
        "{} dropped at the socket, for another reason than a full queue or a checksum.",
        counted(lost, "datagram was", "datagrams were")
    );
    // A filter drops what somebody doesn't want; without one, nobody does so on purpose.
    let is_filter = matches!(shown[..], [("SOCKET_FILTER", _)]);
    let most = if is_filter { Severity::Info } else { Severity::Warning };
    let finding = Finding::new(
        Severity::of_loss(lost, rise(window, "InDatagrams")).min(most),
        "UDP's sockets",
        sentence,
    )
    .losing(window.rate(lost))
    .shown_by(risen(counters))
    .remedy(Remedy::command(
        "See why and whose they are.",
        "netdrop watch --proto udp --not-reason NO_SOCKET --by reason,src,port --duration 10s",
    ));
    let reasons: Vec<_> = shown.iter().map(|(reason, _)| *reason).collect();
    let causes: Vec<_> = shown.iter().map(|(_, cause)| *cause).collect();
    Ok(vec![if shown.is_empty() {
        finding.because(Certainty::Possible, "A filter at the socket, a policy of IPsec, or a length that is wrong; kernels before 5.14 count UDP's memory being used up here, too.")
    } else {
        finding.because(Certainty::Likely, causes.join(" ")).shown_by(window.drops_of(&reasons))
    }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made::Made;

    fn made(errors: u64, full: u64, checksum: u64) -> Made {
        let counters = |errors, full, checksum| {
            Counters::from([
                ("Udp", "InErrors", errors),
                ("Udp", "RcvbufErrors", full),
                ("Udp", "InCsumErrors", checksum),
                ("Udp", "InDatagrams", 0),
            ])
        };
        Made::default().part(counters(4, 0, 0), counters(4 + errors, full, checksum))
    }

    #[test]
    fn only_what_has_no_check_of_its_own_counts() {
        let findings = made(100, 50, 20).check(&CHECK).unwrap();
        assert!(findings[0].sentence.starts_with("30 datagrams"), "{findings:?}");
        assert_eq!((findings[0].severity, findings[0].rate), (Severity::Warning, 6.0));
        assert_eq!(made(70, 50, 20).check(&CHECK), Ok(Vec::new()));
        assert_eq!(made(0, 0, 0).check(&CHECK), Ok(Vec::new()));
    }
}
