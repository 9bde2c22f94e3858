//! Which processes hold a socket: an index from memory, its answers checked against /proc, refreshed when something is missing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::names::Names;
use super::process::Procfs;
use super::recent::Recent;
use super::scan::{Holder, Holding, Scan, Snapshot};
use super::wanted::Wanted;
use crate::model::{self, Process, Workload};

/// Processes that are listed by name; the others are counted.
pub(super) const LISTED: usize = 4;
/// Sockets that nobody holds any more whose last holder is remembered: some 200 KiB.
const REMEMBERED: usize = 4096;

/// The index.
#[derive(Debug)]
pub(super) struct Sockets {
    root: PathBuf,
    procfs: Option<Procfs>,
    index: Snapshot,
    scan: Option<Scan>,
    wanted: Wanted,
    namespaces_wanted: Wanted,
    former: Recent<u32, Former>,
}

/// Who held a socket that no process was found to hold any more.
#[derive(Debug)]
struct Former {
    holder: Arc<Holder>,
    /// Others that held it.
    more: u32,
}

/// Who holds a socket.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub processes: Vec<Process>,
    pub more: u32,
    pub nobody: bool,
    /// Of the first process.
    pub workload: Arc<Workload>,
}

impl Sockets {
    /// Nothing is known yet; the first search is due.
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            procfs: Procfs::open(root),
            index: Snapshot::default(),
            scan: None,
            wanted: Wanted::default(),
            namespaces_wanted: Wanted::default(),
            former: Recent::new(REMEMBERED),
        }
    }

    /// Who holds the socket; `None` while that isn't known.
    ///
    /// With `check`, each process that would be listed is looked at: two reads below /proc, some 10 µs. Without,
    /// it is from memory, at most as old as the last search.
    pub(super) fn holders(&mut self, inode: u32, check: bool, now: Instant) -> Option<Held> {
        let procfs = self.procfs.as_ref().filter(|_| check);
        let holdings = self.index.of_socket(inode);
        if holdings.is_empty() {
            let searched = self.wanted.miss(inode.into(), now);
            return self.former_holders(inode, searched);
        }
        let (mut open, mut lost) = (Vec::new(), Vec::new());
        for holding in holdings {
            let holder = self.index.holder(*holding);
            let process = look_again(procfs, holder, Some(*holding));
            match process.holding {
                model::Holding::Open => open.push((process, holder)),
                model::Holding::Closed | model::Holding::Gone => lost.push((process, holder)),
            }
            if open.len() == LISTED {
                break;
            }
        }
        let nobody = if open.is_empty() {
            // Another may have got it: only a new search can tell.
            self.wanted.miss(inode.into(), now) && self.sees_all()
        } else {
            self.wanted.found(inode.into(), now);
            false
        };
        if !lost.is_empty() {
            self.wanted.changed();
        }
        // Those that hold it are the answer; those that did are one only where none is left.
        let total = if open.is_empty() { lost.len() } else { holdings.len() - lost.len() };
        let named = if open.is_empty() { lost } else { open };
        let workload = named.first().map(|(_, holder)| Arc::clone(&holder.workload)).unwrap_or_default();
        let processes: Vec<Process> = named.into_iter().map(|(process, _)| process).take(LISTED).collect();
        let more = u32::try_from(total - processes.len()).unwrap_or(u32::MAX);
        Some(Held { processes, more, nobody, workload })
    }

    fn former_holders(&self, inode: u32, searched: bool) -> Option<Held> {
        let nobody = searched && self.sees_all();
        let Some(Former { holder, more }) = self.former.get(&inode) else {
            return nobody.then(|| Held { nobody, ..Held::default() });
        };
        let process = look_again(self.procfs.as_ref(), holder, None);
        Some(Held { processes: vec![process], more: *more, nobody, workload: Arc::clone(&holder.workload) })
    }

    /// Whether what isn't in the index isn't there: some processes may be closed to us, or there was no room.
    const fn sees_all(&self) -> bool {
        self.index.refused == 0 && self.index.left_out == 0
    }

    /// Whose a network namespace is; `None` while that isn't known.
    pub(super) fn workload_of_netns(&mut self, netns: u32, now: Instant) -> Option<Arc<Workload>> {
        let known = self.index.namespaces.get(&netns).map(|namespace| Arc::clone(&namespace.workload));
        if known.is_some() {
            self.namespaces_wanted.found(netns.into(), now);
        } else {
            self.namespaces_wanted.miss(netns.into(), now);
        }
        known.filter(|workload| !workload.is_empty())
    }

    /// Searches for about `budget` if a search is due or under way; true when it ended.
    pub(super) fn refresh(&mut self, names: &mut Names, now: Instant, budget: Duration) -> bool {
        if self.scan.is_none() && (self.wanted.is_due(now) || self.namespaces_wanted.is_due(now)) {
            self.scan = Some(Scan::start(&self.root, now));
        }
        let Some(scan) = &mut self.scan else { return false };
        let Some(found) = scan.step(names, budget) else { return false };
        self.wanted.searched(scan.started, scan.cost);
        self.namespaces_wanted.searched(scan.started, scan.cost);
        self.scan = None;
        self.install(found);
        true
    }

    /// Takes what was found in place of what was known; who held what nobody holds any more is remembered.
    fn install(&mut self, found: Snapshot) {
        let old = std::mem::replace(&mut self.index, found);
        for held in old.holdings.chunk_by(|one, next| one.inode == next.inode) {
            let Some(first) = held.first() else { continue };
            if self.index.of_socket(first.inode).is_empty() {
                let more = u32::try_from(held.len() - 1).unwrap_or(u32::MAX);
                self.former.insert(first.inode, Former { holder: Arc::clone(old.holder(*first)), more });
            }
        }
    }

    /// The processes that hold a socket as of the last search: pid and command.
    pub(super) fn processes(&self) -> impl Iterator<Item = (u32, &str)> {
        self.index.holders.iter().map(|holder| (holder.pid, &*holder.command))
    }

    /// What the last search found, in numbers: holders, holdings, refused, left out, bytes.
    pub(super) const fn index(&self) -> &Snapshot {
        &self.index
    }
}

/// The process as it is now; from memory without `procfs`. Without `holding` it is known not to hold the socket any more.
fn look_again(procfs: Option<&Procfs>, holder: &Holder, holding: Option<Holding>) -> Process {
    let remembered = |holding| Process { pid: holder.pid, command: Arc::clone(&holder.command), holding };
    let Some(procfs) = procfs else {
        return remembered(if holding.is_some() { model::Holding::Open } else { model::Holding::Closed });
    };
    // The same pid with another start time is another process.
    let Some(stat) = procfs.stat(holder.pid).filter(|stat| stat.started == holder.started) else {
        return remembered(model::Holding::Gone);
    };
    let is_held =
        holding.is_some_and(|holding| procfs.socket(holder.pid, holding.descriptor) == Some(holding.inode));
    let now = remembered(if is_held { model::Holding::Open } else { model::Holding::Closed });
    // It may run another program by now (execve(2)).
    if *stat.command == *now.command { now } else { Process { command: stat.command.into(), ..now } }
}

#[cfg(test)]
mod tests;
