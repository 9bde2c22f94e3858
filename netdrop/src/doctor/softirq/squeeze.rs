//! `softirq-time-squeeze`: software interrupts that end with work left (`net_rx_action`, net/core/dev.c).

use super::{Softnet, pairs};
use crate::doctor::parts::Sysctls;
use crate::doctor::{
    Area, Certainty, Check, Finding, Moved, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};

pub const CHECK: Check = Check {
    name: "softirq-time-squeeze",
    area: Area::Softirq,
    scope: Scope::Host,
    needs: &[source::<Softnet>(), source::<Sysctls>()],
    run,
};

const BUDGET: &str = "net.core.netdev_budget";
const TIME: &str = "net.core.netdev_budget_usecs";
const WEIGHT: &str = "net.core.dev_weight";
/// The kernel's own packets a run, and packets a turn of a backlog (net/core/hotdata.c; 5.10: net/core/dev.c). Its own time is two ticks of the
/// scheduler's clock, `2 * USEC_PER_SEC / HZ`: 20,000, 8000 or 2000 µs with 100, 250 or 1000 Hz.
const DEFAULT_BUDGET: u64 = 300;
const DEFAULT_WEIGHT: u64 = 64;
/// The longest run that is advised: programs stutter for those who watch from some 50 ms on.
const LONGEST_US: u64 = 50_000;
/// Each such end costs a turn through the scheduler, some ten microseconds: below so many a second, nobody notices.
const FEW: f64 = 10.0;
/// Of the CPU's time in runs that used up theirs: with less, it is a host that was busy for moments.
const MUCH: f64 = 0.25;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let budget = window.sysctl(BUDGET).unwrap_or(DEFAULT_BUDGET);
    let time_us = window.sysctl(TIME).ok().and_then(|time| u32::try_from(time).ok()).map_or(0.0, f64::from);
    let mut squeezed = Vec::new();
    let mut packets = 0;
    let mut is_lasting = false;
    for (before, after) in pairs(window.both::<Softnet>()?) {
        let name = format!("time_squeeze on CPU {}", after.cpu);
        let moved =
            Moved::of_32_bits(name, (before.time_squeeze, after.time_squeeze), window.lasted, Softnet::FROM);
        if moved.rate < FEW {
            continue;
        }
        let processed = u64::from(after.processed.wrapping_sub(before.processed));
        packets += processed;
        let taken = moved.by().saturating_mul(budget);
        is_lasting |= if processed >= taken {
            // A run that used up its budget took so many packets: when those are half of all, being cut short is the rule.
            taken.saturating_mul(2) >= processed
        } else {
            // Else it used up its time.
            moved.rate * time_us / 1e6 >= MUCH
        };
        squeezed.push(moved);
    }
    let Some(worst) = squeezed.iter().max_by(|one, other| one.rate.total_cmp(&other.rate)) else {
        return Ok(Vec::new());
    };
    let severity = if is_lasting { Severity::Warning } else { Severity::Info };
    let sentence = format!(
        "Software interrupts ended with packets left to receive, {:.0} times a second on the busiest CPU.",
        worst.rate
    );
    let subject = match &squeezed[..] {
        [one] => one.counter.replace("time_squeeze on ", ""),
        several => format!("{} CPUs", several.len()),
    };
    // With fewer packets to each than the budget allows, it was the time that ended them.
    let runs: u64 = squeezed.iter().map(Moved::by).sum();
    let (certainty, cause) = if packets < runs.saturating_mul(budget) {
        (
            Certainty::Likely,
            "Runs of the software interrupt use up their time before their packets: each packet costs much (rules, eBPF programs, captures), or other work on the CPU interrupts them. The rest waits for ksoftirqd, which competes with programs.",
        )
    } else {
        (
            Certainty::Likely,
            "More packets come than a run of the software interrupt may take; the rest waits for ksoftirqd, which competes with programs for the CPU.",
        )
    };
    let finding = Finding::new(severity, subject, sentence)
        .because(certainty, cause)
        .shown_by(squeezed)
        .shown_by([BUDGET, TIME, WEIGHT].into_iter().filter_map(|key| window.setting(key)));
    Ok(vec![
        longer(window, budget)
            .into_iter()
            .fold(finding, Finding::remedy)
            .remedy(Remedy::advice(
                "Spread the packets over more CPUs: more queues of the network card, or RPS.",
            ))
            .caution("Longer runs keep programs on these CPUs from running for as long; where nothing is lost, it may be left as it is."),
    ])
}

/// Twice the packets and, where the kernel tells it, twice the time of each run; a weight that takes a whole run at once is set back.
fn longer(window: &Window, budget: u64) -> Option<Remedy> {
    let packets = budget.saturating_mul(2).max(DEFAULT_BUDGET);
    let time = window.sysctl(TIME).ok().map(|time| time.saturating_mul(2).min(LONGEST_US.max(time)));
    let is_heavy = window.sysctl(WEIGHT).is_ok_and(|weight| weight > packets);
    let mut settings: Vec<(&str, &dyn std::fmt::Display)> = vec![(BUDGET, &packets)];
    settings.extend(time.as_ref().map(|time| (TIME, time as &dyn std::fmt::Display)));
    if is_heavy {
        // One device's turn takes as many packets as all may in a run.
        settings.push((WEIGHT, &DEFAULT_WEIGHT));
    }
    let what = "Let each run take more packets, for longer.";
    (budget < 100_000).then(|| Remedy::host_sysctl(what, &settings))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::Made;
    use crate::doctor::softirq::Cpu;

    fn check(time_squeeze: u32, processed: u32) -> String {
        let settings: Sysctls = [(BUDGET, 300), (TIME, 8000), (WEIGHT, 64)].into_iter().collect();
        let after = Cpu { cpu: 2, processed, time_squeeze, ..Cpu::default() };
        let before = Softnet(vec![Cpu { cpu: 2, ..Cpu::default() }]);
        Made::default().part(before, Softnet(vec![after])).part(Sysctls::default(), settings).told(&CHECK)
    }

    #[test]
    fn most_runs_are_cut_short() {
        assert_snapshot!(check(500, 200_000));
    }

    /// Runs of 8 ms each, ten packets in each.
    #[rstest::rstest]
    #[case(500, "warning")]
    #[case(60, "info")]
    fn runs_that_use_up_their_time(#[case] squeezes: u32, #[case] severity: &str) {
        let told = check(squeezes, squeezes * 10);
        assert!(told.starts_with(severity) && told.contains("use up their time"), "{told}");
    }

    #[test]
    fn settings_that_were_changed_are_set_right() {
        let settings: Sysctls = [(BUDGET, 1), (TIME, 2000), (WEIGHT, 1024)].into_iter().collect();
        let after = Cpu { processed: 900, time_squeeze: 900, ..Cpu::default() };
        let made =
            Made::default().part(Softnet::default(), Softnet(vec![after])).part(Sysctls::default(), settings);
        let findings = made.check(&CHECK).unwrap();
        let commands = &findings[0].remedies[0].now;
        assert_eq!(
            commands[..2],
            ["sysctl -w net.core.netdev_budget=300", "sysctl -w net.core.netdev_budget_usecs=4000"]
        );
        assert_eq!(commands[2..], ["sysctl -w net.core.dev_weight=64"]);
    }

    #[test]
    fn few_are_nothing_and_many_beside_much_are_information() {
        assert_eq!(check(49, 1000), "");
        assert!(check(500, 20_000_000).starts_with("info"));
    }
}
