//! Looks at listeners' queues and at ports in use, again and again: a thread a network namespace, which enters it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use tracing::warn;

use crate::counters::tcp_limits::TcpLimits;
use crate::counters::tcp_sockets::{States, TcpSockets};
use crate::kernel::netns::Namespaces;
use crate::model::Netns;
use crate::model::tcp::TcpQueues;
use crate::tcp::queues::{NetnsQueues, PortsInUse, Requests};

/// Queues are looked at so often.
const QUEUES_EVERY: Duration = Duration::from_millis(100);
/// Ports are.
const PORTS_EVERY: Duration = Duration::from_secs(1);
/// Looks take at most one part in so many of the time: 3 % of a CPU for queues and 2 % for ports. Where there are many connections, they
/// are rarer.
const QUEUES_SHARE: u32 = 33;
const PORTS_SHARE: u32 = 50;

/// A namespace to look at.
#[derive(Debug, Clone)]
pub struct Looked {
    /// Which.
    pub netns: Arc<Netns>,
    /// What `setns(2)` takes; absent for the caller's own.
    pub path: Option<PathBuf>,
}

impl Looked {
    /// The namespaces that a user names, in what `--netns` takes; without any, netdrop's own. One that can't be found is left out: the filter
    /// has told of it.
    pub fn named(names: &[String], namespaces: &Namespaces) -> Vec<Self> {
        let own = namespaces.own();
        let mut inodes: Vec<u32> = names.iter().filter_map(|name| namespaces.inode_of(name).ok()).collect();
        if names.is_empty() {
            inodes.extend(own);
        }
        inodes.sort_unstable();
        inodes.dedup();
        let looked = |inode| {
            let name = namespaces.name(inode).map(str::to_owned);
            let path = namespaces.path(inode).filter(|_| own != Some(inode)).map(Path::to_owned);
            let is_there = own == Some(inode) || path.is_some();
            is_there.then(|| Self { netns: Arc::new(Netns { inode, name, ..Netns::default() }), path })
        };
        inodes.into_iter().filter_map(looked).collect()
    }
}

/// Looks until it is dropped.
#[derive(Debug)]
pub struct TcpQueueWatch {
    watched: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    queues: Arc<Mutex<NetnsQueues>>,
    /// Its end is the thread's.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TcpQueueWatch {
    /// Begins to look at each of `namespaces`. Entering another one than the caller's takes `CAP_SYS_ADMIN`; one that can't be
    /// entered says why in what is read.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(namespaces: Vec<Looked>) -> io::Result<Self> {
        let watched = namespaces.into_iter().map(Watched::start).collect::<Result<_, _>>()?;
        Ok(Self { watched })
    }

    /// What was seen so far.
    pub fn read(&self) -> TcpQueues {
        let mut queues = TcpQueues::default();
        for watched in &self.watched {
            watched.queues.lock().unwrap_or_else(PoisonError::into_inner).add_to(&mut queues);
        }
        queues
    }
}

impl Watched {
    fn start(looked: Looked) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let queues = Arc::new(Mutex::new(NetnsQueues::new(looked.netns)));
        let seen = Arc::clone(&queues);
        let thread = thread::Builder::new().name("queues".into()).spawn(move || {
            if let Err(why) = look(looked.path.as_deref(), &seen, &stopped) {
                warn!("{why}");
                seen.lock().unwrap_or_else(PoisonError::into_inner).fail(why);
            }
        })?;
        Ok(Self { queues, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panics nowhere, and if it did there would be nothing to do about it here.
            let _ = thread.join();
        }
    }
}

/// Something that is done again and again, the rarer the longer it takes.
#[derive(Debug)]
struct Turn {
    every: Duration,
    share: u32,
    due: Instant,
}

impl Turn {
    fn new(every: Duration, share: u32, due: Instant) -> Self {
        Self { every, share, due }
    }

    /// Does it if it is due.
    fn take<E>(&mut self, work: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let start = Instant::now();
        if start < self.due {
            return Ok(());
        }
        work()?;
        self.due = start + self.every.max(start.elapsed().saturating_mul(self.share));
        Ok(())
    }
}

/// Looks until `stopped`; the error is for people.
fn look(path: Option<&Path>, seen: &Mutex<NetnsQueues>, stopped: &Receiver<()>) -> Result<(), String> {
    if let Some(path) = path {
        enter(path).map_err(|error| {
            format!("can't enter the network namespace {} to look at its queues: {error}; this needs CAP_SYS_ADMIN", path.display())
        })?;
    }
    let failed = |error: io::Error| {
        format!("can't list TCP's sockets (sock_diag): {error}; the kernel needs CONFIG_INET_TCP_DIAG")
    };
    let mut sockets = TcpSockets::open().map_err(failed)?;
    let start = Instant::now();
    let mut queues = Turn::new(QUEUES_EVERY, QUEUES_SHARE, start);
    let mut requests = Turn::new(QUEUES_EVERY, QUEUES_SHARE, start);
    let mut ports = Turn::new(PORTS_EVERY, PORTS_SHARE, start);
    loop {
        queues.take(|| listeners(&mut sockets, seen)).map_err(failed)?;
        requests.take(|| opening(&mut sockets, seen)).map_err(failed)?;
        ports.take(|| connections(&mut sockets, seen)).map_err(failed)?;
        let due = queues.due.min(requests.due).min(ports.due);
        match stopped.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => return Ok(()),
        }
    }
}

fn enter(path: &Path) -> io::Result<()> {
    Ok(setns(File::open(path)?, CloneFlags::CLONE_NEWNET)?)
}

fn listeners(sockets: &mut TcpSockets, seen: &Mutex<NetnsQueues>) -> io::Result<()> {
    let mut found = Vec::new();
    sockets.list(States::LISTEN, |socket| found.push(socket))?;
    seen.lock().unwrap_or_else(PoisonError::into_inner).look_at_listeners(&found);
    Ok(())
}

fn opening(sockets: &mut TcpSockets, seen: &Mutex<NetnsQueues>) -> io::Result<()> {
    let mut requests: Requests = HashMap::<SocketAddr, u32>::new();
    sockets.list(States::SYN_RECV, |socket| *requests.entry(socket.local).or_default() += 1)?;
    seen.lock().unwrap_or_else(PoisonError::into_inner).look_at_requests(&requests);
    Ok(())
}

fn connections(sockets: &mut TcpSockets, seen: &Mutex<NetnsQueues>) -> io::Result<()> {
    let limits = TcpLimits::read(Path::new("/proc"));
    let served = seen.lock().unwrap_or_else(PoisonError::into_inner).served();
    let mut ports = PortsInUse::new(limits, served);
    sockets.list(States::CONNECTED, |socket| ports.add(&socket))?;
    seen.lock().unwrap_or_else(PoisonError::into_inner).look_at_ports(ports);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_look_makes_for_a_long_rest() {
        let start = Instant::now();
        let mut turn = Turn::new(Duration::ZERO, 1_000_000, start);
        turn.take(|| {
            thread::sleep(Duration::from_micros(1));
            Ok::<_, ()>(())
        })
        .unwrap();
        assert!(turn.due >= start + Duration::from_secs(1));
    }

    #[test]
    fn what_is_not_due_is_left() {
        let mut turn = Turn::new(PORTS_EVERY, PORTS_SHARE, Instant::now());
        let mut times = 0;
        for _ in 0..3 {
            turn.take(|| {
                times += 1;
                Ok::<_, ()>(())
            })
            .unwrap();
        }
        assert_eq!(times, 1);
    }

    /// Our own namespace takes no privileges: a listener of ours is seen with what waits.
    #[test]
    fn a_listener_of_our_own_is_seen() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let _waits = std::net::TcpStream::connect(address).unwrap();
        let looked = Looked { netns: Arc::new(Netns::default()), path: None };
        let watch = TcpQueueWatch::start(vec![looked]).unwrap();
        let patience = Instant::now() + Duration::from_secs(20);
        let row = loop {
            let rows = watch.read().listeners;
            if let Some(row) = rows.into_iter().find(|row| row.local == address && row.syn.samples > 0) {
                break row;
            }
            assert!(Instant::now() < patience, "the listener isn't seen");
            thread::yield_now();
        };
        assert_eq!((row.accept.now, row.sockets, row.is_open), (1, 1, true));
        assert!(row.limit > 0 && row.inode > 0);
    }

    #[test]
    fn without_names_it_is_our_own_namespace() {
        let mut namespaces = Namespaces::new("/");
        namespaces.refresh();
        let own = Looked::named(&[], &namespaces);
        let named = Looked::named(&["self".into(), "self".into(), "no such name".into()], &namespaces);
        for looked in [own, named] {
            let inodes: Vec<_> = looked.iter().map(|looked| (looked.netns.inode, &looked.path)).collect();
            assert_eq!(inodes, [(namespaces.own().unwrap(), &None)]);
        }
    }

    #[test]
    fn a_namespace_that_is_not_there_says_so() {
        let looked = Looked { netns: Arc::new(Netns::default()), path: Some("/nowhere".into()) };
        let watch = TcpQueueWatch::start(vec![looked]).unwrap();
        let patience = Instant::now() + Duration::from_secs(20);
        let why = loop {
            let failed = watch.read().namespaces[0].failed.clone();
            if let Some(why) = failed {
                break why;
            }
            assert!(Instant::now() < patience, "no word of it");
            thread::yield_now();
        };
        assert!(why.contains("/nowhere") && why.contains("CAP_SYS_ADMIN"), "{why}");
    }
}
