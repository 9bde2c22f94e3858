//! How long ksoftirqd of each CPU waited for it: `/proc/PID/schedstat` (Documentation/scheduler/sched-stats.rst).

/// Its thread on one CPU. Times are nanoseconds since the boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ksoftirqd {
    /// The CPU.
    pub cpu: u32,
    /// The thread's process number.
    pub pid: u32,
    /// It was ready to run and another ran.
    pub waited_ns: u64,
    /// How often it got the CPU.
    pub turns: u64,
}

/// Those of all CPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ksoftirqds(pub Vec<Ksoftirqd>);

/// The CPU that a thread of this name (`/proc/PID/comm`) serves.
pub fn cpu_of(comm: &str) -> Option<u32> {
    comm.trim_end().strip_prefix("ksoftirqd/")?.parse().ok()
}

/// Time waited in nanoseconds, and turns; absent where the line isn't three numbers or more.
pub fn waited(schedstat: &str) -> Option<(u64, u64)> {
    let mut numbers = schedstat.split_ascii_whitespace().skip(1).map_while(|word| word.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn threads_and_their_times() {
        assert_eq!((cpu_of("ksoftirqd/13\n"), cpu_of("kworker/13:0")), (Some(13), None));
        assert_eq!(waited("123 456789 7\n"), Some((456_789, 7)));
        assert_eq!((waited("123 4"), waited("")), (None, None));
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in ".{0,60}") {
            let _ = (cpu_of(&text), waited(&text));
        }
    }
}
