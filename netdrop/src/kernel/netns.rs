//! Network namespaces: their names by inode number, and the inode of one that a user names.
//!
//! A namespace is known by its inode on nsfs, as `/proc/PID/ns/net` shows it (`namespaces(7)`): `net:[4026531840]`.
//! Bind-mounted ones have names: those of `ip netns` (`/run/netns`, ip-netns(8)), CNI's there as well, docker's in
//! `/run/docker/netns`. One read of mountinfo finds them all. (The files in those folders say nothing by themselves:
//! where the mount is not visible, they are plain empty files.) The others are known by a process inside.

pub(crate) mod mountinfo;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::near::closest;
use super::privileged;

/// The inode of the initial PID namespace: `PROC_PID_INIT_INO` of `include/linux/proc_ns.h`, the same on every kernel.
pub(crate) const INITIAL_PID_NAMESPACE: u32 = 0xEFFF_FFFC;

/// Unknown namespaces make for a new look at most so often, however many turn up.
const MISS_INTERVAL: Duration = Duration::from_secs(1);
/// A known one is looked at again at most so often. When it is gone, the next one that is made has its number: the kernel
/// gives out the lowest that is free (`proc_alloc_inum`, fs/proc/generic.c).
const CHECK_INTERVAL: Duration = Duration::from_millis(10);
/// One that isn't where it was makes for a new look at most so often.
const LOST_INTERVAL: Duration = Duration::from_millis(100);
/// Looks take at most one part in so many of the time: each process costs a question where the helper is asked.
const SHARE: u32 = 20;
/// Names of namespaces that are gone are kept while there are fewer than so many names in all.
const REMEMBERED: usize = 4096;

/// Why a namespace that a user named is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetnsError {
    /// No namespace of that name.
    #[error("there is no network namespace `{name}`: write a name, an inode number, pid:N or self{}", suggestion.as_ref().map_or(String::new(), |near| format!("; did you mean `{near}`?")))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The closest name there is.
        suggestion: Option<String>,
    },
    /// `pid:` without a number.
    #[error("`{0}` names no process: write `pid:` and a number, as in `pid:4242`")]
    BadPid(String),
    /// The process is gone, or may not be looked at.
    #[error("the network namespace of process {0} can't be read: it has ended, or this needs CAP_SYS_PTRACE")]
    NoProcess(u32),
}

/// The network namespaces that can be seen from here.
#[derive(Debug, Default)]
pub struct Namespaces {
    root: PathBuf,
    own: Option<u32>,
    refreshed: Option<Instant>,
    /// No new look until so long after the last one, for what that one cost.
    pause: Duration,
    found: BTreeMap<u32, Found>,
}

#[derive(Debug)]
struct Found {
    name: String,
    /// What `setns(2)` takes.
    path: PathBuf,
    /// When the path was last seen to lead there; none where that was with the last look at all.
    checked: Option<Instant>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is where the path leads.
    There,
    /// It isn't, and wasn't looked for since: nothing is known.
    Lost,
    /// It is no more, as far as can be seen; what it dropped keeps its name until another has its number.
    Gone,
}

impl Namespaces {
    /// Nothing is looked up yet: see [`Namespaces::refresh`]. The tree at `root` is `/` outside tests.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), ..Self::default() }
    }

    /// Looks for namespaces anew; what may not be read is left out.
    ///
    /// Reads mountinfo once and one link a process: about 2 µs each.
    pub fn refresh(&mut self) {
        let procfs = self.root.join("proc");
        self.own = inode(&procfs.join("self/ns/net"));
        let before = std::mem::take(&mut self.found);
        // The first name of a namespace stays.
        if inode(&procfs.join("self/ns/pid")) == Some(INITIAL_PID_NAMESPACE) {
            // Process 1 may be closed to us (a security module, hidepid); 2 is the kernel's own, in the same place.
            let mut links = ["1/ns/net", "2/ns/net"].map(|link| procfs.join(link)).into_iter();
            if let Some((inode, path)) = links.find_map(|link| Some((inode(&link)?, link))) {
                self.insert(Some(inode), "host".into(), path);
            }
        } else {
            // In a container process 1 is the container's: the host's namespace is out of sight.
            self.insert(self.own, "self".into(), procfs.join("self/ns/net"));
        }
        let mounts = fs::read(procfs.join("self/mountinfo")).unwrap_or_default();
        for mount in mountinfo::namespaces(&mounts) {
            let path = self.root.join(mount.point.strip_prefix("/").unwrap_or(&mount.point));
            self.insert(Some(mount.inode), mount.name(), path);
        }
        for pid in processes(&procfs) {
            let path = procfs.join(format!("{pid}/ns/net"));
            self.insert(inode(&path), format!("pid:{pid}"), path);
        }
        for (inode, former) in before {
            if self.found.len() < REMEMBERED {
                self.found.entry(inode).or_insert(Found { state: State::Gone, ..former });
            }
        }
    }

    /// [`Namespaces::refresh`] if the namespace is not known, and none was made within the last second; or if it is no longer
    /// where it was found. True when it is found elsewhere now: its number may be another namespace's.
    pub fn refresh_for(&mut self, inode: u32, now: Instant) -> bool {
        let since = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        let last = since(self.refreshed);
        let is_due = |interval: Duration| last.is_none_or(|last| last >= interval.max(self.pause));
        let (is_miss_due, is_lost_due) = (is_due(MISS_INTERVAL), is_due(LOST_INTERVAL));
        let Some(known) = self.found.get_mut(&inode) else {
            if is_miss_due {
                self.refresh_at(now);
            }
            return false;
        };
        match known.state {
            State::There => {
                let is_fresh = since(known.checked).is_some_and(|checked| checked < CHECK_INTERVAL);
                if is_fresh || inode_of(&known.path) == Some(inode) {
                    known.checked = known.checked.filter(|_| is_fresh).or(Some(now));
                    return false;
                }
            }
            // It was just found to be.
            State::Gone if last.is_some_and(|last| last < CHECK_INTERVAL) => return false,
            State::Gone | State::Lost => {}
        }
        if !is_lost_due {
            known.state = State::Lost;
            return false;
        }
        let before = known.path.clone();
        self.refresh_at(now);
        self.path(inode).is_some_and(|path| path != before)
    }

    fn refresh_at(&mut self, now: Instant) {
        let start = Instant::now();
        self.refresh();
        self.refreshed = Some(now);
        self.pause = start.elapsed().saturating_mul(SHARE);
    }

    fn insert(&mut self, inode: Option<u32>, name: String, path: PathBuf) {
        if let Some(inode) = inode {
            self.found.entry(inode).or_insert(Found { name, path, checked: None, state: State::There });
        }
    }

    /// The name of a namespace: `host`, `self` (in a container), a mount's, or `pid:N` for the lowest process in it. One that is
    /// gone has the name that it had.
    pub fn name(&self, inode: u32) -> Option<&str> {
        self.found.get(&inode).filter(|found| found.state != State::Lost).map(|found| found.name.as_str())
    }

    /// A path that `setns(2)` can enter the namespace by.
    pub fn path(&self, inode: u32) -> Option<&Path> {
        self.found.get(&inode).filter(|found| found.state == State::There).map(|found| found.path.as_path())
    }

    /// The namespace of this process.
    pub const fn own(&self) -> Option<u32> {
        self.own
    }

    /// All that were found: inode and name.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        self.there().map(|(inode, found)| (inode, found.name.as_str()))
    }

    fn there(&self) -> impl Iterator<Item = (u32, &Found)> {
        self.found
            .iter()
            .filter(|(_, found)| found.state == State::There)
            .map(|(inode, found)| (*inode, found))
    }

    /// The inode of what a user names: `self`, `pid:N`, an inode number, or a name.
    ///
    /// A number is taken as it is: a namespace can live without a process or a mount.
    pub fn inode_of(&self, argument: &str) -> Result<u32, NetnsError> {
        if let Some(pid) = argument.strip_prefix("pid:") {
            let pid = pid.parse().map_err(|_| NetnsError::BadPid(argument.to_owned()))?;
            return inode(&self.root.join(format!("proc/{pid}/ns/net"))).ok_or(NetnsError::NoProcess(pid));
        }
        if let ("self", Some(own)) = (argument, self.own) {
            return Ok(own);
        }
        let by_name = self.there().find(|(_, found)| found.name == argument).map(|(inode, _)| inode);
        by_name.or_else(|| argument.parse().ok()).ok_or_else(|| {
            let names = self.there().map(|(_, found)| found.name.as_str());
            let suggestion = closest(argument, names.chain(["self"])).map(str::to_owned);
            NetnsError::Unknown { name: argument.to_owned(), suggestion }
        })
    }
}

/// The number in a link like `net:[4026531840]`.
fn inode(link: &Path) -> Option<u32> {
    let target = privileged::read_link(link).ok()?;
    number(target.to_str()?.split_once(':')?.1)
}

/// The namespace that a link of a process or a mounted file leads to.
pub(crate) fn inode_of(path: &Path) -> Option<u32> {
    inode(path).or_else(|| fs::metadata(path).ok()?.ino().try_into().ok())
}

/// `[4026531840]`
fn number(brackets: &str) -> Option<u32> {
    brackets.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// The processes, lowest id first.
fn processes(procfs: &Path) -> Vec<u32> {
    let entries = fs::read_dir(procfs).into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}
