//! Keeps up to date what the filter's containers and processes are in the kernel's numbers.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use netdrop_common::{OWNER_SOCKET, OwnerKey};
use tracing::warn;

use crate::enrich::KernelResolver;
use crate::filter::{MAX_OWNERS, Owned, Targets};
use crate::probe::OwnerMap;

/// Looks begin at least so far apart.
const INTERVAL: Duration = Duration::from_millis(250);
/// A socket that no process has any more stays so long: that is when TCP closes it (`tcp_fin_timeout`), and its end is to be seen.
const CLOSING: Duration = Duration::from_mins(1);
/// They take at most one part in so many of the time: 5 %.
const SHARE: u32 = 20;

/// A thread of its own, as drops are followed whether or not somebody reads the output. It ends with this value.
#[derive(Debug)]
pub struct Follower {
    /// Until it is started.
    work: Option<Work>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Will follow once it is started; `first` is what the map holds already.
    pub fn new(root: &Path, targets: Targets, first: &Owned, map: OwnerMap) -> Self {
        let (stop, stopped) = channel();
        let closing = Closing { held: first.entries.clone(), closed: HashMap::new() };
        let mut work = Work { root: root.to_owned(), targets, map, closing, stopped, told: false };
        work.tell(first);
        Self { work: Some(work), stop: Some(stop), thread: None }
    }

    /// Starts to follow.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(&mut self) -> io::Result<()> {
        if let Some(work) = self.work.take() {
            self.thread = Some(thread::Builder::new().name("filter".into()).spawn(move || work.run())?);
        }
        Ok(())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panics nowhere, and if it did there would be nothing to do about it here.
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
struct Work {
    root: PathBuf,
    targets: Targets,
    map: OwnerMap,
    closing: Closing,
    stopped: Receiver<()>,
    told: bool,
}

impl Work {
    fn run(mut self) {
        let mut resolver = KernelResolver::new(&self.root);
        let mut wait = INTERVAL;
        while self.stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            let start = Instant::now();
            let owned = self.targets.look(&mut resolver);
            self.tell(&owned);
            if let Err(error) = self.map.set(self.closing.keep(owned.entries, start)) {
                self.warn(&format!("the filter isn't up to date: {error}"));
            }
            wait = INTERVAL.max(start.elapsed().saturating_mul(SHARE));
        }
    }

    fn tell(&mut self, owned: &Owned) {
        if owned.left_out > 0 {
            self.warn(&format!(
                "--container and --owner mean more than there is room for: {} cgroups, namespaces and sockets beyond \
                 {MAX_OWNERS} are left out",
                owned.left_out
            ));
        }
    }

    /// Once: it would come again with each look.
    fn warn(&mut self, message: &str) {
        if !std::mem::replace(&mut self.told, true) {
            warn!("{message}");
        }
    }
}

/// What the map holds, and since when no process has which of its sockets.
#[derive(Debug)]
struct Closing {
    held: HashMap<OwnerKey, u32>,
    closed: HashMap<OwnerKey, (u32, Instant)>,
}

impl Closing {
    /// What a look found and, as far as there is room, what was closed lately. The numbers of sockets count up: none comes again so soon.
    fn keep(&mut self, found: HashMap<OwnerKey, u32>, now: Instant) -> &HashMap<OwnerKey, u32> {
        let held = std::mem::replace(&mut self.held, found);
        let sockets = held.into_iter().filter(|(key, _)| key.kind == u64::from(OWNER_SOCKET));
        for (key, value) in sockets.filter(|(key, _)| !self.held.contains_key(key)) {
            // Of those that were kept already, the time stays.
            self.closed.entry(key).or_insert((value, now));
        }
        self.closed.retain(|key, (_, since)| !self.held.contains_key(key) && now - *since < CLOSING);
        let room = (MAX_OWNERS as usize).saturating_sub(self.held.len());
        self.held.extend(self.closed.iter().take(room).map(|(key, (value, _))| (*key, *value)));
        &self.held
    }
}

#[cfg(test)]
mod tests {
    use netdrop_common::OWNER_TASK;

    use super::*;

    #[test]
    fn a_closed_socket_stays_a_minute() {
        let key = |id, kind: u32| OwnerKey { id, kind: kind.into() };
        let (socket, task, other) = (key(7, OWNER_SOCKET), key(10, OWNER_TASK), key(8, OWNER_SOCKET));
        let start = Instant::now();
        let mut closing = Closing { held: HashMap::from([(socket, 1), (task, 1)]), closed: HashMap::new() };
        let mut look = |found: &[OwnerKey], seconds| {
            let found = found.iter().map(|key| (*key, 1)).collect();
            let held = closing.keep(found, start + Duration::from_secs(seconds));
            let mut keys: Vec<_> = held.keys().map(|key| key.id).collect();
            keys.sort_unstable();
            keys
        };
        assert_eq!(look(&[other], 1), [7, 8]);
        assert_eq!(look(&[], 59), [7, 8]);
        // The one is old; the other was last seen a moment ago.
        assert_eq!(look(&[], 61), [8]);
        assert_eq!(look(&[socket], 62), [7, 8]);
        assert_eq!(look(&[], 63), [7, 8]);
        assert_eq!(look(&[], 200), [0; 0]);
    }
}
