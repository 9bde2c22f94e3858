//! What each CPU spent its time on: `/proc/stat` (`fs/proc/stat.c`, `show_stat`).

/// A CPU. Times are in ticks of `USER_HZ`, a hundredth of a second each, since the boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// Its number.
    pub cpu: u32,
    /// All that is told apart, idling among it.
    pub total: u64,
    /// With nothing to do, or with nothing but waiting for disks.
    pub idle: u64,
    /// In interrupts and software interrupts. Kernels without `CONFIG_IRQ_TIME_ACCOUNTING` count that by samples.
    pub interrupts: u64,
    /// In software interrupts alone, ksoftirqd's among them.
    pub softirq: u64,
}

/// All CPUs that are online.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuTimes(pub Vec<CpuTime>);

/// The lines `cpuN user nice system idle iowait irq softirq steal …`; all others are left alone, and so are those that aren't whole.
pub fn parse(text: &str) -> CpuTimes {
    CpuTimes(text.lines().filter_map(cpu).collect())
}

fn cpu(line: &str) -> Option<CpuTime> {
    let mut words = line.strip_prefix("cpu")?.split(' ');
    let cpu = words.next()?.parse().ok()?;
    // What guests took (`guest`, `guest_nice`) is counted as `user` and `nice` already.
    let times: Vec<u64> = words.take(8).map_while(|word| word.parse().ok()).collect();
    let [_, _, _, idle, waiting, interrupt, softirq, ..] = times[..] else { return None };
    let total = times.iter().fold(0_u64, |sum, time| sum.saturating_add(*time));
    let interrupts = interrupt.saturating_add(softirq);
    Some(CpuTime { cpu, total, idle: idle.saturating_add(waiting), interrupts, softirq })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\
cpu  300 0 50 1000 20 0 130 0 0 0
cpu0 100 0 20 400 10 0 120 5 90 0
cpu12 200 0 30 600 10 0 10 0 0 0 7
cpu3 broken
intr 9 9 9
ctxt 5
";

    #[test]
    fn each_cpu_has_its_line() {
        let first = CpuTime { cpu: 0, total: 655, idle: 410, interrupts: 120, softirq: 120 };
        let second = CpuTime { cpu: 12, total: 850, idle: 610, interrupts: 10, softirq: 10 };
        assert_eq!(parse(TEXT), CpuTimes(vec![first, second]));
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in "(cpu[0-9a ]{0,60}\n){0,6}", other in ".{0,80}") {
            prop_assert!(parse(&text).0.len() <= 6);
            parse(&other);
        }
    }
}
