//! Interface names, also those in other network namespaces.
//!
//! An index means something only within its namespace. To list another one's interfaces, a short-lived thread enters
//! it (`setns(2)` moves the calling thread alone), asks, and ends.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::net::if_::if_nameindex;
use nix::sched::{CloneFlags, setns};

use super::netns::Namespaces;
use super::privileged;

/// A namespace is asked again at most so often, however many unknown indices turn up.
const MISS_INTERVAL: Duration = Duration::from_secs(1);
/// Names older than this are asked for again: interfaces get renamed, and indices reused.
const MAX_AGE: Duration = Duration::from_secs(30);

/// The interfaces of a namespace by index; the path enters it, none is the caller's own.
pub type List = fn(Option<&Path>) -> io::Result<Vec<(u32, String)>>;

/// Interface names by namespace and index, asked for when first met.
#[derive(Debug)]
pub struct Devices {
    list: List,
    namespaces: HashMap<u32, Listed>,
}

#[derive(Debug)]
struct Listed {
    at: Instant,
    names: HashMap<u32, Arc<str>>,
}

impl Default for Devices {
    fn default() -> Self {
        Self::with(list)
    }
}

impl Devices {
    /// Asks by `list`.
    pub fn with(list: List) -> Self {
        Self { list, namespaces: HashMap::new() }
    }

    /// The name of an interface of the namespace; `None` while the namespace can't be entered, or not be asked again.
    pub fn name(
        &mut self,
        netns: u32,
        index: u32,
        namespaces: &Namespaces,
        now: Instant,
    ) -> Option<Arc<str>> {
        let known = self.namespaces.get(&netns);
        let stale = known.is_none_or(|listed| {
            let wait = if listed.names.contains_key(&index) { MAX_AGE } else { MISS_INTERVAL };
            now.saturating_duration_since(listed.at) >= wait
        });
        if stale {
            self.refresh(netns, namespaces, now);
        }
        self.namespaces.get(&netns)?.names.get(&index).map(Arc::clone)
    }

    /// Forgets the interfaces of namespaces that are gone.
    pub fn keep(&mut self, is_there: impl Fn(u32) -> bool) {
        self.namespaces.retain(|netns, _| is_there(*netns));
    }

    /// Asks the namespace. Names that it no longer gives stay when it can't be asked at all.
    fn refresh(&mut self, netns: u32, namespaces: &Namespaces, now: Instant) {
        let listed = self.namespaces.entry(netns).or_insert(Listed { at: now, names: HashMap::new() });
        listed.at = now;
        // Without namespaces in the kernel every packet's is 0.
        let path = if netns == 0 || namespaces.own() == Some(netns) { None } else { namespaces.path(netns) };
        if path.is_none() && netns != 0 && namespaces.own() != Some(netns) {
            return;
        }
        if let Ok(names) = (self.list)(path) {
            listed.names = names.into_iter().map(|(index, name)| (index, name.into())).collect();
        }
    }
}

/// Lists the interfaces of the namespace that `path` leads to (needs `CAP_SYS_ADMIN`), or of the caller's own.
pub fn list(path: Option<&Path>) -> io::Result<Vec<(u32, String)>> {
    let Some(path) = path else { return list_here() };
    if let Some(answer) = privileged::devices(path) {
        return answer;
    }
    let namespace = File::open(path)?;
    let entered = thread::Builder::new().name("netns".into()).spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        list_here()
    })?;
    entered.join().unwrap_or_else(|_| Err(io::Error::other("the listing thread panicked")))
}

pub(crate) fn list_here() -> io::Result<Vec<(u32, String)>> {
    let interfaces = if_nameindex()?;
    Ok(interfaces.iter().map(|one| (one.index(), one.name().to_string_lossy().into_owned())).collect())
}

#[cfg(test)]
mod tests;
