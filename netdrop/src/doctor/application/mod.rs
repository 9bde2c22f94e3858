//! The application: why those who should read from a socket don't.
//!
//! A slow reader, one without a CPU, one out of its quota and one that was stopped all leave the same full queue. They are told apart by what the kernel
//! says of the process and its cgroup at both ends of the window; each socket's owner gets the first verdict that fits ([`verdict::JUDGES`]).

mod case;
mod groups;
mod limit;
mod memory;
mod not_scheduled;
mod one_busy_thread;
mod readers;
mod reads_slowly;
mod stopped;
#[cfg(test)]
mod tests;
mod throttled;
mod verdict;

use super::{Area, Check, Scope, Source, source};
use crate::doctor::parts::{Counters, Sysctls};
use readers::Readers;

pub const CHECKS: &[Check] = &[
    stopped::CHECK,
    throttled::CHECK,
    memory::CHECK,
    not_scheduled::CHECK,
    one_busy_thread::CHECK,
    reads_slowly::CHECK,
];

/// All of them judge by the same.
const NEEDS: &[Source] = &[source::<Readers>(), source::<Counters>(), source::<Sysctls>()];

/// A check of this area.
const fn check(
    name: &'static str,
    run: fn(&super::Window) -> Result<Vec<super::Finding>, super::Unread>,
) -> Check {
    Check { name, area: Area::Application, scope: Scope::Netns, needs: NEEDS, run }
}
