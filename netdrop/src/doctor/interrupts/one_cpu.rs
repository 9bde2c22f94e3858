//! `interrupts-one-cpu`: several queues whose interrupts all come to one CPU (`/proc/interrupts`; Documentation/core-api/irq/irq-affinity.rst).

use std::collections::BTreeMap;

use super::{Interrupts, Steering, Strained, strained};
use crate::counters::cpu_times::CpuTimes;
use crate::doctor::ports::Ports;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};

pub const CHECK: Check = Check {
    name: "interrupts-one-cpu",
    area: Area::Interrupts,
    scope: Scope::Netns,
    needs: &[source::<Ports>(), source::<CpuTimes>(), source::<Interrupts>(), source::<Steering>()],
    run,
};

/// Two of three: with two queues that are used alike, one of two would be even.
const MOST: f64 = 0.67;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let strained = strained(window)?;
    let steering = window.now::<Steering>()?;
    window.both::<Interrupts>()?;
    Ok(strained.iter().filter_map(|port| one_cpu(window, port, steering)).collect())
}

#[expect(clippy::cast_precision_loss, reason = "a share is for people")]
fn one_cpu(window: &Window, port: &Strained, steering: &Steering) -> Option<Finding> {
    let name = port.pair.now.name();
    let own = &steering.of(name)?.interrupts;
    let (before, after) = window.both::<Interrupts>().ok()?;
    let mut of_cpu: BTreeMap<u32, u64> = BTreeMap::new();
    let mut busy = Vec::new();
    for now in after.0.iter().filter(|now| own.iter().any(|(number, _)| *number == now.number)) {
        let was = before.0.iter().find(|was| was.number == now.number);
        let mut sum = 0;
        for (cpu, count) in &now.counts {
            let earlier = was
                .and_then(|was| was.counts.iter().find(|(one, _)| one == cpu))
                .map_or(0, |(_, count)| *count);
            let came = count.saturating_sub(earlier);
            *of_cpu.entry(*cpu).or_default() += came;
            sum += came;
        }
        if sum > 0 {
            busy.push(now);
        }
    }
    let total: u64 = of_cpu.values().sum();
    let (cpu, most) = of_cpu.into_iter().max_by_key(|(_, count)| *count)?;
    let share = most as f64 / total.max(1) as f64;
    if busy.len() < 2 || share < MOST || !port.hot.iter().any(|(hot, _)| *hot == cpu) {
        return None;
    }
    let sentence = format!(
        "{:.0} percent of the interrupts of {name}'s {} busy queues come to CPU {cpu}, which they keep busy, while there are {} CPUs.",
        share * 100.0,
        busy.len(),
        port.cpus.len()
    );
    let each = busy.iter().zip(port.cpus.iter().cycle());
    let commands =
        each.map(|(interrupt, cpu)| format!("echo {cpu} > /proc/irq/{}/smp_affinity_list", interrupt.number));
    let by_hand = Remedy {
        what: "Give each queue's interrupt a CPU of its own.".into(),
        now: commands.collect(),
        persistently: (!steering.is_balanced).then(|| "systemctl enable --now irqbalance".into()),
    };
    let cause = if steering.is_balanced {
        "irqbalance runs, and leaves them there: its policy or the driver's hint binds them."
    } else {
        "Nobody spreads them: irqbalance isn't running, and their affinity is what the boot left."
    };
    let finding = Finding::new(Severity::Warning, name, sentence)
        .losing(port.losing(window))
        .because(Certainty::Likely, cause)
        .shown_by(port.evidence())
        .shown_by(busy.iter().take(8).map(|interrupt| {
            let cpus = own
                .iter()
                .find(|(number, _)| *number == interrupt.number)
                .map_or(String::new(), |(_, cpus)| cpus.mask());
            let value = format!("irq {} may go to the CPUs of mask {cpus}", interrupt.number);
            Evidence::value(interrupt.name.clone(), value, Interrupts::FROM)
        }))
        .remedy(by_hand);
    Some(if steering.is_balanced {
        finding.caution("irqbalance may move them back: keep it from these interrupts with --banirq, or by IRQBALANCE_ARGS in its configuration.")
    } else {
        finding.caution("Leave the CPUs out that are set apart for programs (isolcpus).")
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::counters::cpu_set::CpuSet;
    use crate::counters::interrupts::Interrupt;
    use crate::counters::queues::Queues;
    use crate::doctor::interrupts::made::window;
    use crate::doctor::made::Made;
    use crate::doctor::ports::made::port;

    fn made(percent: u64, counts: [u64; 2], is_balanced: bool) -> Made {
        let interrupt = |number, counts: [u64; 2]| Interrupt {
            number,
            counts: (0..4).map(|cpu| (cpu, if cpu < 2 { counts[cpu as usize] } else { 0 })).collect(),
            name: format!("eth0-TxRx-{}", number % 10),
        };
        let interrupts =
            |counts| Interrupts(vec![interrupt(40, counts), interrupt(41, counts), interrupt(9, [0, 0])]);
        let queues = Queues {
            device: "eth0".into(),
            interrupts: vec![(40, CpuSet(vec![0])), (41, CpuSet(vec![0, 1]))],
            ..Queues::default()
        };
        window(percent, port(0, &[]), port(500_000, &[]))
            .part(interrupts([0, 0]), interrupts(counts))
            .part(Steering::default(), Steering { devices: vec![queues], is_balanced })
    }

    #[test]
    fn all_on_one() {
        assert_snapshot!(made(90, [9000, 100], false).told(&CHECK));
    }

    #[test]
    fn a_balancer_that_leaves_them() {
        let findings = made(90, [9000, 100], true).check(&CHECK).unwrap();
        assert!(findings[0].cause.contains("irqbalance runs"), "{findings:?}");
        assert_eq!(findings[0].remedies[0].persistently, None);
    }

    #[test]
    fn spread_or_at_ease_is_fine() {
        assert_eq!(made(90, [5000, 5000], false).check(&CHECK), Ok(Vec::new()));
        assert_eq!(made(20, [9000, 100], false).check(&CHECK), Ok(Vec::new()));
    }
}
