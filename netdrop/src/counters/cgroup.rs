//! A cgroup's limits, and how often it came up against them: the files of its folder, of version 2 (Documentation/admin-guide/cgroup-v2.rst) or 1
//! (cgroup-v1/memory.rst, scheduler/sched-bwc.rst). Where a hierarchy is mounted, and where a process is in it.

use std::collections::BTreeMap;

/// A file of lines `name number`: `cpu.stat`, `memory.events`, `memory.stat`, `cgroup.events`. Lines of another form are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keyed(BTreeMap<String, u64>);

impl Keyed {
    /// Reads it.
    pub fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let (name, number) = line.split_once(' ')?;
            Some((name.to_owned(), number.trim().parse().ok()?))
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// A number; absent where this kernel or this controller has none of that name.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }

    /// Takes those of another file too.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// With this number.
    pub fn set(&mut self, name: &str, number: u64) {
        self.0.insert(name.to_owned(), number);
    }

    /// Nanoseconds in which it was kept from running: version 2 counts micro-, version 1 nanoseconds.
    pub fn throttled(&self) -> Option<u64> {
        let micro = self.get("throttled_usec").map(|micro| micro.saturating_mul(1000));
        micro.or_else(|| self.get("throttled_time"))
    }
}

impl<const N: usize> From<[(&str, u64); N]> for Keyed {
    fn from(numbers: [(&str, u64); N]) -> Self {
        Self(numbers.into_iter().map(|(name, number)| (name.to_owned(), number)).collect())
    }
}

/// So much CPU time in each period, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// The time.
    pub quota: u64,
    /// The period; 100 ms unless it was set.
    pub period: u64,
}

impl Quota {
    /// In percent of one CPU.
    pub fn percent(self) -> u64 {
        self.quota.saturating_mul(100) / self.period.max(1)
    }
}

/// `cpu.max`: `50000 100000`, or `max 100000` where there is no quota.
pub fn cpu_max(text: &str) -> Option<Quota> {
    let (quota, period) = text.trim().split_once(' ')?;
    quota_of(quota, period)
}

/// `cpu.cfs_quota_us`, −1 where there is none, and `cpu.cfs_period_us`.
pub fn quota_of(quota: &str, period: &str) -> Option<Quota> {
    Some(Quota { quota: quota.trim().parse().ok()?, period: period.trim().parse().ok()? })
}

/// Where a hierarchy is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The part of the hierarchy that is seen there; `/` but within containers.
    pub root: String,
    /// The folder.
    pub point: String,
    /// Of version 2.
    pub is_unified: bool,
}

impl Mount {
    /// The mount of a controller in `/proc/self/mountinfo`: of version 1 where it is there, else of version 2.
    pub fn of(mountinfo: &str, controller: &str) -> Option<Self> {
        let mounts = || {
            mountinfo.lines().filter_map(|line| {
                let (before, after) = line.split_once(" - ")?;
                let mut fields = before.split(' ').skip(3);
                let (root, point) = (fields.next()?, fields.next()?);
                let mut rest = after.split(' ');
                let (kind, options) = (rest.next()?, rest.nth(1)?);
                let mount = |is_unified| Self { root: root.into(), point: point.into(), is_unified };
                match kind {
                    "cgroup" if options.split(',').any(|one| one == controller) => Some(mount(false)),
                    "cgroup2" => Some(mount(true)),
                    _ => None,
                }
            })
        };
        mounts().find(|mount| !mount.is_unified).or_else(|| mounts().find(|mount| mount.is_unified))
    }

    /// The folders of a process's cgroup and of those around it, the innermost first, by its `/proc/PID/cgroup`. The root, which has no limits, isn't
    /// among them.
    pub fn folders(&self, of_process: &str, controller: &str) -> Vec<String> {
        let path = of_process.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            let is_it = if self.is_unified {
                controllers.is_empty()
            } else {
                controllers.split(',').any(|one| one == controller)
            };
            is_it.then_some(path)
        });
        let path = path.unwrap_or_default();
        let mut path = path.strip_prefix(self.root.trim_end_matches('/')).unwrap_or(path);
        // `/../x` is outside of what is mounted here.
        let mut folders = Vec::new();
        while !path.trim_matches('/').is_empty() && !path.contains("/..") {
            folders.push(format!("{}{path}", self.point));
            path = path.rsplit_once('/').map_or("", |(above, _)| above);
        }
        folders
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OF_5_10: &str = "usage_usec 900\nuser_usec 500\nsystem_usec 400\nnr_periods 30\nnr_throttled 7\nthrottled_usec 8000\n";
    const OF_7_X: &str = "usage_usec 900\nuser_usec 500\nsystem_usec 400\nnice_usec 0\ncore_sched.force_idle_usec 0\nnr_periods 30\nnr_throttled 7\nthrottled_usec 8000\nnr_bursts 0\nburst_usec 0\n";
    const OF_1: &str = "nr_periods 30\nnr_throttled 7\nthrottled_time 8000000\nnr_bursts 0\nburst_time 0\n";
    const UNIFIED: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const HYBRID: &str = "\
31 30 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
32 31 0:28 / /sys/fs/cgroup/unified rw shared:5 - cgroup2 cgroup2 rw
33 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
";

    #[rstest::rstest]
    #[case(OF_5_10)]
    #[case(OF_7_X)]
    #[case(OF_1)]
    fn throttled_time_is_told_in_nanoseconds(#[case] text: &str) {
        let stat = Keyed::parse(text);
        assert_eq!((stat.throttled(), stat.get("nr_throttled")), (Some(8_000_000), Some(7)));
        assert_eq!(Keyed::parse("max\nx y\n").throttled(), None);
    }

    #[rstest::rstest]
    #[case("50000 100000\n", Some(50))]
    #[case("max 100000\n", None)]
    #[case("150000 100000", Some(150))]
    #[case("", None)]
    fn a_quota(#[case] text: &str, #[case] percent: Option<u64>) {
        assert_eq!(cpu_max(text).map(Quota::percent), percent);
        assert_eq!(quota_of("-1\n", "100000\n"), None);
    }

    #[test]
    fn a_process_is_in_folders() {
        let unified = Mount::of(UNIFIED, "cpu").unwrap();
        let told = "0::/system.slice/nginx.service\n";
        assert_eq!(
            unified.folders(told, "cpu"),
            ["/sys/fs/cgroup/system.slice/nginx.service", "/sys/fs/cgroup/system.slice"]
        );
        let old = Mount::of(HYBRID, "cpu").unwrap();
        let told = "4:memory:/m\n3:cpu,cpuacct:/docker/x\n0::/\n";
        assert_eq!(
            old.folders(told, "cpu"),
            ["/sys/fs/cgroup/cpu,cpuacct/docker/x", "/sys/fs/cgroup/cpu,cpuacct/docker"]
        );
        assert!(Mount::of(HYBRID, "memory").unwrap().is_unified);
        assert_eq!(unified.folders("0::/\n", "cpu"), [""; 0]);
        assert_eq!(unified.folders("0::/../x\n", "cpu"), [""; 0]);
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in any::<String>(), info in "([0-9:/ a-z,-]{0,30}( - )?(cgroup2? )?\n?){0,4}") {
            let _ = (Keyed::parse(&text), cpu_max(&text));
            if let Some(mount) = Mount::of(&info, "cpu") {
                let _ = mount.folders(&text, "cpu");
            }
            let mount = Mount { root: "/a".into(), point: "/p".into(), is_unified: true };
            let _ = mount.folders(&format!("0::{text}"), "cpu");
        }
    }
}
