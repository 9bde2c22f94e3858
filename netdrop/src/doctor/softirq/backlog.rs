//! `softirq-backlog-full`: packets that found a CPU's backlog full (`enqueue_to_backlog`, net/core/dev.c).

use super::{Cpu, Softnet, pairs};
use crate::doctor::parts::Sysctls;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Moved, Part as _, Remedy, Scope, Severity, Unread, Window,
    source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "softirq-backlog-full",
    area: Area::Softirq,
    scope: Scope::Host,
    needs: &[source::<Softnet>(), source::<Sysctls>()],
    run,
};

const SETTING: &str = "net.core.netdev_max_backlog";
/// The kernel's own, from 5.10 (`netdev_max_backlog`, net/core/dev.c) to 7.3 (`net_hotdata`, net/core/hotdata.c).
const DEFAULT: u64 = 1000;
/// More makes packets wait for tens of milliseconds: then more CPUs are needed, not more room.
const MOST: u64 = 65_536;

/// What drops them.
const EXPLAINED: [&str; 2] = ["CPU_BACKLOG", "enqueue_to_backlog"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let cpus: Vec<_> = pairs(window.both::<Softnet>()?).collect();
    let limit = window.sysctl(SETTING).unwrap_or(DEFAULT);
    let moved = |name, cpu: &Cpu, pair| {
        Moved::of_32_bits(format!("{name} on CPU {}", cpu.cpu), pair, window.lasted, Softnet::FROM)
    };
    let dropped = |(old, new): &(Cpu, Cpu)| moved("dropped", new, (old.dropped, new.dropped));
    let limited = |(old, new): &(Cpu, Cpu)| moved("limited", new, (old.flow_limit, new.flow_limit)).by();
    let full: Vec<Moved> = cpus.iter().map(dropped).filter(|moved| moved.by() > 0).collect();
    // What a flow limit drops is counted as dropped too (`cpu_backlog_drop`), and another check tells of it.
    let by_flow_limit: u64 = cpus.iter().map(limited).sum();
    let lost = full.iter().map(Moved::by).sum::<u64>().saturating_sub(by_flow_limit);
    if lost == 0 {
        return Ok(nearly_full(window, &cpus, limit).into_iter().collect());
    }
    let worst = full.iter().map(Moved::by).max().unwrap_or(0);
    let passed = cpus.iter().map(|(old, new)| u64::from(new.processed.wrapping_sub(old.processed))).sum();
    let sentence = format!(
        "{} dropped, as the backlog of the CPU was full.",
        counted(lost, "packet was", "packets were")
    );
    let subject = match &full[..] {
        [one] => one.counter.replace("dropped on ", ""),
        several => format!("{} CPUs", several.len()),
    };
    let finding = Finding::new(Severity::of_loss(lost, passed), subject, sentence)
        .losing(window.rate(lost))
        .because(
            Certainty::Likely,
            "Packets come to these CPUs (by RPS, loopback, veth, tunnels, a driver without NAPI) faster than their software interrupt takes them from the backlog.",
        )
        .shown_by(full)
        .shown_by(waiting(&cpus, limit))
        .shown_by(window.setting(SETTING))
        .shown_by(window.drops_of(&EXPLAINED))
        .explains(&EXPLAINED);
    Ok(vec![mended(finding, limit, worst)])
}

/// Packets that wait where the limit counts: the first half of the backlog, where a kernel tells it apart.
fn length(cpu: &Cpu) -> u64 {
    cpu.limited.or(cpu.backlog).unwrap_or(0).into()
}

/// The longest backlog, where there is one.
fn waiting(cpus: &[(Cpu, Cpu)], limit: u64) -> Option<Evidence> {
    let (_, longest) = cpus.iter().max_by_key(|(_, cpu)| length(cpu))?;
    let value = format!("{} of {limit} packets", length(longest));
    (length(longest) > 0)
        .then(|| Evidence::value(format!("backlog of CPU {}", longest.cpu), value, Softnet::FROM))
}

/// Three quarters full at both ends: that is no burst, and the next one finds no room.
fn nearly_full(window: &Window, cpus: &[(Cpu, Cpu)], limit: u64) -> Option<Finding> {
    let is_near = |cpu: &Cpu| length(cpu) * 4 >= limit * 3 && limit > 0;
    let (_, cpu) =
        cpus.iter().filter(|(old, new)| is_near(old) && is_near(new)).max_by_key(|(_, cpu)| length(cpu))?;
    let sentence = format!(
        "{} in the backlog, of at most {limit}: soon some will find no room.",
        counted(length(cpu), "packet waits", "packets wait")
    );
    let finding = Finding::new(Severity::Warning, format!("CPU {}", cpu.cpu), sentence)
        .because(
            Certainty::Likely,
            "Packets come to this CPU as fast as its software interrupt takes them from the backlog, or faster.",
        )
        .shown_by(waiting(cpus, limit))
        .shown_by(window.setting(SETTING));
    Some(mended(finding, limit, length(cpu)))
}

/// Room for so many more; and other CPUs.
fn mended(finding: Finding, limit: u64, more: u64) -> Finding {
    // Had all of them come at once, so many would have found room.
    let enough = (limit + more).next_power_of_two().clamp(limit.saturating_mul(2).min(MOST), MOST);
    let finding = if limit < MOST {
        let what = "Let so many packets wait for each CPU.";
        finding.remedy(Remedy::host_sysctl(what, &[(SETTING, &enough)]))
    } else {
        finding
    };
    let what =
        "Spread the packets of each device over more CPUs (RPS, Documentation/networking/scaling.rst).";
    finding.remedy(Remedy::advice(what)).caution("A longer backlog carries bursts. Where packets come faster all the time, it only makes them wait: spread them over more CPUs.")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::Made;

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
    fn what_a_flow_limit_drops_is_told_elsewhere() {
        let after = |dropped| Cpu { flow_limit: 70, ..cpu(0, 900, dropped) };
        assert_eq!(made(&[cpu(0, 0, 0)], &[after(70)]).check(&CHECK), Ok(Vec::new()));
        let findings = made(&[cpu(0, 0, 0)], &[after(100)]).check(&CHECK).unwrap();
        assert!(findings[0].sentence.starts_with("30 packets"), "{}", findings[0].sentence);
    }

    #[rstest::rstest]
    #[case::a_burst(0, 1000, None)]
    #[case(750, 900, Some("900 packets wait"))]
    #[case(700, 749, None)]
    fn a_backlog_fills(#[case] before: u32, #[case] after: u32, #[case] told: Option<&str>) {
        // Both halves together may be longer than the limit.
        let cpu = |limited| Cpu { backlog: Some(3000), limited: Some(limited), ..cpu(0, 9, 0) };
        let findings = made(&[cpu(before)], &[cpu(after)]).check(&CHECK).unwrap();
        assert_eq!(findings.len(), usize::from(told.is_some()));
        if let Some(told) = told {
            assert!(findings[0].sentence.starts_with(told), "{}", findings[0].sentence);
        }
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
