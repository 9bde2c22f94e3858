//! `softirq-ksoftirqd-starved`: packets that wait as ksoftirqd isn't given its CPU (`wakeup_softirqd`, kernel/softirq.c).

use super::Softnet;
use crate::counters::ksoftirqd::{Ksoftirqd, Ksoftirqds};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Moved, Part as _, Remedy, Scope, Severity, Unread, Window,
    source,
};

pub const CHECK: Check = Check {
    name: "softirq-ksoftirqd-starved",
    area: Area::Softirq,
    scope: Scope::Host,
    needs: &[source::<Ksoftirqds>(), source::<Softnet>()],
    run,
};

/// Milliseconds of every second: in so long a wait the kernel's own backlog of 1000 packets is full at 10,000 packets a second.
const STARVED_MS: f64 = 100.0;
/// In a millisecond.
const MS: u64 = 1_000_000;
/// With fewer packets on its CPU, what it waited with wasn't the network's.
const FEWEST: f64 = 100.0;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let (before, after) = window.both::<Ksoftirqds>()?;
    let softnet = window.both::<Softnet>()?;
    let of = |thread: &Ksoftirqd| {
        let was = before.0.iter().find(|one| one.cpu == thread.cpu).copied().unwrap_or_default();
        let name = format!("ms that ksoftirqd/{} waited", thread.cpu);
        let from = format!("/proc/{}/schedstat", thread.pid);
        let waited = window.moved(name, (was.waited_ns / MS, thread.waited_ns / MS), from);
        let (old, new) = super::pairs(softnet).find(|(_, cpu)| cpu.cpu == thread.cpu)?;
        let name = format!("processed on CPU {}", thread.cpu);
        let processed = Moved::of_32_bits(name, (old.processed, new.processed), window.lasted, Softnet::FROM);
        let is_starved = waited.rate >= STARVED_MS && processed.rate >= FEWEST;
        is_starved.then(|| of_thread(window, thread, was.turns, waited, processed))
    };
    Ok(after.0.iter().filter_map(of).collect())
}

fn of_thread(window: &Window, thread: &Ksoftirqd, turns: u64, waited: Moved, processed: Moved) -> Finding {
    let Ksoftirqd { cpu, pid, .. } = *thread;
    let turns = window.moved("turns", (turns, thread.turns), "").by().max(1);
    let each = std::time::Duration::from_millis(waited.by()) / u32::try_from(turns).unwrap_or(u32::MAX);
    let sentence = format!(
        "ksoftirqd waited {:.0} ms of every second for CPU {cpu} while packets were there to be received.",
        waited.rate
    );
    // Nothing else runs on it where the thread waits for a real-time one; a nice value doesn't help against those.
    let busy = format!("ps -eLo psr,cls,ni,pcpu,pid,comm --sort=-pcpu | awk '$1 == {cpu}' | head");
    Finding::new(Severity::Warning, format!("CPU {cpu}"), sentence)
        .because(
            Certainty::Likely,
            "Programs keep the CPU busy, and what the software interrupt couldn't finish is left to ksoftirqd, a thread that is scheduled like any program.",
        )
        .shown_by([waited, processed])
        .shown_by([Evidence::value(
            "wait for each turn",
            format!("{:.1} ms", each.as_secs_f64() * 1e3),
            format!("/proc/{pid}/schedstat"),
        )])
        .remedy(Remedy::command("Give it more weight than programs have.", format!("renice -n -10 -p {pid}")))
        .remedy(Remedy::command("See what runs on that CPU, and keep it off: taskset(1), AllowedCPUs= of systemd.", busy))
        .caution("With more weight, ksoftirqd takes from these programs what it gets. It is lost with the next boot.")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::Made;
    use crate::doctor::softirq::Cpu;

    fn made(waited_ms: u64, processed: u32) -> Made {
        let thread = |waited_ns, turns| Ksoftirqds(vec![Ksoftirqd { cpu: 1, pid: 22, waited_ns, turns }]);
        let softnet = |processed| Softnet(vec![Cpu { cpu: 1, processed, ..Cpu::default() }]);
        Made::default()
            .part(thread(7_000_000, 10), thread(7_000_000 + waited_ms * 1_000_000, 110))
            .part(softnet(5), softnet(5 + processed))
    }

    #[test]
    fn one_that_waits() {
        assert_snapshot!(made(2500, 90_000).told(&CHECK));
    }

    #[rstest::rstest]
    #[case::some_wait_is_usual(499, 90_000)]
    #[case::not_for_packets(2500, 400)]
    fn silence(#[case] waited_ms: u64, #[case] processed: u32) {
        assert_eq!(made(waited_ms, processed).check(&CHECK), Ok(Vec::new()));
    }
}
