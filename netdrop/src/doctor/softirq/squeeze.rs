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
/// The kernel's own (`net/core/hotdata.c`).
const DEFAULT_BUDGET: u64 = 300;
const DEFAULT_TIME_US: u64 = 8000;
/// Each such end costs a turn through the scheduler, some ten microseconds: below so many a second, nobody notices.
const FEW: f64 = 10.0;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let (budget, time) = (window.sysctl(BUDGET), window.sysctl(TIME));
    let (budget, time) = (budget.unwrap_or(DEFAULT_BUDGET), time.unwrap_or(DEFAULT_TIME_US));
    let mut squeezed = Vec::new();
    let mut is_lasting = false;
    for (before, after) in pairs(window.both::<Softnet>()?) {
        let name = format!("time_squeeze on CPU {}", after.cpu);
        let moved =
            Moved::of_32_bits(name, (before.time_squeeze, after.time_squeeze), window.lasted, Softnet::FROM);
        if moved.rate < FEW {
            continue;
        }
        // A run that used up its budget took so many packets: when those are half of all, being cut short is the rule.
        let processed = u64::from(after.processed.wrapping_sub(before.processed));
        is_lasting |= moved.by().saturating_mul(budget).saturating_mul(2) >= processed;
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
    let what = "Let each run take twice as many packets, for twice as long.";
    Ok(vec![
        Finding::new(severity, subject, sentence)
            .because(
                Certainty::Likely,
                "More packets come than a run of the software interrupt may take; the rest waits for ksoftirqd, which competes with programs for the CPU.",
            )
            .shown_by(squeezed)
            .shown_by([window.setting(BUDGET), window.setting(TIME)].into_iter().flatten())
            .remedy(Remedy::host_sysctl(what, &[(BUDGET, &(budget * 2)), (TIME, &(time * 2))]))
            .remedy(Remedy::advice(
                "Spread the packets over more CPUs: more queues of the network card, or RPS.",
            ))
            .caution("Longer runs keep programs on these CPUs from running for as long; where nothing is lost, it may be left as it is."),
    ])
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::Made;
    use crate::doctor::softirq::Cpu;

    fn check(time_squeeze: u32, processed: u32) -> String {
        let settings: Sysctls = [(BUDGET, 300), (TIME, 8000)].into_iter().collect();
        let after = Cpu { cpu: 2, processed, time_squeeze, ..Cpu::default() };
        let before = Softnet(vec![Cpu { cpu: 2, ..Cpu::default() }]);
        Made::default().part(before, Softnet(vec![after])).part(Sysctls::default(), settings).told(&CHECK)
    }

    #[test]
    fn most_runs_are_cut_short() {
        assert_snapshot!(check(500, 200_000));
    }

    #[test]
    fn few_are_nothing_and_many_beside_much_are_information() {
        assert_eq!(check(49, 1000), "");
        assert!(check(500, 20_000_000).starts_with("info"));
    }
}
