//! `ring-overrun`: packets that found no room in the receive ring (`rx_missed_errors`, `rx_fifo_errors`, `rx_over_errors` of
//! `struct rtnl_link_stats64`, `include/uapi/linux/if_link.h`, and what drivers call them).

use crate::counters::cpu_times::CpuTimes;
use crate::counters::losses::Trouble;
use crate::doctor::interrupts::hot;
use crate::doctor::ports::{Pair, Ports, hardware, longer, most};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::{counted, was};

pub const CHECK: Check = Check {
    name: "ring-overrun",
    area: Area::Ring,
    scope: Scope::Netns,
    needs: &[source::<Ports>(), source::<CpuTimes>()],
    run,
};

/// The interval that drivers of 10 Gbit/s cards take for their middle rate: 20,000 interrupts a second (ixgbe, `IXGBE_20K_ITR`).
const MODERATE_US: u32 = 50;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let mut findings = Vec::new();
    for pair in hardware(window)? {
        let (signs, near) = (pair.signs(Trouble::Ring), pair.signs(Trouble::Near));
        let (lost, held) = (most(&signs), most(&near));
        if lost + held == 0 {
            continue;
        }
        let name = pair.now.name();
        let sentence = if lost > 0 {
            format!(
                "{} found no room in the receive ring of {name} and {} lost: it wasn't emptied in time.",
                counted(lost, "packet", "packets"),
                was(lost)
            )
        } else {
            format!(
                "{} found no room in the receive ring of {name}; the card held back until there was: it was nearly too late.",
                counted(held, "packet", "packets")
            )
        };
        let severity = if lost > 0 { Severity::of_loss(lost, pair.traffic()[0]) } else { Severity::Info };
        let hot = hot(window)?;
        let cause = if hot.is_empty() {
            "Packets come in bursts longer than the ring, or interrupts are held back too long: no CPU is busy with them all the time."
        } else {
            "The CPU that empties it is busy with interrupts: packets come faster than it takes them."
        };
        let finding = Finding::new(severity, name, sentence)
            .losing(window.rate(lost))
            .because(Certainty::Likely, cause)
            .shown_by(signs)
            .shown_by(near)
            .shown_by(settings(&pair))
            .shown_by(hot.iter().map(|(cpu, share)| Evidence::value(format!("CPU {cpu} in interrupts"), format!("{:.0} percent of its time", share * 100.0), CpuTimes::FROM)))
            .caution("Setting the ring restarts the device: its link may go down for a second or two. A longer ring carries bursts; where packets come faster all the time, it only makes them wait.");
        findings.push(
            remedies(window, &pair, lost + held, !hot.is_empty()).into_iter().fold(finding, Finding::remedy),
        );
    }
    Ok(findings)
}

fn settings(pair: &Pair) -> Vec<Evidence> {
    let (name, told) = (pair.now.name(), &pair.now.told);
    let ring = told.ring.map(|(now, most)| {
        Evidence::value("receive ring", format!("{now} of {most} packets"), format!("ethtool -g {name}"))
    });
    let coalesce = told.coalesce.and_then(|coalesce| {
        let adaptive = if coalesce.is_adaptive == Some(true) { ", adaptive" } else { "" };
        Some(Evidence::value(
            "rx-usecs",
            format!("{}{adaptive}", coalesce.microseconds?),
            format!("ethtool -c {name}"),
        ))
    });
    let channels = told.channels.map(|channels| {
        let ((now, most), kind) =
            if channels.combined.1 > 0 { (channels.combined, "combined") } else { (channels.receive, "rx") };
        Evidence::value("channels", format!("{now} of {most} ({kind})"), format!("ethtool -l {name}"))
    });
    [ring, coalesce, channels].into_iter().flatten().collect()
}

/// In the order to try them: the ring, when it interrupts, more CPUs.
fn remedies(window: &Window, pair: &Pair, lost: u64, is_hot: bool) -> Vec<Remedy> {
    let (port, told) = (pair.now, &pair.now.told);
    let mut remedies = Vec::new();
    match (told.ring, told.ring.and_then(|ring| longer(ring, lost))) {
        (Some((now, most)), Some(enough)) => {
            let what = format!("Give bursts room: {enough} packets instead of {now}; at most {most}.");
            remedies.push(port.remedy(window, what, "ring", ("-G", &format!("rx {enough}"))));
        }
        (Some((_, most)), None) if port.driver.as_deref() == Some("virtio_net") => remedies.push(Remedy::advice(format!(
            "The ring has all of the {most} packets that the hypervisor gives: let it give more (QEMU: rx_queue_size=1024; libvirt: <driver rx_queue_size='1024'/>)."
        ))),
        _ => {}
    }
    if let Some(microseconds) = held_back(window, pair) {
        let what = format!("Interrupt sooner: within {microseconds} µs half of the ring fills at this rate.");
        remedies.push(port.remedy(window, what, "coalesce", ("-C", &format!("rx-usecs {microseconds}"))));
    }
    if is_hot {
        remedies.push(Remedy::advice("Spread the packets over more CPUs: netdrop doctor --only interrupts tells how, in the order to try it."));
    }
    if remedies.is_empty() {
        remedies.push(Remedy::advice("The ring is as long as it can be: let more CPUs empty it (netdrop doctor --only interrupts), take less time for each packet, or have less traffic."));
    }
    remedies
}

/// The interval in which half of the ring fills at the measured rate, where interrupts are held back for longer.
fn held_back(window: &Window, pair: &Pair) -> Option<u32> {
    let (now, _) = pair.now.told.ring?;
    let coalesce = pair.now.told.coalesce.filter(|coalesce| coalesce.is_adaptive != Some(true))?;
    let queues = u64::from(pair.now.receive_queues().max(1));
    let packets = (pair.traffic()[0] / queues).max(1);
    let span = u64::try_from(window.lasted.as_micros()).unwrap_or(u64::MAX);
    let half = span.saturating_mul(u64::from(now / 2)) / packets;
    let half = u32::try_from(half).unwrap_or(u32::MAX);
    let set = coalesce.microseconds.filter(|set| *set > half && *set > MODERATE_US)?;
    Some(half.clamp(1, MODERATE_US).min(set))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::counters::ethtool_netlink::{Channels, Coalesce, Told};
    use crate::counters::links::Link;
    use crate::doctor::interrupts::made::window;
    use crate::doctor::made::Made;
    use crate::doctor::ports::Port;
    use crate::doctor::ports::made::port;
    use crate::doctor::shell::made::{arguments, printed};

    fn made(percent: u64, counter: &str, lost: u64, ring: (u32, u32), microseconds: u32) -> Made {
        let coalesce = Some(Coalesce { microseconds: Some(microseconds), is_adaptive: Some(false) });
        let channels = Some(Channels { combined: (1, 8), receive: (0, 0) });
        let told = Told { ring: Some(ring), coalesce, channels, ..Told::default() };
        let of = |received, lost| Port { told: told.clone(), ..port(received, &[(counter, lost)]) };
        window(percent, of(0, 0), of(500_000, lost))
    }

    #[test]
    fn bursts_on_a_short_ring() {
        assert_snapshot!(made(10, "rx_missed_errors", 2500, (512, 4096), 30).told(&CHECK));
    }

    #[rstest::rstest]
    #[case("eth0")]
    #[case("$(id);'x")]
    #[case(r"a\b`id`")]
    fn a_cards_name_stays_one_word(#[case] name: &str) {
        let of = |lost| {
            let port = port(0, &[("rx_missed_errors", lost)]);
            let told = Told { ring: Some((512, 4096)), ..Told::default() };
            Port { link: Link { name: name.into(), ..port.link }, told, ..port }
        };
        let findings = window(10, of(0), of(2500)).check(&CHECK).unwrap();
        let remedy = &findings[0].remedies[0];
        assert_eq!(arguments("ethtool", &remedy.now[0]), ["-G", name, "rx", "4096"]);
        let (print, file) = remedy.persistently.as_ref().unwrap().split_once(" > ").unwrap();
        assert!(printed(print).ends_with("RUN+=\"/usr/sbin/ethtool -G $name rx 4096\"\n"), "{print}");
        let path = format!("/etc/udev/rules.d/90-{name}-ring.rules");
        assert_eq!(arguments("told", &format!("told {file}")), [path]);
    }

    #[test]
    fn a_busy_cpu_and_a_full_ring() {
        assert_snapshot!(made(90, "rx_missed_errors", 2500, (4096, 4096), 30).told(&CHECK));
    }

    #[test]
    fn interrupts_that_are_held_back() {
        // 100,000 packets a second: half of 64 is there after 320 µs.
        let findings = made(10, "rx_missed_errors", 2500, (64, 64), 1000).check(&CHECK).unwrap();
        assert_eq!(findings[0].remedies[0].now, ["ethtool -C eth0 rx-usecs 50"]);
    }

    #[test]
    fn what_the_card_held_is_information() {
        let findings = made(10, "rx_no_buffer_count", 2500, (256, 4096), 30).check(&CHECK).unwrap();
        assert_eq!((findings[0].severity, findings[0].rate), (Severity::Info, 0.0));
    }

    #[test]
    fn nothing_lost_is_nothing_whatever_the_settings() {
        assert_eq!(made(90, "rx_missed_errors", 0, (64, 4096), 1000).check(&CHECK), Ok(Vec::new()));
    }
}
