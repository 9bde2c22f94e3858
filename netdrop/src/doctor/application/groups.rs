//! The cgroups that processes of interest are in, and those around them.

use std::collections::{BTreeMap, BTreeSet};

use crate::counters::cgroup::{Keyed, Mount, Quota, cpu_max, quota_of};
use crate::counters::pressure;
use crate::doctor::Place;

/// Cgroups that are looked at, at most: some 60 µs each.
const GROUPS: usize = 256;
/// Controllers that keep a process from reading.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "freezer"];

/// A cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// `cpu.stat`, `memory.events` and, under its names of version 2, what version 1 has in files of their own: `max` from `memory.failcnt`,
    /// `current`, `sock`, `usage_usec`.
    pub counts: Keyed,
    /// The CPU time it may have.
    pub quota: Option<Quota>,
    /// The memory it may have, in bytes: above `high` it is slowed down, above `max` it is refused. Absent: all.
    pub high: Option<u64>,
    pub max: Option<u64>,
    /// Microseconds in which some process in it waited for memory (PSI).
    pub stalled: Option<u64>,
    /// It was frozen itself, not by one around it.
    pub is_frozen: bool,
    /// Of version 1: other files, other units.
    pub is_old: bool,
    /// Its path from the root of the hierarchy, which names its container or unit.
    pub path: String,
}

/// Collects them.
pub struct Groups<'p> {
    place: &'p Place,
    mounts: Vec<(&'static str, Mount)>,
    folders: BTreeSet<(String, String, bool)>,
}

impl<'p> Groups<'p> {
    pub fn new(place: &'p Place) -> Self {
        let mountinfo = place.text("/proc/self/mountinfo").unwrap_or_default();
        let mount = |controller| Some((controller, Mount::of(&mountinfo, controller)?));
        Self { place, mounts: CONTROLLERS.into_iter().filter_map(mount).collect(), folders: BTreeSet::new() }
    }

    /// The folders of a process, each once, by its `/proc/PID/cgroup`.
    pub fn of_process(&mut self, text: &str) -> Vec<String> {
        let mut folders = Vec::new();
        for (controller, mount) in &self.mounts {
            for folder in mount.folders(text, controller) {
                let path = folder.strip_prefix(&mount.point).unwrap_or_default().to_owned();
                if !folders.contains(&folder) && self.folders.len() < GROUPS {
                    self.folders.insert((folder.clone(), path, !mount.is_unified));
                    folders.push(folder);
                }
            }
        }
        folders
    }

    /// Reads each once.
    pub fn read(self) -> BTreeMap<String, Group> {
        let read = |(folder, path, is_old): &(String, String, bool)| {
            let group = read(self.place, folder, *is_old);
            (folder.clone(), Group { path: path.clone(), ..group })
        };
        self.folders.iter().map(read).collect()
    }
}

/// Files that a controller which isn't there doesn't have are left out.
fn read(place: &Place, folder: &str, is_old: bool) -> Group {
    let text = |name: &str| place.text(&format!("{folder}/{name}")).ok();
    let number = |name: &str| text(name)?.trim().parse::<u64>().ok();
    let mut counts = Keyed::default();
    let mut count = |name: &str, number: Option<u64>| {
        if let Some(number) = number {
            counts.set(name, number);
        }
    };
    if is_old {
        count("max", number("memory.failcnt"));
        count("current", number("memory.usage_in_bytes"));
        count("sock", number("memory.kmem.tcp.usage_in_bytes"));
        count("usage_usec", number("cpuacct.usage").map(|nano| nano / 1000));
        // Without a limit it is the largest multiple of a page that fits 63 bits (`PAGE_COUNTER_MAX`).
        let max = number("memory.limit_in_bytes").filter(|max| *max < 1 << 62);
        let quota = text("cpu.cfs_quota_us").zip(text("cpu.cfs_period_us"));
        counts.extend(Keyed::parse(&text("cpu.stat").unwrap_or_default()));
        return Group {
            counts,
            quota: quota.and_then(|(quota, period)| quota_of(&quota, &period)),
            max,
            is_frozen: text("freezer.state").is_some_and(|state| state.trim() != "THAWED")
                && number("freezer.self_freezing") == Some(1),
            is_old,
            ..Group::default()
        };
    }
    count("current", number("memory.current"));
    count("sock", text("memory.stat").and_then(|text| Keyed::parse(&text).get("sock")));
    for file in ["cpu.stat", "memory.events"] {
        counts.extend(Keyed::parse(&text(file).unwrap_or_default()));
    }
    Group {
        counts,
        quota: text("cpu.max").and_then(|text| cpu_max(&text)),
        high: number("memory.high"),
        max: number("memory.max"),
        stalled: text("memory.pressure").and_then(|text| pressure::stalled(&text)),
        is_frozen: number("cgroup.freeze") == Some(1),
        ..Group::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up;

    #[test]
    fn files_of_both_versions_tell_the_same() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| made_up::file(root.path(), path, text);
        write("proc/self/mountinfo", "1 1 0:1 / /u rw - cgroup2 x rw\n2 1 0:2 / /cpu rw - cgroup x rw,cpu\n");
        write("u/a/memory.events", "low 0\nhigh 3\nmax 4\n");
        write("u/a/memory.max", "1048576\n");
        write("u/a/memory.high", "max\n");
        write("u/a/cgroup.freeze", "1\n");
        write("u/a/memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=77\n");
        write("cpu/b/cpu.stat", "nr_periods 5\nnr_throttled 2\nthrottled_time 9\n");
        write("cpu/b/cpu.cfs_quota_us", "20000\n");
        write("cpu/b/cpu.cfs_period_us", "100000\n");
        let place = Place::new(root.path());
        let mut groups = Groups::new(&place);
        assert_eq!(groups.of_process("2:cpu:/b\n0::/a\n"), ["/cpu/b", "/u/a"]);
        let read = groups.read();
        let (cpu, memory) = (&read["/cpu/b"], &read["/u/a"]);
        assert_eq!(
            (cpu.quota.map(Quota::percent), cpu.counts.throttled(), cpu.is_old),
            (Some(20), Some(9), true)
        );
        assert_eq!((memory.max, memory.high, memory.stalled), (Some(1 << 20), None, Some(77)));
        assert_eq!((memory.counts.get("high"), memory.is_frozen, &*memory.path), (Some(3), true, "/a"));
    }
}
