//! `--container` and `--owner`: names whose numbers change while netdrop runs.

use std::collections::HashMap;

use netdrop_common::{OWNER_CGROUP, OWNER_EXCLUDED, OWNER_NETNS, OWNER_SOCKET, OWNER_TASK, OwnerKey, group};

use super::explain::{Evaluated, Explained, list};
use super::{FilterError, Resolver, Wanted};
use crate::owner::census::{Holders, Inhabited};

/// What the program's map has room for: cgroups, namespaces and sockets together.
pub const MAX_OWNERS: u32 = 1 << 16;

/// What drops may belong to, by name: to be looked up again and again.
#[derive(Debug, Clone, Default)]
pub struct Targets(Vec<Target>);

#[derive(Debug, Clone)]
struct Target {
    what: What,
    /// The group that it matches, or [`group::EXCLUDE`].
    group: u32,
}

#[derive(Debug, Clone)]
enum What {
    Container(String),
    Command(String),
    Cgroup(u64),
    /// A process by its id and start: a later one of that id is another.
    Process(u32, u64),
}

/// What the targets are in the kernel's numbers, now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owned {
    /// For the program's map; at most [`MAX_OWNERS`].
    pub entries: HashMap<OwnerKey, u32>,
    /// How many found no room.
    pub left_out: usize,
}

impl Owned {
    fn add(&mut self, id: u64, kind: u32, group: u32) {
        let key = OwnerKey { id, kind: kind.into() };
        let value = if group == group::EXCLUDE { OWNER_EXCLUDED } else { group };
        if let Some(entry) = self.entries.get_mut(&key) {
            *entry |= value;
        } else if self.entries.len() < MAX_OWNERS as usize {
            self.entries.insert(key, value);
        } else {
            self.left_out += 1;
        }
    }

    fn container(&mut self, found: &Inhabited, group: u32) {
        found.cgroups.iter().for_each(|id| self.add(*id, OWNER_CGROUP, group));
        found.namespaces.iter().for_each(|inode| self.add((*inode).into(), OWNER_NETNS, group));
    }

    fn sockets(&mut self, found: &Holders, group: u32) {
        found.processes.iter().for_each(|process| self.add(process.pid.into(), OWNER_TASK, group));
        found.sockets.iter().for_each(|inode| self.add((*inode).into(), OWNER_SOCKET, group));
    }
}

impl Targets {
    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the targets are now. One that is there no more is nothing, until it comes again.
    pub fn look(&self, resolver: &mut impl Resolver) -> Owned {
        let mut owned = Owned::default();
        for Target { what, group } in &self.0 {
            match what {
                What::Container(word) => {
                    if let Ok(found) = resolver.container(word) {
                        owned.container(&found, *group);
                    }
                }
                What::Cgroup(id) => owned.add(*id, OWNER_CGROUP, *group),
                What::Command(word) => owned.sockets(&resolver.holders(word), *group),
                What::Process(pid, started) => {
                    let found = resolver.holders(&pid.to_string());
                    if found.processes.first().is_some_and(|process| process.started == *started) {
                        owned.sockets(&found, *group);
                    }
                }
            }
        }
        owned
    }

    /// The groups that must match.
    pub fn required(&self) -> u32 {
        self.0.iter().fold(0, |required, target| required | target.group)
    }

    /// The kinds of key that they may ever have.
    pub fn kinds(&self) -> u32 {
        self.0.iter().fold(0, |kinds, target| {
            kinds
                | match target.what {
                    What::Container(_) => OWNER_CGROUP | OWNER_NETNS,
                    What::Cgroup(_) => OWNER_CGROUP,
                    What::Command(_) | What::Process(..) => OWNER_SOCKET | OWNER_TASK,
                }
        })
    }
}

/// Looks all of them up, and tells what was found.
pub fn resolve(
    wanted: &Wanted,
    resolver: &mut impl Resolver,
    explained: &mut Vec<Explained>,
) -> Result<(Targets, Owned), FilterError> {
    let (mut targets, mut owned) = (Targets::default(), Owned::default());
    for (word, group) in wanted.container.each(group::CONTAINER) {
        let found = resolver.container(word)?;
        if found.cgroups.is_empty() && found.namespaces.is_empty() {
            return Err(FilterError::ContainerUnseen(word.into()));
        }
        owned.container(&found, group);
        explained.push(container(word, &found, group));
        targets.0.push(Target { what: What::Container(word.into()), group });
    }
    for (word, group) in wanted.owner.each(group::OWNER) {
        let found = resolver.holders(word);
        let Some(first) = found.processes.first() else {
            return Err(FilterError::Owner { name: word.into(), suggestion: resolver.nearest_command(word) });
        };
        let is_pid = word.parse() == Ok(first.pid);
        let what = if is_pid { What::Process(first.pid, first.started) } else { What::Command(word.into()) };
        owned.sockets(&found, group);
        explained.push(owner(word, &found, group));
        targets.0.push(Target { what, group });
    }
    if let Some(id) = wanted.cgroup {
        owned.add(id, OWNER_CGROUP, group::SCOPE);
        targets.0.push(Target { what: What::Cgroup(id), group: group::SCOPE });
    }
    Ok((targets, owned))
}

fn container(word: &str, found: &Inhabited, group: u32) -> Explained {
    let called = found.called.join(", ");
    let (cgroups, namespaces) = (list(&found.cgroups), list(&found.namespaces));
    let means = match (found.cgroups.is_empty(), found.namespaces.is_empty()) {
        (false, true) => format!("{called}: sockets of cgroup {cgroups}"),
        (true, _) => format!("{called}: all in network namespace {namespaces}"),
        (false, false) => {
            format!("{called}: sockets of cgroup {cgroups}, and all in network namespace {namespaces}")
        }
    };
    let misses = match (found.cgroups.is_empty(), found.namespaces.is_empty()) {
        (false, true) => "drops without a socket: it shares the host's network namespace".to_owned(),
        (true, _) => "sockets elsewhere: its cgroups are of version 1, which sockets don't know".to_owned(),
        (false, false) => "drops in a cgroup or namespace younger than the last look".to_owned(),
    };
    Explained::new("container", word, group, Evaluated::FollowedMap, means).missing(misses)
}

fn owner(word: &str, found: &Holders, group: u32) -> Explained {
    let processes: Vec<_> =
        found.processes.iter().map(|process| format!("{}({})", process.command, process.pid)).collect();
    let sockets = found.sockets.len();
    let plural = if sockets == 1 { "" } else { "s" };
    let refused = match found.refused {
        0 => String::new(),
        refused => format!("; the descriptors of {refused} may not be read"),
    };
    let means = format!("{sockets} socket{plural} now, of {}{refused}", list(&processes));
    let misses = "sockets younger than the last look, but for TCP connections of which netdrop saw the connect or accept; \
                  those that no process has: closed over a minute ago, or not accepted yet; \
                  before 6.11 most drops of what was received, as they tell no socket";
    Explained::new("owner", word, group, Evaluated::FollowedMap, means).missing(misses.into())
}
