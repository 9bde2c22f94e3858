//! `softirq-backlog-full`: packets that found a CPU's backlog full (`enqueue_to_backlog`, net/core/dev.c).

use super::{Softnet, pairs};
use crate::doctor::parts::Sysctls;
use crate::doctor::{
    Area, Certainty, Check, Finding, Moved, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};

pub const CHECK: Check = Check {
    name: "softirq-backlog-full",
    area: Area::Softirq,
    scope: Scope::Host,
    needs: &[source::<Softnet>(), source::<Sysctls>()],
    run,
};

const SETTING: &str = "net.core.netdev_max_backlog";
/// Of every kernel so far (`net/core/hotdata.c`).
const DEFAULT: u64 = 1000;
/// More makes packets wait for tens of milliseconds: then more CPUs are needed, not more room.
const MOST: u64 = 65_536;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let cpus: Vec<_> = pairs(window.both::<Softnet>()?).collect();
    let moved = |name: String, pair| Moved::of_32_bits(name, pair, window.lasted, Softnet::FROM);
    let drops = |(before, after): &(_, _)| {
        let (before, after): (&super::Cpu, &super::Cpu) = (before, after);
        moved(format!("dropped on CPU {}", after.cpu), (before.dropped, after.dropped))
    };
    let full: Vec<Moved> = cpus.iter().map(drops).filter(|moved| moved.by() > 0).collect();
    let Some(worst) = full.iter().max_by_key(|moved| moved.by()) else { return Ok(Vec::new()) };
    let lost: u64 = full.iter().map(Moved::by).sum();
    let passed = cpus.iter().map(|(before, after)| after.processed.wrapping_sub(before.processed));
    let limit = window.sysctl(SETTING).unwrap_or(DEFAULT);
    // Had all of them come at once, so many would have found room.
    let enough = (limit + worst.by()).next_power_of_two().clamp(limit.saturating_mul(2).min(MOST), MOST);
    let sentence = format!("{lost} packets found the backlog of their CPU full, and were dropped.");
    let subject = match &full[..] {
        [one] => one.counter.replace("dropped on ", ""),
        several => format!("{} CPUs", several.len()),
    };
    let finding = Finding::new(Severity::of_loss(lost, passed.map(u64::from).sum()), subject, sentence)
        .losing(window.rate(lost))
        .because(
            Certainty::Likely,
            "Packets come to these CPUs (by RPS, loopback, veth, tunnels, a driver without NAPI) faster than their software interrupt takes them from the backlog.",
        )
        .shown_by(full)
        .shown_by(window.setting(SETTING))
        .shown_by(window.drops_of(&["CPU_BACKLOG", "enqueue_to_backlog"]))
        .explains(&["CPU_BACKLOG", "enqueue_to_backlog"])
        .caution("A longer backlog carries bursts. Where packets come faster all the time, it only makes them wait: spread them over more CPUs.");
    let finding = if limit < MOST {
        let what = "Let so many packets wait for each CPU.";
        finding.remedy(Remedy::host_sysctl(what, &[(SETTING, &enough)]))
    } else {
        finding
    };
    let what =
        "Spread the packets of each device over more CPUs (RPS, Documentation/networking/scaling.rst).";
    Ok(vec![finding.remedy(Remedy::advice(what))])
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::Made;
    use crate::doctor::softirq::Cpu;

    fn cpu(cpu: u32, processed: u32, dropped: u32) -> Cpu {
        Cpu { cpu, processed, dropped, ..Cpu::default() }
    }

    fn made(before: &[Cpu], after: &[Cpu]) -> Made {
        let settings: Sysctls = [(SETTING, 1000)].into_iter().collect();
        Made::default().part(Softnet(before.into()), Softnet(after.into())).part(Sysctls::default(), settings)
    }

    #[test]
    fn a_full_backlog() {
        let made = made(&[cpu(0, 10, 7), cpu(1, u32::MAX, 0)], &[cpu(0, 50_010, 7), cpu(1, 49_999, 1500)]);
        assert_snapshot!(made.told(&CHECK));
    }

    #[test]
    fn drops_of_long_ago_are_nobodys() {
        assert_eq!(made(&[cpu(0, 0, 7)], &[cpu(0, 9, 7)]).check(&CHECK), Ok(Vec::new()));
    }

    #[test]
    fn since_the_boot_it_is_history() {
        let findings = made(&[], &[cpu(0, 9, 70)]).since_boot().check(&CHECK).unwrap();
        assert_eq!((findings[0].severity, findings[0].history), (Severity::Warning, true));
    }

    #[test]
    fn what_cant_be_read_is_said() {
        let made = Made::default().without::<Softnet>("it is gone");
        assert_eq!(made.check(&CHECK), Err("/proc/net/softnet_stat: it is gone".into()));
    }
}
