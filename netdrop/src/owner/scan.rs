//! One pass over /proc: which process holds which socket, and who lives in which network namespace.
//!
//! The pass is made in steps, so that whoever calls isn't kept from its other work for longer than it wants: a host with
//! 5,000 processes and 100,000 descriptors takes a few hundred milliseconds in all.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cgroup_path;
use super::names::Names;
use super::process::{Descriptors, Procfs};
use crate::model::Workload;
use crate::order::InOrder as _;

/// Sockets times the processes that hold them: 3 MiB at most.
const MAX_HOLDINGS: usize = 256 << 10;
/// Processes that hold sockets: some 4 MiB at most.
const MAX_HOLDERS: usize = 64 << 10;
/// Network namespaces: 1 MiB at most.
const MAX_NAMESPACES: usize = 16 << 10;
/// So many processes of a namespace are looked at to tell whose it is.
const MAX_WITNESSES: u32 = 16;

/// What one pass found.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// Who began first comes first.
    pub holders: Vec<Arc<Holder>>,
    /// In the order of inodes, then of holders; each pair once.
    pub holdings: Vec<Holding>,
    /// Whose each namespace is: what its processes have in common.
    pub namespaces: HashMap<u32, Namespace>,
    /// Processes whose descriptors may not be read: absence from `holdings` proves nothing then.
    pub refused: u32,
    /// Pairs that there was no room for.
    pub left_out: u64,
}

/// A process that holds sockets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub pid: u32,
    /// Clock ticks since the machine's start: with the pid it is this process and no later one.
    pub started: u64,
    pub command: Arc<str>,
    pub workload: Arc<Workload>,
}

/// A process's hold on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Holding {
    /// The socket's inode.
    pub inode: u32,
    /// Its place in [`Snapshot::holders`].
    pub holder: u32,
    /// The lowest of the process's descriptors for it.
    pub descriptor: u32,
}

#[derive(Debug, Default)]
pub(super) struct Namespace {
    pub workload: Arc<Workload>,
    witnesses: u32,
}

impl Snapshot {
    /// All that hold the socket.
    pub(super) fn of_socket(&self, inode: u32) -> &[Holding] {
        let from = self.holdings.partition_point(|holding| holding.inode < inode);
        let rest = &self.holdings[from..];
        &rest[..rest.partition_point(|holding| holding.inode == inode)]
    }

    pub(super) fn holder(&self, holding: Holding) -> &Arc<Holder> {
        &self.holders[holding.holder as usize]
    }

    /// Bytes in use, nearly: what is shared between holders is left out.
    pub(super) fn memory(&self) -> usize {
        self.holdings.capacity() * size_of::<Holding>()
            + self.holders.capacity() * size_of::<Arc<Holder>>()
            + self.holders.len() * (size_of::<Holder>() + 64)
            + self.namespaces.capacity() * (size_of::<(u32, Namespace)>() + 1)
    }
}

/// A pass under way.
#[derive(Debug)]
pub(super) struct Scan {
    procfs: Option<Procfs>,
    /// Those to be looked at, the next one last.
    left: Vec<u32>,
    found: Snapshot,
    /// By the text of `/proc/PID/cgroup`: most processes share one with others.
    workloads: HashMap<String, Arc<Workload>>,
    pub started: Instant,
    pub cost: Duration,
}

impl Scan {
    /// Lists the processes below `root`.
    pub(super) fn start(root: &Path, now: Instant) -> Self {
        let procfs = Procfs::open(root);
        let mut left = procfs.as_ref().map(Procfs::processes).unwrap_or_default();
        left.reverse();
        let mut found = Snapshot::default();
        // From inside a container only some of those who share its namespace are seen: it is nobody's then.
        if let Some(own) = procfs.as_ref().filter(|procfs| !procfs.sees_all()).and_then(Procfs::own_netns) {
            found.namespaces.insert(own, Namespace::default());
        }
        Self { procfs, left, found, workloads: HashMap::new(), started: now, cost: Duration::ZERO }
    }

    /// Goes on for about `budget`, one process at least; gives what was found once all are through.
    pub(super) fn step(&mut self, names: &mut Names, budget: Duration) -> Option<Snapshot> {
        let start = Instant::now();
        if let Some(procfs) = self.procfs.take() {
            while let Some(pid) = self.left.pop() {
                self.look_at(&procfs, pid, names);
                if start.elapsed() >= budget {
                    break;
                }
            }
            self.procfs = Some(procfs);
        }
        let finished = self.left.is_empty().then(|| {
            let mut found = std::mem::take(&mut self.found);
            found.order();
            found
        });
        self.cost += start.elapsed();
        finished
    }

    fn look_at(&mut self, procfs: &Procfs, pid: u32, names: &mut Names) {
        let mut workload = None;
        let mut get_workload = |workloads: &mut _| {
            workload.get_or_insert_with(|| workload_of(procfs, pid, workloads, names)).clone()
        };
        if let Some(netns) = procfs.netns(pid) {
            self.found.witness(netns, || get_workload(&mut self.workloads));
        }
        let sockets = match procfs.descriptors(pid) {
            Descriptors::Sockets(sockets) => sockets,
            Descriptors::Gone => return,
            Descriptors::Refused => {
                self.found.refused += 1;
                return;
            }
        };
        if sockets.is_empty() {
            return;
        }
        let Some(stat) = procfs.stat(pid) else { return };
        let workload = get_workload(&mut self.workloads);
        let holder = Holder { pid, started: stat.started, command: stat.command.into(), workload };
        self.found.add(holder, &sockets);
    }
}

impl Snapshot {
    fn add(&mut self, holder: Holder, sockets: &[(u32, u32)]) {
        let place = self.holders.len();
        let room = if place < MAX_HOLDERS { MAX_HOLDINGS - self.holdings.len() } else { 0 };
        let taken = &sockets[..sockets.len().min(room)];
        self.left_out += (sockets.len() - taken.len()) as u64;
        if taken.is_empty() {
            return;
        }
        let place = u32::try_from(place).expect("MAX_HOLDERS is far below");
        let holdings = taken.iter().map(|&(descriptor, inode)| Holding { inode, holder: place, descriptor });
        self.holdings.extend(holdings);
        self.holders.push(Arc::new(holder));
    }

    /// Who began first comes first: a socket that is passed on to children is its parent's. Pids don't tell that, as they begin
    /// anew at `pid_max` (`alloc_pid`, kernel/pid.c); they decide among those of one clock tick.
    fn order(&mut self) {
        let mut holders: Vec<_> = (0_u32..).zip(std::mem::take(&mut self.holders)).collect();
        holders.order_by_key(|(_, holder)| (holder.started, holder.pid));
        let mut places = vec![0; holders.len()];
        for (place, (before, _)) in (0_u32..).zip(&holders) {
            places[*before as usize] = place;
        }
        for holding in &mut self.holdings {
            holding.holder = places[holding.holder as usize];
        }
        self.holders = holders.into_iter().map(|(_, holder)| holder).collect();
        self.holdings.sort_unstable();
        self.holdings.dedup_by_key(|holding| (holding.inode, holding.holder));
        self.holdings.shrink_to_fit();
    }

    /// A process lives in the namespace: what it has in common with those before is the namespace's.
    fn witness(&mut self, netns: u32, workload: impl FnOnce() -> Arc<Workload>) {
        let full = self.namespaces.len() >= MAX_NAMESPACES;
        match self.namespaces.get_mut(&netns) {
            None if full => {}
            None => {
                self.namespaces.insert(netns, Namespace { workload: workload(), witnesses: 1 });
            }
            // Nothing in common can't become more.
            Some(known) if known.workload.is_empty() || known.witnesses >= MAX_WITNESSES => {}
            Some(known) => {
                known.witnesses += 1;
                let workload = workload();
                if workload != known.workload {
                    known.workload = Arc::new(known.workload.common(&workload));
                }
            }
        }
    }
}

fn workload_of(
    procfs: &Procfs,
    pid: u32,
    workloads: &mut HashMap<String, Arc<Workload>>,
    names: &mut Names,
) -> Arc<Workload> {
    let Some(text) = procfs.cgroup(pid) else { return Arc::default() };
    if let Some(known) = workloads.get(&text) {
        return Arc::clone(known);
    }
    let mut workload = cgroup_path::parse_process(&text);
    names.add(&mut workload);
    let workload = Arc::new(workload);
    workloads.insert(text, Arc::clone(&workload));
    workload
}
