//! What the daemon gives up once its programs are attached: capabilities, its user, files, system calls.
//!
//! ```text
//! plan      from settings and needs to what is kept, by whom, and what that costs: pure, printed by --print-privileges
//! prepare   before anything is attached: the helper is forked, the only process that keeps capabilities
//! enter     once attached, while there is one thread: user, capabilities, no_new_privs, Landlock, seccomp
//! ```
//!
//! The process that talks to the network keeps no capability. What still takes one (whose a socket is, the devices of other
//! network namespaces, addresses in kallsyms) is asked of a helper process over a socket pair
//! ([`crate::kernel::privileged`]): five questions, each checked, no network, a short list of system calls. A second process, because Landlock forbids
//! to look at any other process (`hook_ptrace_access_check`, security/landlock/task.c), and because with `CAP_SYS_PTRACE` a
//! process could write into every other one's memory.

mod capabilities;
mod enter;
mod files;
mod helper;
mod plan;
mod syscalls;
mod user;

use std::path::PathBuf;

pub use enter::{Entered, Prepared};
pub use plan::{Keeper, Needs, Plan, Row, plan};
use serde::{Deserialize, Serialize};

/// The section `[sandbox]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each can be given up or not, whatever the others are")]
pub struct Settings {
    /// Whether anything is given up at all.
    pub enabled: bool,
    /// The user to become, by name or as `UID:GID`; `nobody` where there is no such user. Empty: none.
    pub user: String,
    /// Whether files are closed off by Landlock (Linux 5.13 on).
    pub landlock: bool,
    /// Whether system calls are closed off by seccomp.
    pub seccomp: bool,
    /// Whether the owners of sockets are still found: the helper keeps `CAP_SYS_PTRACE` and `CAP_DAC_READ_SEARCH`.
    pub owners: bool,
    /// Whether devices of other network namespaces still get their names: the helper keeps `CAP_SYS_ADMIN`.
    pub namespaces: bool,
    /// Whether modules that are loaded later still get the names of their functions: the helper keeps `CAP_SYSLOG`.
    pub symbols: bool,
    /// Whether new programs may be loaded, so that a reloaded file can change `[capture]` without a restart: the daemon
    /// itself keeps `CAP_BPF` and `CAP_PERFMON`.
    pub reattach: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            user: "netdrop".into(),
            landlock: true,
            seccomp: true,
            owners: true,
            namespaces: true,
            symbols: true,
            reattach: false,
        }
    }
}

/// Why the sandbox can't be entered. None of these is passed over: a daemon that was told to give up its power does, or ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Threads that exist would stay outside.
    #[error(
        "the sandbox must be entered by a process with one thread, and there are {}: {}; this is a fault of netdrop, \
         please report it", .0.len(), .0.join(", ")
    )]
    Threads(Vec<String>),
    /// A user that isn't one.
    #[error(
        "[sandbox] user = \"{0}\" is no user: write a name of /etc/passwd, or numbers as in \"65534:65534\""
    )]
    User(String),
    /// The helper couldn't be started.
    #[error("the privileged helper can't be started: {0}")]
    Helper(std::io::Error),
    /// A step that the kernel refused.
    #[error("{what}: {error}; `[sandbox] enabled = false` runs with all privileges")]
    Refused {
        /// What was tried.
        what: &'static str,
        /// Why not.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A folder to write into that the new user may not write into.
    #[error(
        "{} can't be written by the user that [sandbox] changes to ({user}): `chown {user} {}`, or choose another folder",
        .folder.display(), .folder.display()
    )]
    Unwritable {
        /// The folder.
        folder: PathBuf,
        /// The user, as `chown` takes it.
        user: String,
    },
}

fn refused<E: Into<Box<dyn std::error::Error + Send + Sync>>>(what: &'static str) -> impl FnOnce(E) -> Error {
    move |error| Error::Refused { what, error: error.into() }
}
