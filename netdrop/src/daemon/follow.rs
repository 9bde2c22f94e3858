//! Keeps up to date what the filter's containers and processes are in the kernel's numbers.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::enrich::KernelResolver;
use crate::filter::{MAX_OWNERS, Owned, Targets};
use crate::probe::OwnerMap;

/// Looks begin at least so far apart.
const INTERVAL: Duration = Duration::from_millis(250);
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
        let mut work = Work { root: root.to_owned(), targets, map, stopped, told: false };
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
            if let Err(error) = self.map.set(&owned.entries) {
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
