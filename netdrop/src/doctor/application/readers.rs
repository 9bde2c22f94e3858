//! Those who should read: the sockets that may be short of readers, the processes that hold them, and the cgroups that those are in.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use super::groups::{Group, Groups};
use crate::counters::inet_sockets::{self, InetSocket, Which};
use crate::counters::{pressure, process, schedstat};
use crate::doctor::{Part, Place, Unread};
use crate::owner::process::Procfs;

/// Processes that are looked at, at most: each costs some 50 µs and 20 µs a thread.
const PROCESSES: usize = 256;
/// Threads of a process that are looked at.
const THREADS: usize = 128;
/// CPU time for finding who holds which socket, and for looking at them: `netdrop doctor` promises to end 150 ms after its window.
const BUDGETS: (Duration, Duration) = (Duration::from_millis(60), Duration::from_millis(40));
/// Connections with unread data that are kept of each family, each 130 bytes; and others of both, of which the inode alone is.
const CONNECTIONS: usize = 32_768;
const OTHERS: usize = 131_072;
/// Who holds which socket is true for so long: namespaces are read one after the other.
const FRESH: Duration = Duration::from_millis(200);

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UDP.
    Udp,
    /// A TCP listener.
    Listener,
    /// A TCP connection.
    Connection,
}

/// A thread, since it began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Thread {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Nanoseconds on a CPU.
    pub ran: u64,
    /// Nanoseconds in which it waited for one; absent where the kernel doesn't tell.
    pub waited: Option<u64>,
}

/// A process that holds a socket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its name, state, faults and start.
    pub stat: process::Stat,
    /// Its threads, some at least.
    pub threads: Vec<Thread>,
    /// The CPUs it may run on: `0-3`.
    pub cpus: String,
    /// The debugger that holds it; 0 where there is none.
    pub tracer: u32,
    /// The folders of its cgroups that limit its CPU, its memory or all of it (freezer), the innermost first.
    pub groups: Vec<String>,
    /// The sockets of interest that it holds, by their inodes.
    pub sockets: Vec<u32>,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Readers {
    /// Its sockets, the fullest first: of UDP and listeners all, of connections those that have something to be read, or dropped something.
    pub sockets: Vec<(Kind, InetSocket)>,
    /// Who holds them.
    pub processes: Vec<Process>,
    /// Their cgroups and those around them, by folder.
    pub groups: BTreeMap<String, Group>,
    /// Microseconds in which some task of the host waited for a CPU (PSI); absent where the kernel doesn't tell.
    pub stalled: Option<u64>,
    /// CPUs that are online.
    pub cpus: u32,
    /// Clock ticks since the boot.
    pub uptime: u64,
    /// Not all processes may be looked at, or there was no time for all.
    pub is_partial: bool,
    /// There are more connections that have something to be read.
    pub is_cut: bool,
}

impl Readers {
    /// The same process at another time.
    pub fn process(&self, other: &Process) -> Option<&Process> {
        self.processes.iter().find(|one| one.pid == other.pid && one.stat.started == other.stat.started)
    }
}

impl Part for Readers {
    const FROM: &'static str = "sock_diag and /proc/PID";

    fn read(place: &Place) -> Result<Self, Unread> {
        let found = sockets().map_err(|error| Unread::io("sock_diag (ss -tuanm)", &error))?;
        // `123.45 …`: hundredths of a second, which are ticks.
        let ticks = |text: String| text.split([' ', '\n']).next()?.replace('.', "").parse().ok();
        let mut readers = Self {
            is_cut: found.is_cut,
            sockets: found.unread,
            stalled: place.text("/proc/pressure/cpu").ok().and_then(|text| pressure::stalled(&text)),
            cpus: place
                .text("/sys/devices/system/cpu/online")
                .ok()
                .and_then(|text| process::cpus(&text))
                .unwrap_or(1),
            uptime: place.text("/proc/uptime").ok().and_then(ticks).unwrap_or(0),
            ..Self::default()
        };
        if !(readers.sockets.is_empty() && found.others.is_empty()) {
            let procfs =
                Procfs::open(&place.path("/")).ok_or_else(|| Unread::new("/proc", "it isn't mounted"))?;
            readers.look(&procfs, place, &found.others);
        }
        Ok(readers)
    }
}

impl Readers {
    /// Looks at who holds the sockets, the fullest sockets' first; then at who holds the others, by their inodes: whoever has connections
    /// is known from the start.
    fn look(&mut self, procfs: &Procfs, place: &Place, others: &[u32]) {
        let holdings = holdings(procfs);
        let start = cpu_time();
        self.is_partial = holdings.refused;
        let of = |inode: u32| {
            let from = holdings.pairs.partition_point(|(one, _)| *one < inode);
            holdings.pairs[from..].iter().take_while(move |(one, _)| *one == inode).map(|(_, pid)| *pid)
        };
        let mut groups = Groups::new(place);
        let mut seen: BTreeMap<u32, usize> = BTreeMap::new();
        let unread = self.sockets.iter().map(|(_, socket)| (socket.socket.inode, true));
        for (inode, is_of_interest) in unread.chain(others.iter().map(|inode| (*inode, false))) {
            for pid in of(inode).filter(|_| inode != 0) {
                if let Some(index) = seen.get(&pid) {
                    if is_of_interest && let Some(process) = self.processes.get_mut(*index) {
                        process.sockets.push(inode);
                    }
                    continue;
                }
                if self.processes.len() >= PROCESSES || cpu_time() >= start + BUDGETS.1 {
                    self.is_partial = true;
                    continue;
                }
                if let Some(process) = look_at(procfs, pid, &mut groups) {
                    seen.insert(pid, self.processes.len());
                    let sockets = if is_of_interest { vec![inode] } else { Vec::new() };
                    self.processes.push(Process { sockets, ..process });
                }
            }
        }
        self.groups = groups.read();
    }
}

/// The namespace's sockets.
struct Found {
    /// Those to be looked at, the fullest first.
    unread: Vec<(Kind, InetSocket)>,
    /// The inodes of connections where nothing waits and nothing was dropped.
    others: Vec<u32>,
    is_cut: bool,
}

fn sockets() -> io::Result<Found> {
    let mut others = Vec::new();
    let connections = inet_sockets::read_some(Which::TcpConnections, CONNECTIONS, |one| {
        // What it dropped until the start isn't of the window.
        let is_kept = one.receive_queue > 0 || one.memory.drops > 0;
        if !is_kept && others.len() < OTHERS {
            others.push(one.socket.inode);
        }
        is_kept
    })?;
    let mut unread = Vec::new();
    for (kind, sockets) in [
        (Kind::Udp, inet_sockets::read(Which::Udp)?),
        (Kind::Listener, inet_sockets::read(Which::TcpListeners)?),
        (Kind::Connection, connections.all),
    ] {
        unread.extend(sockets.into_iter().map(|socket| (kind, socket)));
    }
    unread.sort_by_key(|(_, socket)| std::cmp::Reverse((socket.receive_queue, socket.memory.drops)));
    Ok(Found { unread, others, is_cut: connections.is_cut })
}

/// Which process holds which socket.
#[derive(Debug, Default)]
struct Holdings {
    /// Inode and pid, sorted.
    pairs: Vec<(u32, u32)>,
    /// Some processes may not be looked at.
    refused: bool,
}

/// Looks through all processes; what was found a moment ago, for another namespace, is good enough.
fn holdings(procfs: &Procfs) -> Arc<Holdings> {
    static LAST: Mutex<Option<(Instant, Arc<Holdings>)>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, holdings)) = &*last
        && at.elapsed() < FRESH
    {
        return Arc::clone(holdings);
    }
    let mut found = Holdings::default();
    let start = cpu_time();
    for pid in procfs.processes() {
        match procfs.sockets(pid) {
            Ok(sockets) => {
                let inodes: HashSet<u32> = sockets.into_iter().map(|(_, inode)| inode).collect();
                found.pairs.extend(inodes.into_iter().map(|inode| (inode, pid)));
            }
            Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => found.refused = true,
            // It ended meanwhile.
            Err(_) => {}
        }
        if cpu_time() > start + BUDGETS.0 {
            found.refused = true;
            break;
        }
    }
    found.pairs.sort_unstable();
    let found = Arc::new(found);
    *last = Some((Instant::now(), Arc::clone(&found)));
    found
}

fn look_at(procfs: &Procfs, pid: u32, groups: &mut Groups) -> Option<Process> {
    let stat = process::stat(&procfs.read(&format!("{pid}/stat"))?)?;
    let status = procfs.read(&format!("{pid}/status")).unwrap_or_default();
    let line = |name| process::status(&status, name).unwrap_or_default();
    let of_process = procfs.read(&format!("{pid}/cgroup")).unwrap_or_default();
    let threads = procfs.threads(pid).into_iter().take(THREADS);
    Some(Process {
        pid,
        cpus: line("Cpus_allowed_list").to_owned(),
        tracer: line("TracerPid").parse().unwrap_or(0),
        threads: threads.filter_map(|id| thread(procfs, pid, id)).collect(),
        groups: groups.of_process(&of_process),
        sockets: Vec::new(),
        stat,
    })
}

/// Of this thread. A host whose CPUs are busy takes longer, and that is when readers matter.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// `USER_HZ` is 100 on all of Linux's architectures but alpha (`include/asm-generic/param.h`).
pub const TICK: u64 = 10_000_000;

fn thread(procfs: &Procfs, pid: u32, id: u32) -> Option<Thread> {
    let stat = process::stat(&procfs.read(&format!("{pid}/task/{id}/stat"))?)?;
    let times = procfs.read(&format!("{pid}/task/{id}/schedstat")).and_then(|text| schedstat::parse(&text));
    Some(Thread {
        id,
        name: stat.command,
        ran: times.map_or(stat.ticks * TICK, |times| times.ran),
        waited: times.map(|times| times.waited),
    })
}
