//! What a drop's event only points to: the owner of its socket, its call chain.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::decode::RawDrop;
use crate::enrich::Beside;
use crate::model::Owner;
use crate::owner::{Owners, Socket};
use crate::probe::Stacks;

/// How long a search may take at once, between two looks into the rings and when a socket is met that nobody is known to
/// have, as far as the pace of searches allows.
const SLICE: Duration = Duration::from_millis(2);
const SEARCH: Duration = Duration::from_millis(20);

/// Knows what is asked for beyond the event.
pub struct Surroundings {
    owners: Option<Box<Owners>>,
    stacks: Option<Stacks>,
}

/// What was found of one drop.
#[derive(Default)]
pub struct Found {
    owner: Option<Arc<Owner>>,
    chain: Option<Arc<[u64]>>,
}

impl Surroundings {
    /// Makes the first search, where owners are asked for.
    pub fn new(mut owners: Option<Box<Owners>>, stacks: Option<Stacks>) -> Self {
        if let Some(owners) = &mut owners {
            // To its end: milliseconds on most hosts, while symbols are read and events wait in the rings.
            owners.refresh(Instant::now(), Duration::MAX);
        }
        Self { owners, stacks }
    }

    /// Brings what is known up to date.
    pub fn refresh(&mut self) {
        if let Some(owners) = &mut self.owners {
            owners.refresh(Instant::now(), SLICE);
        }
    }

    /// What belongs to the drop.
    pub fn of(&mut self, raw: &RawDrop<'_>) -> Found {
        Found { owner: self.owner(raw), chain: self.chain(raw.stack) }
    }

    fn owner(&mut self, raw: &RawDrop<'_>) -> Option<Arc<Owner>> {
        let (owners, socket) = (self.owners.as_mut()?, raw.socket?);
        let socket = Socket {
            // As sockfs counts them: 32 bits (`get_next_ino`, fs/inode.c).
            inode: socket.inode.and_then(|inode| u32::try_from(inode).ok()).unwrap_or(0),
            cookie: socket.cookie.unwrap_or(0),
            cgroup: socket.cgroup.unwrap_or(0),
        };
        let now = Instant::now();
        owners.owner(socket, now).or_else(|| {
            owners.refresh(now, SEARCH);
            owners.owner(socket, now)
        })
    }

    fn chain(&mut self, number: u32) -> Option<Arc<[u64]>> {
        self.stacks.as_mut()?.addresses(number).unwrap_or_else(|error| {
            warn!("a call chain can't be read: {error}");
            None
        })
    }
}

impl Found {
    /// For the enricher.
    pub fn beside(&self) -> Beside<'_> {
        Beside { owner: self.owner.as_deref(), chain: self.chain.as_deref() }
    }
}
