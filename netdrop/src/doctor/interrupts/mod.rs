//! Interrupts and queues: which CPU takes whose packets (Documentation/networking/scaling.rst).
//!
//! None of these is advice in the blue: a port is looked at when packets were lost at its ring or a CPU drowns in interrupts. The order to try things
//! in is that of the checks here: spread the interrupts, more channels, spread what the hash does, then steer by software, then by filters.

mod channels;
mod hash;
mod indirection;
mod one_cpu;
mod one_flow;
mod steering;
mod sysfs;

use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::ports::{Pair, hardware};
use super::shell::shell;
use super::{Check, Evidence, Part, Place, Span, Unread, Window};
use crate::counters::cpu_times::{CpuTime, CpuTimes};
use crate::counters::interrupts::{self, Interrupt};
use crate::counters::losses::Trouble;
use crate::counters::queues::{self, Queues};

pub const CHECKS: &[Check] =
    &[one_cpu::CHECK, channels::CHECK, indirection::CHECK, hash::CHECK, steering::CHECK, one_flow::CHECK];

/// How often each interrupt came to each CPU.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interrupts(pub Vec<Interrupt>);

impl Part for Interrupts {
    const FROM: &'static str = "/proc/interrupts";

    fn read(place: &Place) -> Result<Self, Unread> {
        let interrupts = interrupts::parse(&place.text(Self::FROM)?);
        interrupts.map(Self).map_err(|error| Unread::new(Self::FROM, error))
    }
}

/// How queues go to CPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steering {
    /// The devices' queues.
    pub devices: Vec<Queues>,
    /// irqbalance(1) runs; not asked where no device has several interrupts.
    pub is_balanced: bool,
}

impl Steering {
    /// A device's queues.
    pub fn of(&self, device: &str) -> Option<&Queues> {
        self.devices.iter().find(|queues| queues.device == device)
    }
}

impl Part for Steering {
    const FROM: &'static str = "/sys/class/net/*/queues";
    const AT_END: bool = true;

    fn read(place: &Place) -> Result<Self, Unread> {
        let refused = |error| Unread::io(Self::FROM, &error);
        // sysfs shows the devices of the namespace that it was mounted in.
        let inode = |path: &str| fs::metadata(place.path(path)).map(|file| file.ino()).ok();
        let elsewhere = inode("/proc/thread-self/ns/net") != inode("/proc/self/ns/net");
        let mounted = elsewhere.then(sysfs::mounted_here).transpose().map_err(refused)?;
        let sys = match &mounted {
            Some(mount) => PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd())),
            None => place.path("/sys"),
        };
        let proc = place.path("/proc");
        let mut devices = Vec::new();
        for entry in fs::read_dir(sys.join("class/net")).map_err(refused)?.flatten() {
            devices.push(queues::read(&sys, &proc, &entry.file_name().to_string_lossy()));
        }
        // Each process is looked at for it: not where there is nothing to spread, as in containers.
        let is_balanced = devices.iter().any(|queues| queues.interrupts.len() > 1) && is_balanced(place);
        Ok(Self { devices, is_balanced })
    }
}

fn is_balanced(place: &Place) -> bool {
    let processes = fs::read_dir(place.path("/proc")).into_iter().flatten().flatten();
    let numbered = processes
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()));
    numbered
        .map(|entry| entry.path().join("comm"))
        .any(|path| fs::read(path).is_ok_and(|comm| comm == b"irqbalance\n"))
}

/// A command that writes to sysfs, run where sysfs shows the window's devices.
pub fn at_sysfs(window: &Window, command: &str) -> String {
    match &window.home.enter {
        None => command.to_owned(),
        Some(path) => format!(
            "nsenter --net={} unshare --mount sh -c {}",
            shell(&path.to_string_lossy()),
            shell(&format!("mount -t sysfs sysfs /sys && {command}"))
        ),
    }
}

/// With more than half of its time in interrupts, a CPU has less than half for ksoftirqd and the programs that read.
const HOT: f64 = 0.5;
/// A CPU takes some hundred thousand packets a second through the stack; with a tenth of that a port isn't what keeps it busy.
const BUSY: f64 = 10_000.0;

/// A port that one CPU or another can't keep up with.
pub struct Strained<'a> {
    /// The port.
    pub pair: Pair<'a>,
    /// CPUs that interrupts keep busy, and for how much of their time.
    pub hot: Vec<(u32, f64)>,
    /// All CPUs.
    pub cpus: Vec<u32>,
    /// Packets that found no room in its ring.
    lost: Vec<super::Moved>,
}

impl Strained<'_> {
    /// What shows that it is strained.
    pub fn evidence(&self) -> Vec<Evidence> {
        let share = |(cpu, share): &(u32, f64)| {
            Evidence::value(
                format!("CPU {cpu} in interrupts"),
                format!("{:.0} percent of its time", share * 100.0),
                CpuTimes::FROM,
            )
        };
        self.hot.iter().map(share).chain(self.lost.iter().cloned().map(Into::into)).collect()
    }

    /// Packets a second that found no room.
    pub fn losing(&self, window: &Window) -> f64 {
        window.rate(super::ports::most(&self.lost))
    }
}

/// The ports that are worth a look. An average since the boot says nothing of any moment: then there are none.
pub fn strained<'a>(window: &'a Window<'a>) -> Result<Vec<Strained<'a>>, Unread> {
    let hot = hot(window)?;
    let cpus: Vec<u32> = window.now::<CpuTimes>()?.0.iter().map(|time| time.cpu).collect();
    if window.span == Span::SinceBoot || cpus.len() < 2 {
        return Ok(Vec::new());
    }
    let of = |pair: Pair<'a>| {
        let lost = pair.signs(Trouble::Ring);
        let is_busy = window.rate(pair.traffic()[0]) >= BUSY;
        let is_strained = !lost.is_empty() || (is_busy && !hot.is_empty());
        (pair.before.is_some() && is_strained).then(|| Strained {
            pair,
            hot: hot.clone(),
            cpus: cpus.clone(),
            lost,
        })
    };
    Ok(hardware(window)?.into_iter().filter_map(of).collect())
}

/// CPUs that interrupts keep busy, and for how much of their time.
#[expect(clippy::cast_precision_loss, reason = "a share is for people")]
pub fn hot(window: &Window) -> Result<Vec<(u32, f64)>, Unread> {
    let (before, after) = window.both::<CpuTimes>()?;
    let share = |now: &CpuTime| {
        let was = before.0.iter().find(|time| time.cpu == now.cpu)?;
        let (total, interrupts) =
            (now.total.checked_sub(was.total)?, now.interrupts.checked_sub(was.interrupts)?);
        let share = interrupts as f64 / total.max(1) as f64;
        (share >= HOT).then_some((now.cpu, share))
    };
    Ok(after.0.iter().filter_map(share).collect())
}

/// The share of the busiest queue, and which that is; nothing where there is one queue, or none got anything.
#[expect(clippy::cast_precision_loss, reason = "a share is for people")]
pub fn busiest(queues: &[(u32, u64)]) -> Option<(u32, f64)> {
    let sum: u64 = queues.iter().map(|(_, packets)| packets).sum();
    let (queue, packets) =
        queues.iter().max_by_key(|(_, packets)| packets).filter(|_| queues.len() > 1 && sum > 0)?;
    Some((*queue, *packets as f64 / sum as f64))
}

#[cfg(test)]
pub mod made {
    use super::*;
    use crate::doctor::made::Made;
    use crate::doctor::ports::{Port, Ports};

    /// Four CPUs, of which the first spent so many percent of its time in interrupts; a port that received 500,000 packets in five seconds.
    pub fn window(percent: u64, before: Port, after: Port) -> Made {
        let times = |of_first: u64, total| {
            let time = |cpu: u32| CpuTime {
                cpu,
                total,
                interrupts: if cpu == 0 { of_first } else { 0 },
                ..CpuTime::default()
            };
            CpuTimes((0..4).map(time).collect())
        };
        let ports = |port| Ports { all: vec![port], untold: None };
        Made::default().part(times(0, 0), times(percent * 5, 500)).part(ports(before), ports(after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up;

    #[test]
    fn the_busiest_queue() {
        assert_eq!(busiest(&[(0, 1), (3, 3)]), Some((3, 0.75)));
        assert_eq!(busiest(&[(0, 1)]), None);
        assert_eq!(busiest(&[(0, 0), (1, 0)]), None);
    }

    #[test]
    fn a_balancer_is_found_by_its_name() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::new(root.path());
        made_up::file(root.path(), "proc/77/comm", "irqbalance\n");
        assert!(is_balanced(&place));
        made_up::file(root.path(), "proc/77/comm", "sshd\n");
        assert!(!is_balanced(&place));
    }

    #[test]
    fn a_balancer_is_looked_for_where_there_is_something_to_spread() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str| made_up::file(root.path(), path, "irqbalance\n");
        let finds_it = || Steering::read(&Place::new(root.path())).unwrap().is_balanced;
        put("proc/77/comm");
        put("sys/class/net/eth0/device/msi_irqs/30");
        assert!(!finds_it());
        put("sys/class/net/eth0/device/msi_irqs/31");
        assert!(finds_it());
    }
}
