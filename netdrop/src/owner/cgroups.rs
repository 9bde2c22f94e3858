//! Cgroups by id: the inode of their directory below the mount of cgroup v2.
//!
//! The id that the kernel gives (`cgroup_id`, include/linux/cgroup.h) is the kernfs node's, and with 64-bit inodes that is the
//! directory's inode (`kernfs_ino`, include/linux/kernfs.h).

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cgroup_path;
use super::names::Names;
use super::wanted::Wanted;
use crate::kernel::netns::mountinfo::unescape;
use crate::model::Workload;

/// Cgroups remembered: 3 MiB at most, those included that were removed since.
pub(super) const MAX_CGROUPS: usize = 64 << 10;

/// What is known of each cgroup.
#[derive(Debug)]
pub(super) struct Cgroups {
    root: PathBuf,
    known: HashMap<u64, Arc<Workload>>,
    walk: Option<Walk>,
    wanted: Wanted,
}

impl Cgroups {
    /// Nothing is known yet; the first walk is due.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), known: HashMap::new(), walk: None, wanted: Wanted::default() }
    }

    /// What runs in the cgroup, from memory; `None` while it isn't known. Those of removed cgroups are remembered for a while.
    pub(super) fn workload(&mut self, id: u64, now: Instant) -> Option<Arc<Workload>> {
        let known = self.known.get(&id).map(Arc::clone);
        if known.is_none() {
            self.wanted.miss(id, now);
        }
        known
    }

    /// All that are known.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Workload)> {
        self.known.iter().map(|(id, workload)| (*id, &**workload))
    }

    /// Walks for about `budget` if a walk is due or under way; true when it ended.
    pub(super) fn refresh(&mut self, names: &mut Names, now: Instant, budget: Duration) -> bool {
        if self.walk.is_none() && self.wanted.is_due(now) {
            self.walk = Some(Walk::start(&self.root, now));
        }
        let Some(walk) = &mut self.walk else { return false };
        if !walk.step(names, &self.known, budget) {
            return false;
        }
        self.wanted.searched(walk.started, walk.cost);
        let found = self.walk.take().map(|walk| walk.found).unwrap_or_default();
        if self.known.len() + found.len() > MAX_CGROUPS {
            self.known.clear();
        }
        self.known.extend(found);
        true
    }

    /// Bytes in use, nearly.
    pub(super) fn memory(&self) -> usize {
        self.known.capacity() * (size_of::<(u64, Arc<Workload>)>() + 1)
            + self.known.len() * (size_of::<Workload>() + 64)
    }
}

/// A walk through the directories, under way.
#[derive(Debug)]
struct Walk {
    mount: PathBuf,
    /// Directories still to be opened.
    left: Vec<PathBuf>,
    found: HashMap<u64, Arc<Workload>>,
    started: Instant,
    cost: Duration,
}

impl Walk {
    fn start(root: &Path, now: Instant) -> Self {
        let mount = mounted(root).unwrap_or_else(|| root.join("sys/fs/cgroup"));
        Self { left: vec![mount.clone()], mount, found: HashMap::new(), started: now, cost: Duration::ZERO }
    }

    /// Goes on for about `budget`, one directory at least; true once all are through.
    fn step(&mut self, names: &mut Names, known: &HashMap<u64, Arc<Workload>>, budget: Duration) -> bool {
        let start = Instant::now();
        while let Some(folder) = self.left.pop() {
            self.look_at(&folder, names, known);
            if start.elapsed() >= budget {
                break;
            }
        }
        self.cost += start.elapsed();
        self.left.is_empty()
    }

    fn look_at(&mut self, folder: &Path, names: &mut Names, known: &HashMap<u64, Arc<Workload>>) {
        if self.found.len() >= MAX_CGROUPS {
            return;
        }
        let Ok(id) = fs::metadata(folder).map(|metadata| metadata.ino()) else { return };
        let workload = known.get(&id).map_or_else(|| self.workload(folder, names), Arc::clone);
        self.found.insert(id, workload);
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.left.push(entry.path());
            }
        }
    }

    fn workload(&self, folder: &Path, names: &mut Names) -> Arc<Workload> {
        let path = folder.strip_prefix(&self.mount).unwrap_or(folder);
        let mut workload = cgroup_path::parse(&path.to_string_lossy());
        names.add(&mut workload);
        Arc::new(workload)
    }
}

/// The folder of the v2 cgroup that this process runs in: `0::` in `/proc/self/cgroup` (cgroups(7)).
pub fn own_cgroup(root: &Path) -> Option<PathBuf> {
    let own = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(mounted(root)?.join(own))
}

/// Where cgroup v2 is mounted on the system below `root`; `None` where it isn't.
pub(super) fn mounted(root: &Path) -> Option<PathBuf> {
    let mount = mount_point(&fs::read(root.join("proc/self/mountinfo")).ok()?)?;
    Some(root.join(mount.strip_prefix("/").unwrap_or(&mount)))
}

/// Where cgroup v2 is mounted, hybrid or not: the first `cgroup2` in `/proc/self/mountinfo` (proc(5)).
fn mount_point(mountinfo: &[u8]) -> Option<PathBuf> {
    mountinfo.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let point = fields.nth(4)?;
        fields.find(|field| *field == b"-")?;
        (fields.next()? == b"cgroup2").then(|| PathBuf::from(OsString::from_vec(unescape(point))))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const HYBRID: &str = "\
31 30 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
32 31 0:28 / /sys/fs/cgroup/unified rw shared:5 - cgroup2 cgroup2 rw
33 31 0:29 / /sys/fs/cgroup/systemd rw shared:6 - cgroup cgroup rw,name=systemd
";
    const UNIT: &str = "system.slice/nginx.service";

    #[rstest]
    #[case(V2, Some("/sys/fs/cgroup"))]
    #[case(HYBRID, Some("/sys/fs/cgroup/unified"))]
    #[case(r"30 23 0:26 / /odd\040place rw - cgroup2 x rw", Some("/odd place"))]
    #[case("33 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu", None)]
    #[case("30 23 0:26 / /sys/fs/cgroup", None)]
    #[case("", None)]
    fn the_mount_is_found(#[case] mountinfo: &str, #[case] expected: Option<&str>) {
        assert_eq!(mount_point(mountinfo.as_bytes()), expected.map(PathBuf::from));
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = mount_point(&bytes);
        }
    }

    struct Tree {
        root: tempfile::TempDir,
        mount: PathBuf,
    }

    impl Tree {
        fn new(mountinfo: &str, mount: &str) -> Self {
            let root = tempfile::tempdir().unwrap();
            crate::made_up::file(root.path(), "proc/self/mountinfo", mountinfo);
            let mount = root.path().join(mount);
            fs::create_dir_all(&mount).unwrap();
            Self { root, mount }
        }

        fn make(&self, path: &str) -> u64 {
            fs::create_dir_all(self.mount.join(path)).unwrap();
            fs::metadata(self.mount.join(path)).unwrap().ino()
        }
    }

    #[rstest]
    #[case(V2, "sys/fs/cgroup")]
    #[case(HYBRID, "sys/fs/cgroup/unified")]
    #[case("", "sys/fs/cgroup")]
    fn an_id_is_a_directory(#[case] mountinfo: &str, #[case] mount: &str) {
        let tree = Tree::new(mountinfo, mount);
        let (unit, top) = (tree.make(UNIT), tree.make(""));
        fs::write(tree.mount.join("cgroup.procs"), "1\n").unwrap();
        let mut cgroups = Cgroups::new(tree.root.path());
        let now = Instant::now();
        assert_eq!(cgroups.workload(unit, now), None, "not walked yet");
        cgroups.refresh(&mut Names::new(tree.root.path()), now, Duration::MAX);
        assert_eq!(cgroups.workload(unit, now).unwrap().to_string(), "nginx.service");
        assert!(cgroups.workload(top, now).unwrap().is_empty());
        assert_eq!(cgroups.workload(u64::MAX, now), None);
        assert_eq!(cgroups.iter().count(), 3);
        assert!(cgroups.memory() > 0);
    }

    #[test]
    fn a_miss_walks_again_and_what_is_gone_is_remembered() {
        let tree = Tree::new(V2, "sys/fs/cgroup");
        let old = tree.make(UNIT);
        let (mut cgroups, mut names) = (Cgroups::new(tree.root.path()), Names::new(tree.root.path()));
        let start = Instant::now();
        cgroups.refresh(&mut names, start, Duration::MAX);
        // Made before the other goes, so that it doesn't get its inode.
        let new = tree.make("system.slice/new.service");
        fs::remove_dir(tree.mount.join(UNIT)).unwrap();
        assert_eq!(cgroups.workload(new, start), None);
        // A walk of a test's tree can take a while on a busy machine: the next one may have to wait for that.
        let later = start + Duration::from_secs(9);
        cgroups.workload(new, later);
        cgroups.refresh(&mut names, later, Duration::MAX);
        assert_eq!(cgroups.workload(new, later).unwrap().to_string(), "new.service");
        assert_eq!(cgroups.workload(old, later).unwrap().to_string(), "nginx.service");
    }

    #[test]
    fn a_walk_can_be_made_in_steps() {
        let tree = Tree::new(V2, "sys/fs/cgroup");
        let ids: Vec<u64> = (0..5).map(|number| tree.make(&format!("{number}.service"))).collect();
        let (mut cgroups, mut names) = (Cgroups::new(tree.root.path()), Names::new(tree.root.path()));
        let now = Instant::now();
        for _ in 0..5 {
            cgroups.refresh(&mut names, now, Duration::ZERO);
        }
        assert_eq!(cgroups.workload(ids[0], now), None, "one directory is left");
        cgroups.refresh(&mut names, now, Duration::ZERO);
        assert!(ids.iter().all(|id| cgroups.workload(*id, now).is_some()));
    }
}
