//! What each CPU's software interrupt counts: `/proc/net/softnet_stat` (`net/core/net-procfs.c`, `softnet_seq_show`).

/// A CPU. All counters but the lengths began at zero with the boot and begin again there after 2³² − 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cpu {
    /// Its number.
    pub cpu: u32,
    /// Packets that it received.
    pub processed: u32,
    /// Packets that found its backlog full.
    pub dropped: u32,
    /// Runs that ended with work left: the budget or the time was used up.
    pub time_squeeze: u32,
    /// Interrupts by which another CPU handed it packets (RPS).
    pub received_rps: u32,
    /// Packets of flows that took more than their share of a full backlog (`net.core.flow_limit_table_len`).
    pub flow_limit: u32,
    /// Packets that wait in both halves of the backlog; absent before 5.10.
    pub backlog: Option<u32>,
    /// Those of them in the half that `netdev_max_backlog` limits (`input_pkt_queue`); absent before 6.4.
    pub limited: Option<u32>,
}

/// All CPUs that are online.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Softnet(pub Vec<Cpu>);

impl Softnet {
    /// A CPU by its number.
    pub fn cpu(&self, number: u32) -> Option<&Cpu> {
        self.0.iter().find(|cpu| cpu.cpu == number)
    }
}

/// A line that isn't made of hexadecimal numbers, or is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {0} isn't what this file had since Linux 3.11: 11 hexadecimal numbers or more")]
pub struct SoftnetError(usize);

/// A line a CPU: 11 columns up to 5.9, then the backlog's length and the CPU's number, then (6.4 on) the lengths of both halves of the
/// backlog. Columns that come later are left alone.
///
/// # Errors
/// When a line has another form.
pub fn parse(text: &str) -> Result<Softnet, SoftnetError> {
    let cpu = |(number, line): (usize, &str)| {
        let columns = line.split_ascii_whitespace().map(|word| u32::from_str_radix(word, 16));
        let columns: Vec<u32> = columns.collect::<Result<_, _>>().map_err(|_| SoftnetError(number + 1))?;
        let &[processed, dropped, time_squeeze, .., _] = &columns[..] else {
            return Err(SoftnetError(number + 1));
        };
        let (&received_rps, &flow_limit) =
            columns.get(9).zip(columns.get(10)).ok_or(SoftnetError(number + 1))?;
        Ok(Cpu {
            cpu: columns.get(12).copied().unwrap_or_else(|| u32::try_from(number).unwrap_or(u32::MAX)),
            processed,
            dropped,
            time_squeeze,
            received_rps,
            flow_limit,
            backlog: columns.get(11).copied(),
            limited: columns.get(13).copied(),
        })
    };
    text.lines().enumerate().map(cpu).collect::<Result<_, _>>().map(Softnet)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLD: &str = "\
0fe7f8d7 00000001 0000013d 00000000 00000000 00000000 00000000 00000000 00000000 00000004 00000005
1c0b1ed3 00000000 00000187 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
";
    const NEW: &str = "\
0fe7f8d7 00000001 0000013d 00000000 00000000 00000000 00000000 00000000 00000000 00000004 00000005 00000007 00000000 00000007 00000000
1c0b1ed3 00000000 00000187 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000003 00000000 00000000 00000009
";

    #[test]
    fn old_and_new_kernels() {
        let first = Cpu {
            cpu: 0,
            processed: 0x0fe7_f8d7,
            dropped: 1,
            time_squeeze: 0x13d,
            received_rps: 4,
            flow_limit: 5,
            backlog: None,
            limited: None,
        };
        assert_eq!(parse(OLD).unwrap().0[0], first);
        assert_eq!(parse(OLD).unwrap().0[1].cpu, 1);
        assert_eq!(parse(NEW).unwrap().0[0], Cpu { backlog: Some(7), limited: Some(7), ..first });
        // A CPU that is offline has no line.
        assert_eq!(parse(NEW).unwrap().cpu(3).unwrap().time_squeeze, 0x187);
    }

    #[rstest::rstest]
    #[case("0 1 2\n", 1)]
    #[case("\n", 1)]
    #[case("0 0 0 0 0 0 0 0 0 0 0\nx 0 0 0 0 0 0 0 0 0 0\n", 2)]
    fn other_forms_are_refused(#[case] text: &str, #[case] line: usize) {
        assert_eq!(parse(text), Err(SoftnetError(line)));
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in "[0-9a-fx \n]{0,200}") {
            let _ = parse(&text);
        }
    }
}
