//! What a process or a thread does: `/proc/PID/stat` and `/proc/PID/status` (proc(5); `fs/proc/array.c`, `do_task_stat`, `proc_pid_status`).

/// A process, or one of its threads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stat {
    /// Its name: 15 bytes at most.
    pub command: String,
    /// `R` runs or waits for a CPU, `S` sleeps, `D` waits for a disk, `T` is stopped, `t` is held by a debugger, `Z` has ended.
    pub state: char,
    /// Pages that had to be read from a disk.
    pub major_faults: u64,
    /// CPU time used, in user and kernel mode, in clock ticks (100 a second: `USER_HZ`).
    pub ticks: u64,
    /// Clock ticks from the boot to its start. A pid may come again; a pid with its start doesn't.
    pub started: u64,
}

/// Reads `4242 (comm) S …`. The name may hold any character, parentheses as well. Fields that come later are left alone.
pub fn stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.split_once('(')?;
    let (command, rest) = rest.rsplit_once(')')?;
    // The third field is the first after the name.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        command: command.to_owned(),
        state: fields.first()?.chars().next()?,
        major_faults: number(12)?,
        ticks: number(14)?.saturating_add(number(15)?),
        started: number(22)?,
    })
}

/// A line of `/proc/PID/status`: `Cpus_allowed_list`, `TracerPid`.
pub fn status<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// How many CPUs a list such as `0-3,8` has; absent where it is none.
pub fn cpus(text: &str) -> Option<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse::<u32>().ok()?, last.trim().parse::<u32>().ok()?);
        last.checked_sub(first)?.checked_add(1)
    };
    text.split(',').try_fold(0_u32, |sum, part| sum.checked_add(range(part)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 5.10 and 7.x write the same 52 fields.
    const LINE: &str = "4242 (a) S (b) T 1 7 7 0 -1 4194560 11 12 13 14 250 50 0 0 20 0 3 0 4711 3133440 360 18446744073709551615 1 2 3 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 5 6 7 8 9 10 11 0\n";

    #[test]
    fn a_line_as_the_kernel_writes_it() {
        let read = stat(LINE).unwrap();
        let expected =
            Stat { command: "a) S (b".into(), state: 'T', major_faults: 13, ticks: 300, started: 4711 };
        assert_eq!(read, expected);
        assert_eq!(stat("4242 (a) S 1 2 3"), None);
    }

    #[test]
    fn lines_of_status() {
        let text = "Name:\tx\nTracerPid:\t77\nCpus_allowed_list:\t0-3,8\n";
        assert_eq!(status(text, "TracerPid"), Some("77"));
        assert_eq!(status(text, "Cpus_allowed_list").and_then(cpus), Some(5));
        assert_eq!(status(text, "Cpus_allowed"), None);
        assert_eq!((cpus(""), cpus("3-1"), cpus("0-4294967295")), (None, None, None));
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in any::<String>(), line in "[0-9]{1,3} \\([ -~]{0,9}\\) [RSTD0-9 -]{0,90}", list in "[0-9,-]{0,40}") {
            let _ = (stat(&text), stat(&line), status(&text, "a"), cpus(&list));
        }
    }
}
