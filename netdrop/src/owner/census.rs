//! What a user's word means now: a container's cgroups and network namespaces, a process's sockets.
//!
//! [`Owners`](super::Owners) goes from numbers to names and remembers; this goes from a name to numbers and looks anew each time, at as little as
//! the name needs: the cgroup tree for a container, one process for a pid, each process's name for a command.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::cgroups::mounted;
use super::names::Names;
use super::process::{Descriptors, Procfs};
use super::{cgroup_path, cgroups::MAX_CGROUPS};
use crate::kernel::near::closest;
use crate::model::Workload;
use crate::order::InOrder as _;

/// What `TASK_COMM_LEN` leaves of a command's name.
const COMMAND_MAX: usize = 15;
/// A shorter beginning of a container's id is taken for a name.
const FEWEST_DIGITS: usize = 4;

/// A container, or several of one name, in the kernel's numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inhabited {
    /// The containers or pods, as people know them.
    pub called: Vec<String>,
    /// Ids of their v2 cgroups and all below.
    pub cgroups: Vec<u64>,
    /// Inodes of their network namespaces, the host's left out.
    pub namespaces: Vec<u32>,
}

/// Why a word means no container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoContainer {
    /// There is none of this name; the nearest.
    Unknown(Option<String>),
    /// The beginning of several ids.
    Ambiguous(Vec<String>),
}

/// The processes that a word means, and what they hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holders {
    /// Lowest pid first.
    pub processes: Vec<Holder>,
    /// Inodes of their sockets, each once, in order.
    pub sockets: Vec<u32>,
    /// Processes whose descriptors may not be read.
    pub refused: u32,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// Clock ticks since the machine's start: the same pid with another is another process.
    pub started: u64,
    /// Its name.
    pub command: String,
}

/// Looks at the file systems below a root.
#[derive(Debug)]
pub struct Census {
    root: PathBuf,
    procfs: Option<Procfs>,
    names: Names,
    /// What each process was called at the last look, so that its arguments are read once.
    called: HashMap<(u32, u64), Called>,
}

#[derive(Debug)]
struct Called {
    command: String,
    /// The base name of its first argument.
    argument: String,
}

/// A cgroup's folder.
struct Folder {
    path: PathBuf,
    id: u64,
    /// Its place among the folders, except for the root's.
    parent: Option<usize>,
    workload: Workload,
}

impl Census {
    /// For the file systems below `root`, which is `/` outside tests.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            procfs: Procfs::open(root),
            names: Names::new(root),
            called: HashMap::new(),
        }
    }

    /// The container that is called so: by its name or its pod's, its id or the only one that begins so.
    ///
    /// It is looked for in the v2 cgroups; where none of them is its, among the processes: v1 cgroups are no socket's.
    pub fn container(&mut self, word: &str) -> Result<Inhabited, NoContainer> {
        let folders = self.folders();
        let mut names = Vec::new();
        match meaning(word, folders.iter().map(|folder| &folder.workload), &mut names)? {
            Some(meant) => Ok(self.by_folders(&folders, &meant)),
            None => self.by_processes(word, names),
        }
    }

    fn by_folders(&self, folders: &[Folder], meant: &Meant) -> Inhabited {
        let mut found = Found::default();
        // Parents come before their children: all below belongs to it too.
        let mut inside = vec![false; folders.len()];
        for (at, folder) in folders.iter().enumerate() {
            let is_named = meant.includes(&folder.workload);
            inside[at] = is_named || folder.parent.is_some_and(|parent| inside[parent]);
            if is_named {
                found.called.insert(folder.workload.to_string());
            }
            if inside[at] {
                found.cgroups.insert(folder.id);
                found.namespaces.extend(members(&folder.path).iter().filter_map(|pid| self.netns(*pid)));
            }
        }
        found.finish(self.host_netns())
    }

    fn by_processes(&mut self, word: &str, mut names: Vec<String>) -> Result<Inhabited, NoContainer> {
        let unknown = |names: &[String]| {
            let near = closest(word, names.iter().map(String::as_str));
            NoContainer::Unknown(near.map(str::to_owned))
        };
        let Some(procfs) = &self.procfs else { return Err(unknown(&names)) };
        let mut workloads: BTreeMap<String, (Workload, Vec<u32>)> = BTreeMap::new();
        for pid in procfs.processes() {
            let Some(text) = procfs.cgroup(pid) else { continue };
            let names = &mut self.names;
            let (_, pids) = workloads.entry(text).or_insert_with_key(|text| {
                let mut workload = cgroup_path::parse_process(text);
                names.add(&mut workload);
                (workload, Vec::new())
            });
            pids.push(pid);
        }
        let meant = meaning(word, workloads.values().map(|(workload, _)| workload), &mut names)?;
        let meant = meant.ok_or_else(|| unknown(&names))?;
        let mut found = Found::default();
        for (workload, pids) in workloads.values().filter(|(workload, _)| meant.includes(workload)) {
            found.called.insert(workload.to_string());
            found.namespaces.extend(pids.iter().filter_map(|pid| self.netns(*pid)));
        }
        Ok(found.finish(self.host_netns()))
    }

    /// All v2 cgroups, parents before their children.
    fn folders(&mut self) -> Vec<Folder> {
        let Some(mount) = mounted(&self.root) else { return Vec::new() };
        let mut folders: Vec<Folder> = Vec::new();
        let mut left = vec![(mount.clone(), None)];
        while let Some((path, parent)) = left.pop() {
            let Ok(id) = fs::metadata(&path).map(|metadata| metadata.ino()) else { continue };
            let below = path.strip_prefix(&mount).unwrap_or(&path);
            let mut workload = cgroup_path::parse(&below.to_string_lossy());
            self.names.add(&mut workload);
            for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    left.push((entry.path(), Some(folders.len())));
                }
            }
            folders.push(Folder { path, id, parent, workload });
            if folders.len() >= MAX_CGROUPS {
                break;
            }
        }
        folders
    }

    fn netns(&self, pid: u32) -> Option<u32> {
        self.procfs.as_ref()?.netns(pid)
    }

    /// That of the first process, or of the kernel's own where that one is closed to us.
    fn host_netns(&self) -> Option<u32> {
        self.netns(1).or_else(|| self.netns(2))
    }

    /// The process with this id, or all that run this command: by their name or the base name of their first argument.
    pub fn holders(&mut self, word: &str) -> Holders {
        let processes = match word.parse() {
            Ok(pid) => self.process(pid).into_iter().collect(),
            Err(_) => self.running(word),
        };
        self.holding(processes)
    }

    /// The process as it is now; none where it has ended.
    fn process(&self, pid: u32) -> Option<Holder> {
        let stat = self.procfs.as_ref()?.stat(pid)?;
        Some(Holder { pid, started: stat.started, command: stat.command })
    }

    fn running(&mut self, word: &str) -> Vec<Holder> {
        if word.is_empty() {
            return Vec::new();
        }
        self.look();
        let is_meant = |called: &Called| {
            called.command == word
                || called.argument == word
                || (called.command.len() == COMMAND_MAX && word.starts_with(&called.command))
        };
        let meant = self.called.iter().filter(|(_, called)| is_meant(called));
        let mut processes: Vec<_> = meant
            .map(|((pid, started), called)| Holder {
                pid: *pid,
                started: *started,
                command: called.command.clone(),
            })
            .collect();
        processes.order_by_key(|process| process.pid);
        processes
    }

    /// What every process is called now.
    fn look(&mut self) {
        let Some(procfs) = &self.procfs else { return };
        let mut before = std::mem::take(&mut self.called);
        for pid in procfs.processes() {
            let Some(stat) = procfs.stat(pid) else { continue };
            let known = before.remove(&(pid, stat.started)).filter(|called| called.command == stat.command);
            // It may run another program since (execve(2)), which has another name, nearly always.
            let called = known.unwrap_or_else(|| {
                let argument = procfs.first_argument(pid).unwrap_or_default();
                let base = argument.rsplit('/').next().unwrap_or_default().to_owned();
                Called { command: stat.command, argument: base }
            });
            self.called.insert((pid, stat.started), called);
        }
    }

    /// The command that is nearest to a word that none runs.
    pub fn nearest_command(&mut self, word: &str) -> Option<String> {
        self.look();
        closest(word, self.called.values().map(|called| called.command.as_str())).map(str::to_owned)
    }

    fn holding(&self, processes: Vec<Holder>) -> Holders {
        let mut found = Holders { processes, ..Holders::default() };
        let Some(procfs) = &self.procfs else { return found };
        for process in &found.processes {
            match procfs.descriptors(process.pid) {
                Descriptors::Sockets(sockets) => {
                    found.sockets.extend(sockets.into_iter().map(|(_, inode)| inode));
                }
                Descriptors::Refused => found.refused += 1,
                Descriptors::Gone => {}
            }
        }
        found.sockets.sort_unstable();
        found.sockets.dedup();
        found
    }
}

#[derive(Default)]
struct Found {
    called: BTreeSet<String>,
    cgroups: BTreeSet<u64>,
    namespaces: BTreeSet<u32>,
}

impl Found {
    fn finish(mut self, host: Option<u32>) -> Inhabited {
        if let Some(host) = host {
            self.namespaces.remove(&host);
        }
        Inhabited {
            called: self.called.into_iter().collect(),
            cgroups: self.cgroups.into_iter().collect(),
            namespaces: self.namespaces.into_iter().collect(),
        }
    }
}

/// The processes in a cgroup: `cgroup.procs` (cgroups(7)); 0 is one that isn't in this PID namespace.
fn members(folder: &Path) -> Vec<u32> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid != 0).collect()
}

/// What a word was found to mean.
enum Meant<'w> {
    /// All that are called so.
    Name(&'w str),
    /// The one container whose id begins so.
    Id(String),
}

impl Meant<'_> {
    fn includes(&self, workload: &Workload) -> bool {
        match self {
            Self::Name(word) => is_called(workload, word),
            Self::Id(id) => workload.container.as_ref().is_some_and(|container| container.id == *id),
        }
    }
}

/// What the word means among these, if anything; their names are added to `names`.
fn meaning<'w, 'c>(
    word: &'w str,
    workloads: impl Iterator<Item = &'c Workload>,
    names: &mut Vec<String>,
) -> Result<Option<Meant<'w>>, NoContainer> {
    let mut ids = BTreeMap::new();
    let mut is_name = false;
    for workload in workloads {
        is_name |= is_called(workload, word);
        if let Some(container) = &workload.container {
            names.push(container.name.clone().unwrap_or_else(|| container.id.clone()));
            let part = word.strip_prefix(&format!("{}:", container.runtime.as_str())).unwrap_or(word);
            if part.len() >= FEWEST_DIGITS && container.id.starts_with(part) {
                ids.insert(&container.id, workload);
            }
        }
        names.extend(workload.pod.as_ref().and_then(|pod| pod.name.clone()));
    }
    if is_name {
        return Ok(Some(Meant::Name(word)));
    }
    match ids.len() {
        0 => Ok(None),
        1 => Ok(ids.into_keys().next().map(|id| Meant::Id(id.clone()))),
        _ => Err(NoContainer::Ambiguous(ids.into_values().map(ToString::to_string).collect())),
    }
}

/// Whether it is a container or pod of exactly this name or id, the runtime in front or not.
fn is_called(workload: &Workload, word: &str) -> bool {
    let of_container = workload.container.as_ref().is_some_and(|container| {
        let word = word.strip_prefix(&format!("{}:", container.runtime.as_str())).unwrap_or(word);
        container.id == word || container.name.as_deref() == Some(word)
    });
    let of_pod = workload.pod.as_ref().is_some_and(|pod| {
        let short = pod.name.as_deref().and_then(|name| name.split_once('/')).map(|(_, name)| name);
        pod.uid == word || pod.name.as_deref() == Some(word) || short == Some(word)
    });
    of_container || of_pod
}

#[cfg(test)]
mod tests;
