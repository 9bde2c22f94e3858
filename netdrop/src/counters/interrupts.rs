//! How often each interrupt came to each CPU: `/proc/interrupts` (`show_interrupts`, kernel/irq/proc.c).

/// A numbered interrupt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interrupt {
    /// Its number.
    pub number: u32,
    /// CPU and how often, for each CPU that is online.
    pub counts: Vec<(u32, u64)>,
    /// Who asked for it: `eth0-TxRx-3`.
    pub name: String,
}

/// What isn't that file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its first line doesn't name CPUs")]
pub struct InterruptsError;

/// A column a CPU, then the chip, the line of the chip, and the names. Lines without a number (`NMI`, `LOC`) are no device's.
///
/// # Errors
/// When the first line isn't made of CPUs' names.
pub fn parse(text: &str) -> Result<Vec<Interrupt>, InterruptsError> {
    let mut lines = text.lines();
    let head = lines.next().ok_or(InterruptsError)?.split_ascii_whitespace();
    let cpus: Option<Vec<u32>> = head.map(|name| name.strip_prefix("CPU")?.parse().ok()).collect();
    let cpus = cpus.filter(|cpus| !cpus.is_empty()).ok_or(InterruptsError)?;
    Ok(lines.filter_map(|line| interrupt(line, &cpus)).collect())
}

fn interrupt(line: &str, cpus: &[u32]) -> Option<Interrupt> {
    let (number, rest) = line.split_once(':')?;
    let number = number.trim().parse().ok()?;
    let mut words = rest.split_ascii_whitespace();
    let counts: Option<Vec<_>> = cpus.iter().map(|cpu| Some((*cpu, words.next()?.parse().ok()?))).collect();
    Some(Interrupt { number, counts: counts?, name: words.last().unwrap_or_default().to_owned() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OF_5_10: &str = "\
            CPU0       CPU2       
   0:         22          0   IO-APIC   2-edge      timer
  38:          0      92185   PCI-MSI 1572864-edge      eth0-TxRx-0
 NMI:          0          0   Non-maskable interrupts
 ERR:          0
";
    const OF_6_18: &str = "\
           CPU0       CPU1       
 38:          1      92185 PCI-MSIX-0000:00:03.0   1-edge      virtio2-input.0
 39:          7
";

    #[test]
    fn old_and_new_kernels() {
        let interrupts = parse(OF_5_10).unwrap();
        assert_eq!(interrupts.len(), 2);
        let expected = Interrupt { number: 38, counts: vec![(0, 0), (2, 92185)], name: "eth0-TxRx-0".into() };
        assert_eq!(interrupts[1], expected);
        let interrupts = parse(OF_6_18).unwrap();
        assert_eq!((interrupts.len(), interrupts[0].name.as_str()), (1, "virtio2-input.0"));
    }

    #[test]
    fn other_forms_are_refused() {
        assert_eq!(parse(""), Err(InterruptsError));
        assert_eq!(parse("CPU0 x\n"), Err(InterruptsError));
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in "(CPU[0-9] ){0,3}\n([0-9]{1,3}: [0-9a-z ]{0,20}\n){0,4}") {
            let _ = parse(&text);
        }
    }
}
