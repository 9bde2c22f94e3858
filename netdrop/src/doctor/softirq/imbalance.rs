//! `softirq-imbalance`: one CPU receives what all could (`net_rx_action`, `get_rps_cpu`, net/core/dev.c).

use super::{Cpu, Softnet, pairs, percent};
use crate::counters::cpu_times::{CpuTime, CpuTimes};
use crate::counters::received::Received;
use crate::doctor::shell::shell;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Moved, Part as _, Remedy, Scope, Severity, Unread, Window,
    source,
};

pub const CHECK: Check = Check {
    name: "softirq-imbalance",
    area: Area::Softirq,
    scope: Scope::Host,
    needs: &[source::<Softnet>(), source::<CpuTimes>(), source::<Received>()],
    run,
};

/// With fewer packets a second, software interrupts that keep a CPU busy aren't the network's.
const FEWEST: f64 = 1000.0;
/// Of the CPU's time, in software interrupts: below, there is as much room as is used.
const BUSY_PERCENT: u64 = 50;
/// Of the CPU's time: with less left over, what comes more has to wait.
const FULL_PERCENT: u64 = 5;
/// Runs that ended with packets left, a second: with fewer and no drops, it is programs that fill the CPU, as those that send to their own host.
const SQUEEZED: f64 = 10.0;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let (times_before, times) = window.both::<CpuTimes>()?;
    let cpus: Vec<_> = pairs(window.both::<Softnet>()?).collect();
    let moved = |name: &str, cpu: u32, pair| {
        Moved::of_32_bits(format!("{name} on CPU {cpu}"), pair, window.lasted, Softnet::FROM)
    };
    let received: Vec<_> = cpus
        .iter()
        .map(|(old, new)| (new.cpu, moved("processed", new.cpu, (old.processed, new.processed))))
        .collect();
    let total: u64 = received.iter().map(|(_, moved)| moved.by()).sum();
    let Some((hot, most)) = received.iter().max_by_key(|(_, moved)| moved.by()) else {
        return Ok(Vec::new());
    };
    // Two thirds of all: on two CPUs, twice as many as on the other.
    if cpus.len() < 2 || window.rate(total) < FEWEST || most.by() * 3 < total * 2 {
        return Ok(Vec::new());
    }
    let spent = |cpu: u32| {
        let of = |times: &CpuTimes| times.0.iter().find(|one| one.cpu == cpu).copied();
        let (old, new) = (of(times_before).unwrap_or_default(), of(times)?);
        Some(CpuTime {
            cpu,
            total: new.total.saturating_sub(old.total),
            idle: new.idle.saturating_sub(old.idle),
            softirq: new.softirq.saturating_sub(old.softirq),
            ..new
        })
    };
    let Some(time) = spent(*hot) else { return Ok(Vec::new()) };
    let others: Vec<_> =
        cpus.iter().filter(|(_, new)| new.cpu != *hot).filter_map(|(_, new)| spent(new.cpu)).collect();
    let of_others = |count: fn(&CpuTime) -> u64| {
        percent(others.iter().map(count).sum(), others.iter().map(|time| time.total).sum())
    };
    let (busy, elsewhere) = (percent(time.softirq, time.total), of_others(|time| time.softirq));
    if busy < BUSY_PERCENT || elsewhere * 2 > busy {
        return Ok(Vec::new());
    }
    let rps: Vec<_> = cpus
        .iter()
        .map(|(old, new)| moved("received_rps", new.cpu, (old.received_rps, new.received_rps)))
        .filter(|moved| moved.by() > 0)
        .collect();
    let harm = |(old, new): &(Cpu, Cpu)| {
        let squeezed = moved("time_squeeze", new.cpu, (old.time_squeeze, new.time_squeeze));
        new.cpu == *hot && (squeezed.rate >= SQUEEZED || new.dropped != old.dropped)
    };
    let is_full = percent(time.idle, time.total) < FULL_PERCENT;
    let severity = if is_full && cpus.iter().any(harm) { Severity::Warning } else { Severity::Info };
    let sentence = format!(
        "{} % of all packets are received by one CPU of {}, which spends {busy} % of its time on them; the others spend {elsewhere} %.",
        percent(most.by(), total),
        cpus.len()
    );
    let (certainty, cause) = if rps.is_empty() {
        (
            Certainty::Likely,
            "They come by one receive queue, whose interrupt goes to this CPU, and receive packet steering (RPS) isn't in use.",
        )
    } else {
        (
            Certainty::Possible,
            "Packets are handed to other CPUs already (RPS): its mask names few of them, or most packets are of one flow, which stays on one CPU.",
        )
    };
    let mut shown: Vec<_> =
        received.iter().map(|(_, moved)| moved).filter(|moved| moved.by() > 0).cloned().collect();
    shown.sort_by_key(|moved| std::cmp::Reverse(moved.by()));
    shown.truncate(4);
    let left =
        format!("{} % here, {} % on the others", percent(time.idle, time.total), of_others(|time| time.idle));
    let all: Vec<u32> = cpus.iter().map(|(_, new)| new.cpu).collect();
    let finding = Finding::new(severity, format!("CPU {hot}"), sentence)
        .because(certainty, cause)
        .shown_by(shown)
        .shown_by(rps.into_iter().take(4))
        .shown_by([Evidence::value("idle time", left, CpuTimes::FROM)])
        .remedy(Remedy::advice("First of all more receive queues, if the network card has them, each with its interrupt on another CPU (`ethtool -l`)."))
        .caution("RPS costs an interrupt between CPUs for each batch. A single flow stays on one CPU, whatever the mask.");
    Ok(vec![spread(window, &all).into_iter().fold(finding, Finding::remedy)])
}

/// RPS over all CPUs, for the device that received the most.
fn spread(window: &Window, cpus: &[u32]) -> Option<Remedy> {
    let (before, after) = window.both::<Received>().ok()?;
    let by = |(name, packets): &&(String, u64)| packets.saturating_sub(before.by(name).unwrap_or(0));
    let (device, _) = after.0.iter().max_by_key(by)?;
    let what =
        format!("Or hand the packets of {device} to all CPUs (RPS, Documentation/networking/scaling.rst).");
    if window.home.enter.is_some() {
        // /sys shows the devices of the namespace that it was mounted in.
        return Some(Remedy::advice(format!(
            "{what} Its masks are rps_cpus below /sys, as seen in the namespace."
        )));
    }
    let mask = mask(cpus);
    let queues = format!("/sys/class/net/{}/queues/rx-*/rps_cpus", shell(device));
    let command = format!("for queue in {queues}; do echo {mask} > $queue; done");
    let kept = "A udev rule for the device, or a unit of systemd, that writes the mask at each boot.";
    Some(Remedy::command(what, command).kept_by(kept))
}

/// These CPUs as `rps_cpus` reads them: hexadecimal, groups of 32 joined by commas, the last group first.
fn mask(cpus: &[u32]) -> String {
    let groups = cpus.iter().max().map_or(1, |last| last / 32 + 1);
    let group = |number: u32| {
        cpus.iter().filter(|cpu| **cpu / 32 == number).fold(0_u32, |bits, cpu| bits | 1 << (cpu % 32))
    };
    let words: Vec<_> = (0..groups).rev().map(|number| format!("{:08x}", group(number))).collect();
    words.join(",")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::Made;

    /// Packets and ticks in software interrupts of each CPU, of 500 ticks each.
    fn made(cpus: [(u32, u64); 2], received_rps: u32) -> Made {
        let softnet = cpus.into_iter().zip(0..).map(|((processed, _), cpu)| Cpu {
            cpu,
            processed,
            received_rps: if cpu == 0 { received_rps } else { 0 },
            // Every tenth run of 300 packets is cut short.
            time_squeeze: processed / 3000,
            ..Cpu::default()
        });
        let times = cpus.into_iter().zip(0..).map(|((_, softirq), cpu)| CpuTime {
            cpu,
            total: 500,
            idle: 490 - softirq,
            softirq,
            ..CpuTime::default()
        });
        let devices = |packets| Received(vec![("lo".into(), 7), ("eth0".into(), packets)]);
        Made::default()
            .part(Softnet::default(), Softnet(softnet.collect()))
            .part(CpuTimes::default(), CpuTimes(times.collect()))
            .part(devices(0), devices(600_000))
    }

    #[test]
    fn one_cpu_does_it_all() {
        assert_snapshot!(made([(590_000, 480), (10_000, 10)], 0).told(&CHECK));
    }

    #[rstest::rstest]
    #[case::spread([(300_000, 480), (290_000, 470)], None)]
    #[case::others_are_busy_too([(590_000, 480), (10_000, 300)], None)]
    #[case::there_is_room([(590_000, 200), (10_000, 10)], None)]
    #[case::few_packets([(900, 480), (1, 1)], None)]
    #[case::busy_with_programs([(60_000, 480), (1000, 10)], Some(Severity::Info))]
    #[case::half_busy([(590_000, 260), (10_000, 10)], Some(Severity::Info))]
    fn harm_decides(#[case] cpus: [(u32, u64); 2], #[case] severity: Option<Severity>) {
        let findings = made(cpus, 0).check(&CHECK).unwrap();
        assert_eq!(findings.first().map(|finding| finding.severity), severity);
    }

    #[test]
    fn rps_that_doesnt_help_is_told() {
        let findings = made([(590_000, 480), (10_000, 10)], 700).check(&CHECK).unwrap();
        assert!(findings[0].cause.contains("one flow"), "{}", findings[0].cause);
    }

    #[rstest::rstest]
    #[case(&[0, 1], "00000003")]
    #[case(&[0, 2, 33], "00000002,00000005")]
    fn masks(#[case] cpus: &[u32], #[case] expected: &str) {
        assert_eq!(mask(cpus), expected);
    }
}
