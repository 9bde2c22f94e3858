//! `link-pause-received` and `link-pause-sent`: flow control (IEEE 802.3, annex 31B; with priorities 802.1Qbb). Who is stopping whom.

use crate::counters::losses::Trouble;
use crate::doctor::ports::{Pair, Ports, hardware, most};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::times;

pub const RECEIVED: Check = Check {
    name: "link-pause-received",
    area: Area::Link,
    scope: Scope::Netns,
    needs: &[source::<Ports>()],
    run: |window| run(window, Trouble::Paused),
};

pub const SENT: Check = Check {
    name: "link-pause-sent",
    area: Area::Link,
    scope: Scope::Netns,
    needs: &[source::<Ports>()],
    run: |window| run(window, Trouble::Pausing),
};

/// A pause lasts 65535 × 512 bits at most: 33 ms at 1 Gbit/s, 3.4 ms at 10. So many a second stop a link for a noticeable part of the time.
const MANY: f64 = 10.0;

fn run(window: &Window, which: Trouble) -> Result<Vec<Finding>, Unread> {
    let mut findings = Vec::new();
    for pair in hardware(window)? {
        let signs = pair.signs(which);
        let frames = most(&signs);
        if frames == 0 {
            continue;
        }
        let severity = if window.rate(frames) >= MANY { Severity::Warning } else { Severity::Info };
        let pause = pair.now.told.pause;
        let switches = pause.map(|pause| {
            let word = |is_on| if is_on { "on" } else { "off" };
            let value = format!("receive {}, transmit {}", word(pause.heeds), word(pause.asks));
            Evidence::value("flow control", value, format!("ethtool -a {}", pair.now.name()))
        });
        let told = if which == Trouble::Paused { received } else { sent };
        findings.push(told(window, &pair, frames, severity).shown_by(signs).shown_by(switches));
    }
    Ok(findings)
}

/// The other end's input buffer is under pressure, and our transmit queue is blocked at its head.
fn received(window: &Window, pair: &Pair, frames: u64, severity: Severity) -> Finding {
    let name = pair.now.name();
    let sentence = format!(
        "The other end stopped {name} {}: what waits to be sent here is blocked at the head of its queue, whoever it is for.",
        times(frames)
    );
    Finding::new(severity, name, sentence)
        .because(Certainty::Certain, "The other end can't take what it gets: its buffer is under pressure, as an output behind it is slower or is paused itself.")
        .remedy(Remedy::advice("Look for the port behind it that is slow: the one that is full, or that receives pause frames in turn."))
        .remedy(pair.now.remedy(window, "Have the other end drop what it can't take, rather than stop everybody's packets.", "pause", ("-A", "autoneg off rx off")))
        .caution("Without flow control packets are dropped at the bottleneck: right for TCP, wrong for storage that relies on no loss (RoCE, FCoE).")
}

/// Our own input buffer is under pressure: the host is slower than the link.
fn sent(window: &Window, pair: &Pair, frames: u64, severity: Severity) -> Finding {
    let name = pair.now.name();
    let sentence = format!(
        "{name} stopped the other end {}, as its own receive buffer was full: this host takes packets more slowly than they come.",
        times(frames)
    );
    let finding = Finding::new(severity, name, sentence)
        .because(Certainty::Certain, "The ring isn't emptied in time: its CPU is busy, the ring is short, or the bus is slow. Flow control moves the loss to the switch, where it hits others too.")
        .caution("Without flow control the loss is counted here, by ring-overrun: it becomes visible, and it hits this host alone.");
    let larger = pair.now.told.ring.filter(|(now, most)| now < most);
    let finding = match larger {
        Some((_, most)) => finding.remedy(pair.now.remedy(
            window,
            format!("Give bursts room: {most} packets in the receive ring."),
            "ring",
            ("-G", &format!("rx {most}")),
        )),
        None => finding.remedy(Remedy::advice(
            "Spread the packets over more CPUs: netdrop doctor --only interrupts tells how.",
        )),
    };
    finding.remedy(pair.now.remedy(
        window,
        "Stop stopping the switch.",
        "pause",
        ("-A", "autoneg off tx off"),
    ))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::counters::ethtool_netlink::{Pause, Told};
    use crate::doctor::made::Made;
    use crate::doctor::ports::made::{port, told};

    fn of(received: u64, sent: u64) -> Ports {
        let pause = Pause { heeds: true, asks: true, received: Some(received), sent: Some(sent) };
        let told_by_ethtool = Told { pause: Some(pause), ring: Some((512, 4096)), ..Told::default() };
        told(port(1000, &[("rx_flow_control_xoff", received)]), told_by_ethtool)
    }

    #[test]
    fn the_other_end_stops_us() {
        assert_snapshot!(Made::default().part(of(1, 2), of(501, 2)).told(&RECEIVED));
    }

    #[test]
    fn we_stop_the_other_end() {
        assert_snapshot!(Made::default().part(of(1, 2), of(1, 502)).told(&SENT));
    }

    #[test]
    fn few_are_information_and_none_nothing() {
        let made = Made::default().part(of(1, 2), of(9, 2));
        assert_eq!(made.check(&RECEIVED).unwrap()[0].severity, Severity::Info);
        assert_eq!(made.check(&SENT), Ok(Vec::new()));
    }
}
