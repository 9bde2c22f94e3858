//! `udp-checksum`: datagrams whose checksum is wrong (`udp_queue_rcv_one_skb`, `udp_recvmsg`, `net/ipv4/udp.c`).

use super::{of_all, rise, risen};
use crate::doctor::parts::Counters;
use crate::doctor::shell::shell;
use crate::doctor::{
    Area, Certainty, Check, Finding, Moved, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check =
    Check { name: "udp-checksum", area: Area::Udp, scope: Scope::Netns, needs: &[source::<Counters>()], run };

const EXPLAINED: [&str; 1] = ["UDP_CSUM"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let counters = of_all(window, "InCsumErrors")?;
    let lost: u64 = counters.iter().map(Moved::by).sum();
    if lost == 0 {
        return Ok(Vec::new());
    }
    let device = window.device_of(&EXPLAINED);
    let subject = device.as_ref().map_or("datagrams".into(), |device| format!("datagrams from {device}"));
    let finding = Finding::new(
        Severity::of_loss(lost, rise(window, "InDatagrams")),
        subject,
        format!("{} dropped for a wrong checksum.", counted(lost, "datagram was", "datagrams were")),
    )
    .losing(window.rate(lost))
    .because(
        Certainty::Possible,
        "A guest or container sends with checksum offload that nobody completes (all of one sender's), or something on the way damages them (few of all senders').",
    )
    .shown_by(risen(counters))
    .shown_by(window.drops_of(&EXPLAINED))
    .explains(&EXPLAINED)
    .remedy(
        Remedy::command(
            "See whose they are. On that host, switch off checksum offload of sending: ethtool -K IF tx off.",
            "netdrop watch --reason UDP_CSUM --by src,device --duration 10s",
        ),
    )
    .caution("Checksums made by the CPU cost some of it; a capture on the sending host shows wrong ones even where all is well.");
    let check_here = |device: &str| {
        let what = "If they are of all senders, and a capture shows them right, the card checks wrongly: let the CPU check.";
        Remedy::command(what, format!("ethtool -K {} rx off", shell(device))).inside(window)
    };
    Ok(vec![match device.filter(|device| device != "lo") {
        Some(device) => finding.remedy(check_here(&device)),
        None => finding,
    }])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::Made;
    use crate::model::{Counts, Device, Reason, Row};

    fn made(lost: u64) -> Made {
        let counters = |errors, v6| {
            Counters::from([
                ("Udp", "InCsumErrors", errors),
                ("Udp6", "InCsumErrors", v6),
                ("Udp", "InDatagrams", errors * 1000),
            ])
        };
        let row = Row {
            counts: Counts { packets: lost, bytes: 0 },
            reason: Some(Arc::new(Reason {
                number: 9,
                name: "UDP_CSUM".into(),
                class: crate::knowledge::Class::Malformed,
                subsystem: "core".into(),
            })),
            device: Some(Arc::new(Device { index: 2, name: Some("eth1".into()) })),
            ..Row::default()
        };
        Made::default().part(counters(7, 2), counters(7 + lost, 2)).drops(vec![row])
    }

    #[test]
    fn the_device_is_named() {
        assert_snapshot!(made(50).told(&CHECK));
    }

    #[test]
    fn none_is_nothing() {
        assert_eq!(made(0).check(&CHECK), Ok(Vec::new()));
    }
}
