//! `link-discards`: packets that a device's driver or the stack discarded though nothing was wrong with them: ifInDiscards and ifOutDiscards of
//! RFC 2863 (`rx_dropped`, `tx_dropped` of `struct rtnl_link_stats64`). What the ring lost is counted apart, by `rx_missed_errors`.

use crate::counters::losses::Trouble;
use crate::doctor::ports::{Pair, Ports, most, pairs};
use crate::doctor::shell::shell;
use crate::doctor::{
    Area, Certainty, Check, Drops, Evidence, Finding, Moved, Remedy, Scope, Severity, Span, Unread, Window,
    source,
};
use crate::model::Row;
use crate::units::{counted, was};

pub const CHECK: Check =
    Check { name: "link-discards", area: Area::Link, scope: Scope::Netns, needs: &[source::<Ports>()], run };

/// Frames of protocols that this host doesn't speak (LLDP, STP, CDP) come every second or two on any network, and are discarded: no more
/// of them a second, and in a short time.
const STRAYS_A_SECOND: u64 = 2;
const STRAYS: u64 = 10;
/// What the stack counts of them (`__netif_receive_skb_core`, net/core/dev.c), with what else it and the driver discard.
const RECEIVED: &str = "rx_dropped";
/// Reasons that other checks explain, and that are counted here too (`enqueue_to_backlog`, `__dev_forward_skb2`, net/core/dev.c).
const OF_OTHERS: [&str; 3] = ["CPU_BACKLOG", "__dev_forward_skb2", "__dev_forward_skb"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let mut findings = Vec::new();
    for pair in pairs(window)? {
        let [received, sent, ..] = pair.traffic();
        // The driver's own counters of it say so in their names.
        let is_out = |sign: &Moved| sign.counter.starts_with("tx") || sign.counter.contains(" tx");
        let (out, inwards): (Vec<_>, Vec<_>) = pair.signs(Trouble::Discard).into_iter().partition(is_out);
        let lost_inwards = most(&inwards).saturating_sub(by_program(&pair));
        let lost_out = most(&out);
        findings.extend(discarded(window, &pair, inwards, lost_inwards, ("received", received)));
        findings.extend(discarded(window, &pair, out, lost_out, ("was to send", sent)));
    }
    Ok(findings)
}

/// What an XDP program drops: `virtio_net` counts it among its drops too (`receive_small_xdp`, `drivers/net/virtio_net.c`).
fn by_program(pair: &Pair) -> u64 {
    let counts_twice = pair.now.driver.as_deref() == Some("virtio_net");
    if counts_twice { most(&pair.signs(Trouble::Program)) } else { 0 }
}

fn discarded(
    window: &Window,
    pair: &Pair,
    signs: Vec<Moved>,
    discards: u64,
    (verb, passed): (&str, u64),
) -> Option<Finding> {
    let name = pair.now.name();
    let mut reasons = reasons(window, pair.now.link.index);
    let of_others: u64 = reasons
        .iter()
        .filter(|(name, _)| OF_OTHERS.contains(&name.as_str()))
        .map(|(_, drops)| drops.drops)
        .sum();
    reasons.retain(|(name, _)| !OF_OTHERS.contains(&name.as_str()));
    let lost = discards.saturating_sub(of_others);
    if lost < STRAYS.max(window.lasted.as_secs().saturating_mul(STRAYS_A_SECOND)) {
        return None;
    }
    let sentence = format!(
        "{} that {name} {verb} {} discarded by its driver or the stack, though nothing was wrong.",
        counted(lost, "packet", "packets"),
        was(lost)
    );
    let worst = reasons.iter().max_by_key(|(_, drops)| drops.drops).map(|(name, _)| name.clone());
    // Where drops aren't counted, nobody knows whether these are others' broadcasts.
    let are_counted = window.drops.is_ok() && window.span == Span::Window;
    let may_be_foreign = worst.is_none() && !are_counted && signs.iter().all(|sign| sign.counter == RECEIVED);
    let cause = match worst.as_deref() {
        Some("UNHANDLED_PROTO") => "They are of a protocol or a VLAN that nobody here takes: others' broadcasts, most likely.".to_owned(),
        Some(reason) => format!("netdrop saw most of them dropped with {reason}: netdrop explain {reason} tells more."),
        None if may_be_foreign => "Of a protocol that nobody here takes, most likely, or the driver dropped them: drops with their reasons weren't counted, and would tell.".to_owned(),
        None => "The driver dropped them before the stack saw them, or after it gave them away: no buffer, a full queue, a filter.".to_owned(),
    };
    let judged = Severity::of_loss(lost, passed);
    let is_foreign = worst.as_deref() == Some("UNHANDLED_PROTO");
    let severity = if is_foreign || may_be_foreign { Severity::Info } else { judged.min(Severity::Warning) };
    let certainty = if worst.is_some() { Certainty::Likely } else { Certainty::Possible };
    Some(
        Finding::new(severity, name, sentence)
            .losing(window.rate(lost))
            .because(certainty, cause)
            .shown_by(signs)
            .shown_by(reasons.into_iter().map(|(_, drops)| Evidence::Drops(drops)))
            .remedy(
                Remedy::command(
                    "See each with its reason and its flow.",
                    format!("netdrop watch --device {} --duration 30s", shell(name)),
                )
                .inside(window),
            ),
    )
}

/// netdrop's own drops at a device, by reason or, where the kernel gives none, by function.
fn reasons(window: &Window, index: u32) -> Vec<(String, Drops)> {
    let rows = window.drops.as_ref().copied().unwrap_or_default();
    let here = |row: &&Row| {
        let netns = row.netns.as_ref().map_or(0, |netns| netns.inode);
        (netns == 0 || netns == window.home.inode)
            && row.device.as_ref().is_some_and(|device| device.index == index)
    };
    let mut found: Vec<(String, Drops)> = Vec::new();
    for row in rows.iter().filter(here) {
        let drops = window.told(row);
        let known = drops.reason.clone().filter(|reason| reason != "NOT_SPECIFIED");
        let Some(name) = known.or_else(|| drops.function.clone()) else { continue };
        match found.iter_mut().find(|(one, _)| *one == name) {
            Some((_, sum)) => {
                sum.drops += drops.drops;
                sum.rate = window.rate(sum.drops);
            }
            None => found.push((name, drops)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use insta::assert_snapshot;

    use super::*;
    use crate::counters::ethtool_netlink::Told;
    use crate::doctor::made::Made;
    use crate::doctor::ports::made::{port, told};
    use crate::model::{Counts, Device, Reason};

    fn of(received: u64, dropped: u64) -> Ports {
        let mut port = port(received, &[]);
        port.link.losses = vec![("rx_dropped", dropped)];
        told(port, Told::default())
    }

    fn row(name: &str, packets: u64) -> Row {
        let class = crate::knowledge::Class::Unknown;
        Row {
            counts: Counts { packets, bytes: 0 },
            reason: Some(Arc::new(Reason { number: 9, name: name.into(), class, subsystem: "core".into() })),
            device: Some(Arc::new(Device { index: 2, name: None })),
            ..Row::default()
        }
    }

    #[test]
    fn with_the_reason_that_netdrop_saw() {
        let made = Made::default().part(of(0, 0), of(10_000, 400));
        assert_snapshot!(made.drops(vec![row("TC_INGRESS", 390), row("UNHANDLED_PROTO", 4)]).told(&CHECK));
    }

    #[test]
    fn foreign_protocols_are_information_and_strays_nothing() {
        let made = |dropped| {
            Made::default().part(of(0, 0), of(10_000, dropped)).drops(vec![row("UNHANDLED_PROTO", dropped)])
        };
        assert_eq!(made(400).check(&CHECK).unwrap()[0].severity, Severity::Info);
        assert_eq!(made(9).check(&CHECK), Ok(Vec::new()));
    }

    /// Drops aren't counted then: broadcasts of others are among them, in every host's days.
    #[test]
    fn what_was_discarded_since_the_boot_is_information() {
        let made = |sign: &'static str| {
            let of = |count| {
                let mut port = port(count, &[]);
                port.link.losses = vec![(sign, count / 10)];
                told(port, Told::default())
            };
            Made::default().part(of(0), of(10_000)).since_boot().check(&CHECK).unwrap()[0].severity
        };
        assert_eq!((made("rx_dropped"), made("tx_dropped")), (Severity::Info, Severity::Warning));
    }

    #[rstest::rstest]
    #[case::as_many_as_anywhere(5000, 900, 0)]
    #[case::more(5000, 11_000, 1)]
    fn strays_come_all_the_time(#[case] seconds: u64, #[case] dropped: u64, #[case] findings: usize) {
        let made = Made::default().part(of(0, 0), of(100_000, dropped)).lasting(Duration::from_secs(seconds));
        assert_eq!(made.check(&CHECK).unwrap().len(), findings);
    }

    #[test]
    fn a_full_backlog_is_anothers() {
        let made = Made::default().part(of(0, 0), of(10_000, 400)).drops(vec![row("CPU_BACKLOG", 395)]);
        assert_eq!(made.check(&CHECK), Ok(Vec::new()));
    }
}
