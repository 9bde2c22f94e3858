//! The software interrupt: each CPU's backlog, and how much it may do at once.

mod backlog;
mod flow_limit;
mod imbalance;
mod ksoftirqd;
mod squeeze;

use super::{Check, Part, Place, Unread};
use crate::counters::ksoftirqd::{Ksoftirqd, Ksoftirqds, cpu_of, waited};
use crate::counters::received::{self, Received};
use crate::counters::softnet::{Cpu, Softnet, parse};

pub const CHECKS: &[Check] =
    &[backlog::CHECK, flow_limit::CHECK, squeeze::CHECK, imbalance::CHECK, ksoftirqd::CHECK];

impl Part for Softnet {
    const FROM: &'static str = "/proc/net/softnet_stat";

    fn read(place: &Place) -> Result<Self, Unread> {
        parse(&place.net("softnet_stat")?).map_err(|error| Unread::new(Self::FROM, error))
    }
}

impl Part for Received {
    const FROM: &'static str = "/proc/net/dev";

    fn read(place: &Place) -> Result<Self, Unread> {
        Ok(received::parse(&place.net("dev")?))
    }
}

impl Part for Ksoftirqds {
    const FROM: &'static str = "/proc/PID/schedstat of ksoftirqd";

    fn read(place: &Place) -> Result<Self, Unread> {
        // The kernel starts its threads CPU by CPU, some eight for each (`smpboot_create_threads`, kernel/smpboot.c): theirs are among the first
        // numbers, and no other needs to be looked at.
        let cpus = Softnet::read(place)?.0.len();
        let last = 64 + 16 * u32::try_from(cpus).unwrap_or(u32::MAX).min(8192);
        let mut found = Vec::new();
        for pid in 1..=last {
            let Ok(comm) = place.text(&format!("/proc/{pid}/comm")) else { continue };
            if let Some(cpu) = cpu_of(&comm) {
                let text = place.text(&format!("/proc/{pid}/schedstat"))?;
                let (waited_ns, turns) =
                    waited(&text).ok_or_else(|| Unread::new(Self::FROM, "it isn't three numbers"))?;
                found.push(Ksoftirqd { cpu, pid, waited_ns, turns });
            }
        }
        if !found.is_empty() && found.iter().all(|thread| thread.turns == 0) {
            // All zero where the scheduler keeps no account (`proc_pid_schedstat`, fs/proc/base.c); each has run once where it does.
            return Err(Unread::new(
                Self::FROM,
                "this kernel doesn't count how long threads wait (CONFIG_SCHED_INFO)",
            ));
        }
        if found.is_empty() {
            return Err(Unread::new(
                Self::FROM,
                "the kernel's threads aren't seen from here: run it on the host",
            ));
        }
        Ok(Self(found))
    }
}

/// Each CPU as it was at both ends; one that came meanwhile had counted nothing.
fn pairs<'s>((before, after): (&'s Softnet, &'s Softnet)) -> impl Iterator<Item = (Cpu, Cpu)> + 's {
    after.0.iter().map(|cpu| (before.cpu(cpu.cpu).copied().unwrap_or_default(), *cpu))
}

/// `62 %`, of what isn't zero.
fn percent(part: u64, of: u64) -> u64 {
    part.saturating_mul(100) / of.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up;

    #[test]
    fn the_kernels_threads_are_found() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| made_up::file(root.path(), path, text);
        let place = Place::new(root.path());
        let line = "0 ".repeat(13);
        write("proc/thread-self/net/softnet_stat", &format!("{line}\n{line}\n"));
        assert!(Ksoftirqds::read(&place).unwrap_err().why.contains("run it on the host"));
        write("proc/14/comm", "ksoftirqd/0\n");
        write("proc/14/schedstat", "0 0 0\n");
        assert!(Ksoftirqds::read(&place).unwrap_err().why.contains("CONFIG_SCHED_INFO"));
        for (pid, comm) in [(14, "ksoftirqd/0\n"), (15, "rcu_preempt\n"), (22, "ksoftirqd/1\n")] {
            write(&format!("proc/{pid}/comm"), comm);
            write(&format!("proc/{pid}/schedstat"), "5 77 3\n");
        }
        let found = Ksoftirqds::read(&place).unwrap().0;
        assert_eq!(found[1], Ksoftirqd { cpu: 1, pid: 22, waited_ns: 77, turns: 3 });
        assert_eq!(found.len(), 2);
    }
}
