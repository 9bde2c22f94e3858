//! How long a thread ran and how long it waited for a CPU: `/proc/PID/task/TID/schedstat` (`fs/proc/base.c`, `proc_pid_schedstat`;
//! Documentation/scheduler/sched-stats.rst). Kernels without `CONFIG_SCHED_INFO` have no such file.

/// A thread, since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Schedstat {
    /// Nanoseconds on a CPU.
    pub ran: u64,
    /// Nanoseconds ready to run, on a CPU's run queue (`sched_info.run_delay`).
    pub waited: u64,
}

/// Reads `ran waited timeslices`; all are zero where the kernel keeps no account (`sched_info_on`), which is told as nothing.
pub fn parse(text: &str) -> Option<Schedstat> {
    let mut numbers = text.split_ascii_whitespace().map(|word| word.parse::<u64>().ok());
    let (ran, waited, slices) = (numbers.next()??, numbers.next()??, numbers.next()??);
    (ran > 0 || slices > 0).then_some(Schedstat { ran, waited })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[rstest::rstest]
    #[case("236952 318973 3\n", Some((236_952, 318_973)))]
    #[case::a_column_more("236952 318973 3 9\n", Some((236_952, 318_973)))]
    #[case::kept_off("0 0 0\n", None)]
    #[case("236952 318973", None)]
    #[case("a b c", None)]
    #[case("", None)]
    fn three_numbers(#[case] text: &str, #[case] expected: Option<(u64, u64)>) {
        assert_eq!(parse(text).map(|stat| (stat.ran, stat.waited)), expected);
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in "[0-9a ]{0,60}") {
            let _ = parse(&text);
        }
    }
}
