//! One process's files below /proc (proc(5)): what its descriptors are, when it began, its cgroup.
//!
//! A process may end between any two of these reads: an absent file is an absent value.

use std::ffi::CStr;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags, RawDir, openat, readlinkat_raw};
use rustix::io::Errno;

use crate::kernel::netns::INITIAL_PID_NAMESPACE;
use crate::kernel::privileged;

/// `/proc`, opened once: paths below it are short.
#[derive(Debug)]
pub(crate) struct Procfs(OwnedFd);

/// The sockets among a process's descriptors.
pub(super) enum Descriptors {
    /// Each descriptor that is a socket, and the socket's inode.
    Sockets(Vec<(u32, u32)>),
    /// They may not be read: another user's without `CAP_SYS_PTRACE`, or a security module's decision.
    Refused,
    /// The process is gone.
    Gone,
}

/// What `/proc/PID/stat` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    pub command: String,
    /// Clock ticks since the start of the machine. A pid may come again; a pid with its start time doesn't.
    pub started: u64,
}

impl Procfs {
    pub(crate) fn open(root: &Path) -> Option<Self> {
        rustix::fs::open(root.join("proc"), OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok().map(Self)
    }

    /// The ids of all processes, lowest first.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let Some(folder) = open(self.0.as_fd(), ".", OFlags::DIRECTORY).ok() else { return Vec::new() };
        let mut pids = numbers(folder.as_fd());
        pids.sort_unstable();
        pids
    }

    pub(super) fn descriptors(&self, pid: u32) -> Descriptors {
        let looked = match privileged::sockets(pid) {
            Some(answer) => answer.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::PERM)),
            None => self.sockets(pid),
        };
        match looked {
            Ok(sockets) => Descriptors::Sockets(sockets),
            Err(Errno::ACCESS | Errno::PERM) => Descriptors::Refused,
            Err(_) => Descriptors::Gone,
        }
    }

    /// The ids of a process's threads, lowest first.
    pub(crate) fn threads(&self, pid: u32) -> Vec<u32> {
        let folder = open(self.0.as_fd(), &format!("{pid}/task"), OFlags::DIRECTORY);
        let mut threads = folder.map(|folder| numbers(folder.as_fd())).unwrap_or_default();
        threads.sort_unstable();
        threads
    }

    /// The sockets among a process's descriptors, as far as this process may look itself.
    pub(crate) fn sockets(&self, pid: u32) -> rustix::io::Result<Vec<(u32, u32)>> {
        sockets(open(self.0.as_fd(), &format!("{pid}/fd"), OFlags::DIRECTORY)?.as_fd())
    }

    /// The inode of the socket that is a process's descriptor.
    pub(super) fn socket(&self, pid: u32, descriptor: u32) -> Option<u32> {
        self.link(&format!("{pid}/fd/{descriptor}"), "socket")
    }

    /// The inode of a process's network namespace.
    pub(super) fn netns(&self, pid: u32) -> Option<u32> {
        self.link(&format!("{pid}/ns/net"), "net")
    }

    fn link(&self, path: &str, kind: &str) -> Option<u32> {
        if !privileged::is_asked() {
            return link(self.0.as_fd(), path, kind).ok().flatten();
        }
        let target = privileged::read_link(&Path::new("/proc").join(path)).ok()?;
        number_in(target.as_os_str().as_bytes(), kind)
    }

    /// Whether all processes of the machine are seen: that is so in the initial PID namespace, or where none tells.
    pub(super) fn sees_all(&self) -> bool {
        link(self.0.as_fd(), "self/ns/pid", "pid")
            .ok()
            .flatten()
            .is_none_or(|inode| inode == INITIAL_PID_NAMESPACE)
    }

    /// The inode of this process's own network namespace.
    pub(super) fn own_netns(&self) -> Option<u32> {
        link(self.0.as_fd(), "self/ns/net", "net").ok().flatten()
    }

    pub(super) fn stat(&self, pid: u32) -> Option<Stat> {
        stat(&self.read(&format!("{pid}/stat"))?)
    }

    /// The text of `/proc/PID/cgroup`.
    pub(super) fn cgroup(&self, pid: u32) -> Option<String> {
        self.read(&format!("{pid}/cgroup"))
    }

    /// What the process was started as, `argv[0]`; it may have written something else there since.
    pub(super) fn first_argument(&self, pid: u32) -> Option<String> {
        let text = self.read(&format!("{pid}/cmdline"))?;
        text.split('\0').next().map(str::to_owned)
    }

    pub(crate) fn read(&self, path: &str) -> Option<String> {
        /// More than any of these files holds.
        const LONGEST: u64 = 64 << 10;
        let file = std::fs::File::from(open(self.0.as_fd(), path, OFlags::empty()).ok()?);
        let mut bytes = Vec::with_capacity(1024);
        file.take(LONGEST).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// An error where the folder may be listed and its links may not be read: that takes `ptrace_may_access` (`proc_pid_readlink`).
fn sockets(folder: BorrowedFd<'_>) -> Result<Vec<(u32, u32)>, Errno> {
    let mut found = Vec::new();
    for number in numbers(folder) {
        match link(folder, itoa::Buffer::new().format(number), "socket") {
            Ok(inode) => found.extend(inode.map(|inode| (number, inode))),
            Err(error @ (Errno::ACCESS | Errno::PERM)) => return Err(error),
            // It was closed meanwhile.
            Err(_) => {}
        }
    }
    Ok(found)
}

fn open(folder: BorrowedFd<'_>, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    openat(folder, path, flags | OFlags::CLOEXEC, Mode::empty())
}

/// The entries of a folder that are called by a number.
fn numbers(folder: BorrowedFd<'_>) -> Vec<u32> {
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(folder, &mut buffer);
    let mut numbers = Vec::new();
    while let Some(Ok(entry)) = entries.next() {
        numbers.extend(number(entry.file_name()));
    }
    numbers
}

fn number(name: &CStr) -> Option<u32> {
    name.to_str().ok()?.parse().ok()
}

/// The number in a link like `socket:[81231]` (`sockfs_dname` in net/socket.c) or `net:[4026531840]`.
///
/// A socket's has 32 bits: it comes from `get_next_ino`.
fn link(folder: BorrowedFd<'_>, path: &str, kind: &str) -> rustix::io::Result<Option<u32>> {
    // Longer links are files.
    let mut buffer = [MaybeUninit::uninit(); 32];
    let (target, _) = readlinkat_raw(folder, path, &mut buffer)?;
    Ok(number_in(target, kind))
}

fn number_in(target: &[u8], kind: &str) -> Option<u32> {
    let digits = target.strip_prefix(kind.as_bytes())?.strip_prefix(b":[")?.strip_suffix(b"]")?;
    str::from_utf8(digits).ok()?.parse().ok()
}

/// `4242 (comm) S …`, the start time in the 22nd field. The command may hold any character, parentheses as well.
fn stat(text: &str) -> Option<Stat> {
    /// Fields between the command and the start time.
    const BETWEEN: usize = 19;
    let (_, rest) = text.split_once('(')?;
    let (command, rest) = rest.rsplit_once(')')?;
    let started = rest.split_ascii_whitespace().nth(BETWEEN)?.parse().ok()?;
    Some(Stat { command: command.to_owned(), started })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn line(command: &str) -> String {
        format!(
            "7 ({command}) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 10 18446744073709551615\n"
        )
    }

    #[rstest]
    #[case(&line("nginx"), Some(("nginx", 4711)))]
    #[case(&line("tmux: server"), Some(("tmux: server", 4711)))]
    #[case(&line("a) S (b"), Some(("a) S (b", 4711)))]
    #[case(&line(""), Some(("", 4711)))]
    #[case("7 (nginx) S 1 2 3", None)]
    #[case("7 nginx", None)]
    #[case("", None)]
    fn a_stat_line_is_read(#[case] text: &str, #[case] expected: Option<(&str, u64)>) {
        let expected = expected.map(|(command, started)| Stat { command: command.into(), started });
        assert_eq!(stat(text), expected);
    }

    /// Needs no privileges: this process looks at itself.
    #[test]
    fn the_own_process_is_seen() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let procfs = Procfs::open(Path::new("/")).unwrap();
        let pid = std::process::id();
        assert!(procfs.processes().contains(&pid));
        let Descriptors::Sockets(sockets) = procfs.descriptors(pid) else { panic!("its own descriptors") };
        let descriptor = u32::try_from(std::os::fd::AsRawFd::as_raw_fd(&socket)).unwrap();
        let found: Vec<u32> =
            sockets.iter().filter(|(number, _)| *number == descriptor).map(|(_, inode)| *inode).collect();
        assert_eq!(found, Vec::from_iter(procfs.socket(pid, descriptor)));
        assert_eq!(found.len(), 1);
        assert!(procfs.netns(pid).is_some() && procfs.cgroup(pid).is_some());
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
        assert_eq!(procfs.stat(pid).unwrap().command, comm.trim_end());
    }

    proptest! {
        #[test]
        fn any_text_is_safe(text in any::<String>()) {
            let _ = stat(&text);
        }

        #[test]
        fn any_command_comes_back(command in "[ -~]{0,15}") {
            prop_assert_eq!(stat(&line(&command)).map(|stat| stat.command), Some(command));
        }
    }
}
