//! What CPUs spent their time on: the lines of `/proc/stat` (proc(5)), in ticks.

/// A CPU's time since the boot, in ticks (`USER_HZ`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// Its number.
    pub cpu: u32,
    /// All of it; what guests took is within that of users.
    pub total: u64,
    /// In interrupts and software interrupts. Kernels without `CONFIG_IRQ_TIME_ACCOUNTING` count that by samples.
    pub interrupts: u64,
    /// In nothing, or waiting for a disk.
    pub idle: u64,
}

/// All CPUs that are online. Lines of another form, and columns that come later, are left alone.
pub fn parse(text: &str) -> Vec<CpuTime> {
    text.lines().filter_map(cpu).collect()
}

/// `cpu0 user nice system idle iowait irq softirq steal guest guest_nice`.
fn cpu(line: &str) -> Option<CpuTime> {
    let mut words = line.strip_prefix("cpu")?.split(' ');
    let cpu = words.next()?.parse().ok()?;
    let times: Vec<u64> = words.map_while(|word| word.parse().ok()).take(8).collect();
    let &[_, _, _, idle, wait, interrupt, software, ..] = &times[..] else { return None };
    Some(CpuTime {
        cpu,
        total: times.iter().fold(0, |sum, time| u64::saturating_add(sum, *time)),
        interrupts: interrupt.saturating_add(software),
        idle: idle.saturating_add(wait),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_cpu_has_its_line() {
        let text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 10 0 20 100 5 3 7 2 9 0\ncpu3 1 1 1 1 1 1 1\ncpu4 1\nintr 55 0\nctxt 1\n";
        let expected = [
            CpuTime { cpu: 0, total: 147, interrupts: 10, idle: 105 },
            CpuTime { cpu: 3, total: 7, interrupts: 2, idle: 2 },
        ];
        assert_eq!(parse(text), expected);
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in "(cpu[0-9]{0,4} [0-9 ]{0,60}\n){0,4}") {
            let _ = parse(&text);
        }
    }
}
