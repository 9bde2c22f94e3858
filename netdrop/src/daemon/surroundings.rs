//! What a drop's event only points to: the owner of its socket, its call chain.

use std::fs::read_to_string;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::decode::RawDrop;
use crate::enrich::{Beside, Beyond, Known};
use crate::model::tcp::{KnownBy, TcpOwner};
use crate::model::{self, CpuTask, Holding, Owner, Process, SocketKind, Workload};
use crate::owner::receivers::{Place, Receivers};
use crate::owner::{Owners, Socket};
use crate::probe::Stacks;

/// How long a search may take at once, between two looks into the rings and when a socket is met that nobody is known to
/// have, as far as the pace of searches allows.
const SLICE: Duration = Duration::from_millis(2);
const SEARCH: Duration = Duration::from_millis(20);

/// Knows what is asked for beyond the event.
pub struct Surroundings {
    owners: Option<Box<Owners>>,
    /// A search came to its end while a drop was waiting for it.
    searched: bool,
    receivers: Receivers,
    stacks: Option<Stacks>,
}

impl Surroundings {
    /// Makes the first search, where owners are asked for.
    pub fn new(mut owners: Option<Box<Owners>>, stacks: Option<Stacks>) -> Self {
        if let Some(owners) = &mut owners {
            // To its end: milliseconds on most hosts, while symbols are read and events wait in the rings.
            owners.refresh(Instant::now(), Duration::MAX);
        }
        Self { owners, searched: false, receivers: Receivers::default(), stacks }
    }

    /// Brings what is known up to date; true when something new is known since the last time.
    pub fn refresh(&mut self) -> bool {
        let searched = self.owners.as_mut().is_some_and(|owners| owners.refresh(Instant::now(), SLICE));
        std::mem::take(&mut self.searched) || searched
    }

    /// Holds on to no namespace: for a run without an end.
    pub fn let_go(&mut self) {
        self.receivers.let_go();
    }

    /// The socket, where owners are asked for and the event has none.
    fn receiver(&mut self, raw: &RawDrop<'_>, known: Known<'_>) -> Option<model::Socket> {
        let function = known.site.function.as_deref();
        if raw.socket.is_some() || self.owners.is_none() || !Receivers::is_refusal(function, &raw.packet) {
            return None;
        }
        let netns = (raw.key.netns, known.namespaces.path(raw.key.netns));
        let place = Place { netns, device: raw.key.ifindex };
        self.receivers.find(&raw.packet, place, Instant::now())
    }

    fn owner(&mut self, socket: model::Socket) -> Option<Arc<Owner>> {
        let owners = self.owners.as_mut()?;
        let socket = Socket {
            // As sockfs counts them: 32 bits (`get_next_ino`, fs/inode.c).
            inode: socket.inode.and_then(|inode| u32::try_from(inode).ok()).unwrap_or(0),
            cookie: socket.cookie.unwrap_or(0),
            cgroup: socket.cgroup.unwrap_or(0),
        };
        let now = Instant::now();
        let known = owners.owner(socket, now);
        // It may be somebody's who wasn't there, or didn't have it, at the last search.
        let is_settled = known.as_ref().is_some_and(|owner| owner.is_settled());
        if is_settled || !owners.refresh(now, SEARCH) {
            return known;
        }
        self.searched = true;
        owners.owner(socket, now)
    }

    fn chain(&mut self, number: u32) -> Option<Arc<[u64]>> {
        self.stacks.as_mut()?.addresses(number).unwrap_or_else(|error| {
            warn!("a call chain can't be read: {error}");
            None
        })
    }
}

impl Beyond for Surroundings {
    fn of(&mut self, raw: &RawDrop<'_>, known: Known<'_>) -> Beside {
        let socket = self.receiver(raw, known);
        let owner = raw.socket.or(socket).and_then(|socket| self.owner(socket));
        Beside { socket, owner, chain: self.chain(raw.stack) }
    }

    fn of_tcp(
        &mut self,
        socket: Option<&model::Socket>,
        task: Option<(CpuTask, KnownBy)>,
    ) -> Option<TcpOwner> {
        self.owners.as_ref()?;
        let by = socket.map_or(KnownBy::Socket, |socket| match socket.kind {
            SocketKind::Request => KnownBy::Listener,
            SocketKind::Full | SocketKind::TimeWait => KnownBy::Socket,
        });
        let owner = socket.and_then(|socket| self.owner(*socket));
        let processes = owner.as_ref().map_or(&[][..], |owner| &owner.processes);
        let is_open = processes.iter().any(|process| process.holding == Holding::Open);
        // Of several who had it, as after a fork, it is the last one's that closed it.
        let closes = task.as_ref().is_some_and(|(_, by)| *by == KnownBy::Close);
        let held = !processes.is_empty() && (is_open || !closes);
        match (owner, task) {
            (Some(owner), _) if held => Some(TcpOwner { owner, by }),
            (owner, Some((task, by))) => {
                let workload = owner.map(|owner| Arc::clone(&owner.workload)).unwrap_or_default();
                Some(TcpOwner { owner: Arc::new(of_task(task, workload)), by })
            }
            (Some(owner), None) => Some(TcpOwner { owner, by }),
            (None, None) => None,
        }
    }

    /// Never by a search: one that isn't known is found with the next.
    fn in_netns(&mut self, inode: u32) -> Option<Arc<Workload>> {
        self.owners.as_mut()?.workload_of_netns(inode, Instant::now())
    }
}

/// What is left of a task's hold on a socket: it has closed it, and may have ended since.
fn of_task(task: CpuTask, workload: Arc<Workload>) -> Owner {
    let name = task.name();
    let is_there =
        read_to_string(format!("/proc/{}/comm", task.pid)).is_ok_and(|comm| comm.trim_end() == name);
    let holding = if is_there { Holding::Closed } else { Holding::Gone };
    let process = Process { pid: task.pid, command: name.into(), holding };
    Owner { processes: vec![process], workload, ..Owner::default() }
}
