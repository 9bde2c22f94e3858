//! `link-length`: frames that are longer than the other end of a link takes (`rx_length_errors`; RFC 2819 etherStatsOversizePkts; between virtual
//! devices `__dev_forward_skb2`, net/core/dev.c).

use crate::counters::losses::Trouble;
use crate::doctor::ports::{Pair, Ports, most, pairs};
use crate::doctor::shell::shell;
use crate::doctor::{
    Area, Certainty, Check, Drops, Evidence, Finding, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::{counted, was};

pub const CHECK: Check =
    Check { name: "link-length", area: Area::Link, scope: Scope::Netns, needs: &[source::<Ports>()], run };

/// What drops frames that the other end of a veth pair doesn't take; kernels before 5.13 call it by the second name.
const EXPLAINED: [&str; 2] = ["__dev_forward_skb2", "__dev_forward_skb"];
/// Ethernet's header, and one VLAN tag.
const HEADER: u32 = 18;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let mut findings = Vec::new();
    for pair in pairs(window)? {
        if pair.now.link.is_hardware() {
            findings.extend(too_long(window, &pair));
        } else if pair.now.link.kind.as_deref() == Some("veth") {
            findings.extend(refused(window, &pair));
        }
    }
    Ok(findings)
}

/// The port received them.
fn too_long(window: &Window, pair: &Pair) -> Option<Finding> {
    let signs = pair.signs(Trouble::Length);
    let lost = most(&signs);
    let (name, mtu) = (pair.now.name(), pair.now.link.mtu);
    if lost == 0 {
        return None;
    }
    let sentence =
        format!("{} longer than {name} takes (MTU {mtu}).", counted(lost, "frame was", "frames were"));
    // The longest that came, if the device tells: the sender's MTU is near.
    let longer = pair.now.told.lengths.iter().filter(|range| range.from > mtu + HEADER && range.frames > 0);
    let longest = longer.max_by_key(|range| range.to);
    let shown = longest.map(|range| {
        let value =
            format!("{} of {} to {} bytes", counted(range.frames, "frame", "frames"), range.from, range.to);
        Evidence::value("longest received", value, format!("ethtool -S {name} --groups rmon"))
    });
    let finding = Finding::new(Severity::of_loss(lost, pair.traffic()[0]), name, sentence)
        .losing(window.rate(lost))
        .because(Certainty::Likely, "A device on this network has a larger MTU, as one with jumbo frames among others without.")
        .shown_by(signs)
        .shown_by([Evidence::value("mtu", mtu, format!("ip link show {name}"))])
        .shown_by(shown)
        .caution("All devices of one network need the same MTU, the switch's ports at least that: change the one that differs.");
    let larger = if longest.is_some_and(|range| range.from < 2048) { 2000 } else { 9000 };
    let finding = finding.remedy(Remedy::advice(format!("Give the sender the MTU of this network, {mtu}.")));
    Some(if mtu < larger {
        let command = format!("ip link set dev {} mtu {larger}", shell(name));
        finding.remedy(
            Remedy::command(
                "Or, where the whole network is to carry long frames, take them here too.",
                command,
            )
            .inside(window),
        )
    } else {
        finding
    })
}

/// This end of a veth pair sends longer frames than the other takes: counted on both sides, seen here.
fn refused(window: &Window, pair: &Pair) -> Option<Finding> {
    let dropped = pair.kernel("tx_dropped").filter(|moved| moved.by() > 0)?;
    let drops = window.drops_of(&EXPLAINED);
    let seen: u64 =
        drops.iter().map(|one| if let Evidence::Drops(Drops { drops, .. }) = one { *drops } else { 0 }).sum();
    let lost = dropped.by().min(seen);
    if lost == 0 {
        return None;
    }
    let (name, mtu, peer) = (pair.now.name(), pair.now.link.mtu, pair.now.peer_mtu);
    // The same drops come of an end that is down.
    if peer.is_some_and(|peer| peer >= mtu) {
        return None;
    }
    let sentence = format!(
        "{} that {name} sent (MTU {mtu}) {} dropped at the other end of the pair, which takes only shorter ones.",
        counted(lost, "frame", "frames"),
        was(lost)
    );
    let certainty = if peer.is_some() { Certainty::Certain } else { Certainty::Possible };
    let finding = Finding::new(Severity::of_loss(lost, pair.traffic()[1]), name, sentence)
        .losing(window.rate(lost))
        .because(certainty, "The two ends of the pair have different MTUs, and a frame is dropped that is longer than the receiving end's.")
        .shown_by([dropped])
        .shown_by([Evidence::value("mtu", mtu, format!("ip link show {name}"))])
        .shown_by(peer.map(|peer| Evidence::value("mtu of the other end", peer, "rtnetlink")))
        .shown_by(drops)
        .explains(&EXPLAINED)
        .caution("Connections that exist keep their segment size until it is found again. Where the other end is the one that is wrong, give it this one's MTU instead.");
    Some(match peer {
        Some(peer) => {
            let command = format!("ip link set dev {} mtu {peer}", shell(name));
            finding.remedy(
                Remedy::command("Send nothing that the other end doesn't take.", command).inside(window),
            )
        }
        None => finding.remedy(Remedy::advice(format!(
            "Compare the MTUs of both ends of the pair, and give both the same; here it is {mtu}."
        ))),
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::counters::ethtool_netlink::{Lengths, Told};
    use crate::doctor::made::Made;
    use crate::doctor::ports::made::{port, ports, told};

    #[test]
    fn jumbo_frames_among_others() {
        let of = |received, errors| {
            let lengths = vec![
                Lengths { from: 1024, to: 1518, frames: 9 },
                Lengths { from: 8192, to: 10_239, frames: errors },
            ];
            told(port(received, &[("rx_oversize", errors)]), Told { lengths, ..Told::default() })
        };
        assert_snapshot!(Made::default().part(of(0, 0), of(10_000, 250)).told(&CHECK));
    }

    #[test]
    fn what_a_veth_drops_for_other_reasons_is_not_its_length() {
        let of = |dropped| {
            let mut port = port(10_000, &[]);
            port.link.kind = Some("veth".into());
            port.link.losses = vec![("tx_dropped", dropped)];
            told(port, Told::default())
        };
        assert_eq!(Made::default().part(of(0), of(50)).check(&CHECK), Ok(Vec::new()));
        assert_eq!(
            Made::default().part(ports(port(0, &[])), ports(port(9, &[]))).check(&CHECK),
            Ok(Vec::new())
        );
    }
}
