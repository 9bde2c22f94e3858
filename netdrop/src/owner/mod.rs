//! Whose a packet was: from a socket's numbers to processes, container, pod, systemd unit.
//!
//! The kernel's event has the inode, the cookie and the cgroup of the socket. Here are indexes from these numbers: one of
//! `/proc/*/fd`, one of the cgroup file system. They are built and refreshed by [`Owners::refresh`] alone, at the
//! time and for as long as the caller wants; [`Owners::owner`] answers from memory, and looks at the few files of those that it is about to
//! name, so that a process that is gone is said to be gone.
//!
//! Only processes that /proc shows are seen: all with `CAP_SYS_PTRACE` in the initial PID namespace. A thread that gave up sharing its
//! process's descriptors (`unshare(CLONE_FILES)`) is not looked at.

pub mod census;
pub mod cgroup_path;
mod cgroups;
pub mod diag;
#[cfg(test)]
mod made_up;
mod names;
pub(crate) mod process;
pub mod receivers;
mod recent;
mod scan;
mod sockets;
#[cfg(test)]
mod tests;
mod wanted;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cgroups::Cgroups;
pub use cgroups::own_cgroup;
use names::Names;
use recent::Recent;
use sockets::{Held, Sockets};

use crate::model::{Owner, Workload};

/// An answer is good for so long: then the processes are looked at again.
const ANSWER_AGE: Duration = Duration::from_millis(100);
/// In that time, so many sockets' processes are looked at; those of others come from the index as they are. This bounds the cost
/// (2 % of one CPU or so) and the memory (300 KiB).
const ANSWERS: usize = 256;
/// Sockets whose inode is remembered by their cookie.
const COOKIES: usize = 4096;

/// A socket, in the kernel's numbers; 0 where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Socket {
    /// Of the inode on sockfs, `SOCK_INODE(sk->sk_socket)->i_ino`. Sockets without a file have none: orphans, requests, `TIME_WAIT`.
    pub inode: u32,
    /// `sk->sk_cookie`: the same for as long as the socket lives, also when its file is closed.
    pub cookie: u64,
    /// The id of the v2 cgroup in `sk->sk_cgrp_data`.
    pub cgroup: u64,
}

/// How complete the index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Processes that hold a socket.
    pub processes: usize,
    /// Pairs of a socket and a process that holds it.
    pub holdings: usize,
    /// Processes whose descriptors may not be read. While there are any, nobody is said to hold nothing.
    pub refused: u32,
    /// Pairs that the index had no room for.
    pub left_out: u64,
    /// Bytes that the indexes take, nearly.
    pub memory: usize,
}

/// Knows whose sockets are.
#[derive(Debug)]
pub struct Owners {
    sockets: Sockets,
    cgroups: Cgroups,
    names: Names,
    cookies: Recent<u64, u32>,
    answers: HashMap<Socket, Arc<Owner>>,
    answered: Option<Instant>,
}

impl Owners {
    /// For the file systems below `root`, which is `/` outside tests. Nothing is read until [`Owners::refresh`].
    pub fn new(root: &Path) -> Self {
        Self {
            sockets: Sockets::new(root),
            cgroups: Cgroups::new(root),
            names: Names::new(root),
            cookies: Recent::new(COOKIES),
            answers: HashMap::new(),
            answered: None,
        }
    }

    /// Builds the indexes when they are missing, old or lack what was asked for; does nothing otherwise.
    ///
    /// It works for about `budget` on each of the two and goes on with the next call; `Duration::MAX` for all at once, which takes
    /// milliseconds on a small host and some hundred on a host of 5,000 processes with 100,000 descriptors. Searches start at least 250 ms apart and
    /// take 5 % of the time at most. True when one has come to its end: there may be answers that weren't there before.
    pub fn refresh(&mut self, now: Instant, budget: Duration) -> bool {
        let sockets = self.sockets.refresh(&mut self.names, now, budget);
        let cgroups = self.cgroups.refresh(&mut self.names, now, budget);
        let ended = sockets || cgroups;
        if ended {
            self.answers.clear();
        }
        ended
    }

    /// Whose a socket is; `None` while nothing is known, which the next [`Owners::refresh`] may change.
    pub fn owner(&mut self, socket: Socket, now: Instant) -> Option<Arc<Owner>> {
        if self.answered.is_none_or(|at| now.saturating_duration_since(at) >= ANSWER_AGE) {
            self.answered = Some(now);
            self.answers.clear();
        }
        if let Some(answer) = self.answers.get(&socket) {
            return Some(Arc::clone(answer));
        }
        let check = self.answers.len() < ANSWERS;
        let answer = self.find(socket, check, now).map(Arc::new);
        // What isn't known yet may be after the next search.
        if check && let Some(answer) = &answer {
            self.answers.insert(socket, Arc::clone(answer));
        }
        answer
    }

    fn find(&mut self, socket: Socket, check: bool, now: Instant) -> Option<Owner> {
        let of_cgroup = match socket.cgroup {
            0 => None,
            id => self.cgroups.workload(id, now).filter(|workload| !workload.is_empty()),
        };
        let held = match self.inode(socket) {
            0 => None,
            inode => self.sockets.holders(inode, check, now),
        };
        if held.is_none() && of_cgroup.is_none() {
            return None;
        }
        let Held { processes, more, nobody, workload } = held.unwrap_or_default();
        // On a hybrid host a container may have its name in v1 alone, and be its engine's service in v2.
        let of_cgroup = of_cgroup.filter(|its| its.is_contained() || !workload.is_contained());
        Some(Owner { processes, more, nobody, workload: of_cgroup.unwrap_or(workload) })
    }

    /// The socket's inode; when its file is closed, the one that it had.
    fn inode(&mut self, Socket { inode, cookie, .. }: Socket) -> u32 {
        match (inode, cookie) {
            (_, 0) => inode,
            (0, cookie) => self.cookies.get(&cookie).copied().unwrap_or(0),
            (inode, cookie) => {
                self.cookies.insert(cookie, inode);
                inode
            }
        }
    }

    /// Whose a network namespace is: what its processes have in common. The host's is nobody's, and so is one whose processes differ.
    pub fn workload_of_netns(&mut self, inode: u32, now: Instant) -> Option<Arc<Workload>> {
        self.sockets.workload_of_netns(inode, now)
    }

    /// The ids of the v2 cgroups of a container, pod or unit that a user names; see [`Workload::is_called`].
    pub fn cgroups_called<'a>(&'a self, word: &'a str) -> impl Iterator<Item = u64> + 'a {
        self.cgroups.iter().filter(move |(_, workload)| workload.is_called(word)).map(|(id, _)| id)
    }

    /// The processes that hold a socket as of the last search: pid and command.
    pub fn processes(&self) -> impl Iterator<Item = (u32, &str)> {
        self.sockets.processes()
    }

    /// How complete the index is, and what it takes.
    pub fn coverage(&self) -> Coverage {
        let index = self.sockets.index();
        Coverage {
            processes: index.holders.len(),
            holdings: index.holdings.len(),
            refused: index.refused,
            left_out: index.left_out,
            memory: index.memory() + self.cgroups.memory(),
        }
    }
}
