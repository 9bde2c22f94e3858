//! The process that keeps capabilities: it answers the questions of [`crate::kernel::privileged`], and does nothing else.
//!
//! It is forked before anything is attached, while there is one thread and little memory, and ends when the daemon's end of
//! the socket is closed, however that happens. Signals of the terminal and of systemd are the daemon's to judge.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use caps::Capability;
use netlink_sys::Socket as NetlinkSocket;
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use nix::libc;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt::ReceiveTimeout};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::{ForkResult, fork};

use super::user::User;
use super::{Error, capabilities, syscalls};
use crate::kernel::devices::list_here;
use crate::kernel::privileged::{
    Answer, LONGEST_QUESTION, Question, devices_to_bytes, is_straight, may_open, may_read_link, receive,
    reply, sockets_to_bytes,
};
use crate::owner::process::Procfs;

/// An answer takes microseconds, a list of a busy process's descriptors some milliseconds: who waits for longer waits in vain.
const PATIENCE_SECONDS: i64 = 5;
/// As `ps` shows it.
const NAME: &std::ffi::CStr = c"netdrop-helper";

/// What the helper is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub user: Option<User>,
    pub keep: Vec<Capability>,
    pub seccomp: bool,
}

/// The helper, seen from the daemon.
#[derive(Debug)]
pub struct Helper {
    /// What it is asked by.
    pub socket: OwnedFd,
    /// Its process.
    pub pid: u32,
    /// What it has of the capabilities that it was to keep.
    pub kept: Vec<Capability>,
}

/// Starts it, and waits until it has given up what it doesn't need. To be called by the process's only thread.
pub fn start(role: &Role) -> Result<Helper, Error> {
    let failed = |error: nix::Error| Error::Helper(error.into());
    let (ours, its) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).map_err(failed)?;
    // SAFETY: there is no other thread that could hold a lock in the child.
    let pid = match unsafe { fork() }.map_err(failed)? {
        ForkResult::Child => {
            drop(ours);
            run(&its, role);
        }
        ForkResult::Parent { child } => child.as_raw().cast_unsigned(),
    };
    drop(its);
    setsockopt(&ours, ReceiveTimeout, &TimeVal::seconds(PATIENCE_SECONDS)).map_err(failed)?;
    let mut buffer = [0; 1024];
    let (length, _) = receive(&ours, &mut buffer).map_err(Error::Helper)?;
    let told = String::from_utf8_lossy(&buffer[..length]);
    match told.split_once(' ') {
        Some(("kept", names)) => Ok(Helper {
            socket: ours,
            pid,
            kept: names.split_ascii_whitespace().filter_map(|name| name.parse().ok()).collect(),
        }),
        _ => Err(Error::Helper(io::Error::other(told.into_owned()))),
    }
}

/// The helper's life. A panic is its end as well: the daemon then does without.
fn run(socket: &OwnedFd, role: &Role) -> ! {
    let served = std::panic::catch_unwind(|| prepare(socket, role).and_then(|()| serve(socket)));
    let code = i32::from(!matches!(served, Ok(Ok(()))));
    // SAFETY: the process ends; what the daemon would do at its own end is not to be done here.
    unsafe { libc::_exit(code) }
}

fn prepare(socket: &OwnedFd, role: &Role) -> io::Result<()> {
    for ours in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGPIPE] {
        // SAFETY: to ignore a signal runs no code.
        unsafe { signal(ours, SigHandler::SigIgn) }?;
    }
    // SAFETY: the call takes a string that lives for ever.
    unsafe { libc::prctl(libc::PR_SET_NAME, NAME.as_ptr(), 0, 0, 0) };
    close_others(socket);
    let told = match give_up(role) {
        Ok(kept) => {
            let names: Vec<_> = kept.iter().map(ToString::to_string).collect();
            format!("kept {}", names.join(" "))
        }
        Err(error) => error.to_string(),
    };
    nix::sys::socket::send(socket.as_raw_fd(), told.as_bytes(), nix::sys::socket::MsgFlags::MSG_NOSIGNAL)?;
    Ok(())
}

fn give_up(role: &Role) -> Result<Vec<Capability>, Error> {
    let kept = capabilities::reduce(role.user, &role.keep)?;
    capabilities::no_new_privileges()?;
    if role.seccomp {
        syscalls::close_off_helper()?;
    }
    Ok(kept)
}

/// Descriptors that the daemon has open are not the helper's. Standard error stays, for a panic's message.
fn close_others(socket: &OwnedFd) {
    let socket = socket.as_raw_fd().cast_unsigned();
    for (first, last) in [(0, 1), (3, socket.saturating_sub(1)), (socket.saturating_add(1), u32::MAX)] {
        if first <= last && !(first..=last).contains(&socket) {
            // SAFETY: nothing in this process uses them. Kernels before 5.9 don't know the call, and keep them open.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
    }
}

/// Answers until nobody can ask any more.
fn serve(socket: &OwnedFd) -> io::Result<()> {
    let procfs = Procfs::open(Path::new("/"));
    let mut buffer = [0; LONGEST_QUESTION];
    loop {
        let length = match receive(socket, &mut buffer) {
            Ok((length, _)) => length,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let question = Question::from_bytes(&buffer[..length]);
        let answer = question.map_or_else(|| Err(not_allowed()), |question| look(&question, procfs.as_ref()));
        reply(socket, answer)?;
    }
}

fn not_allowed() -> io::Error {
    io::Error::from_raw_os_error(libc::EPERM)
}

fn look(question: &Question, procfs: Option<&Procfs>) -> io::Result<Answer> {
    match question {
        Question::Open(path) if may_open(path) => {
            let file =
                OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
            let descriptor = file.metadata()?.is_file().then(|| file.into());
            Ok(Answer { bytes: Vec::new(), descriptor })
        }
        Question::Link(path) if may_read_link(path) => {
            Ok(std::fs::read_link(path)?.as_os_str().as_bytes().to_vec().into())
        }
        Question::Sockets(pid) => {
            let procfs = procfs.ok_or_else(not_allowed)?;
            Ok(sockets_to_bytes(&procfs.sockets(*pid)?).into())
        }
        Question::Devices(path) if is_straight(path) => {
            Ok(devices_to_bytes(&within(path, list_here)?).into())
        }
        Question::Diag(path) if is_straight(path) => {
            let socket = within(path, || NetlinkSocket::new(NETLINK_SOCK_DIAG))?;
            // SAFETY: the descriptor is taken out of the socket, which gives it up.
            let descriptor =
                unsafe { std::os::fd::FromRawFd::from_raw_fd(std::os::fd::IntoRawFd::into_raw_fd(socket)) };
            Ok(Answer { bytes: Vec::new(), descriptor: Some(descriptor) })
        }
        Question::Open(_) | Question::Link(_) | Question::Devices(_) | Question::Diag(_) => {
            Err(not_allowed())
        }
    }
}

/// Does `work` in the network namespace that the path leads to, and comes back: a namespace that somebody lives in does not end. What is
/// no namespace, setns(2) refuses.
fn within<T>(path: &Path, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let home = File::open("/proc/self/ns/net")?;
    setns(File::open(path)?, CloneFlags::CLONE_NEWNET)?;
    let done = work();
    setns(home, CloneFlags::CLONE_NEWNET)?;
    done
}

impl From<Vec<u8>> for Answer {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, descriptor: None }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn answer(question: &Question) -> io::Result<Answer> {
        look(question, Procfs::open(Path::new("/")).as_ref())
    }

    #[rstest]
    #[case(Question::Open("/etc/shadow".into()))]
    #[case(Question::Open("/proc/self/mem".into()))]
    #[case(Question::Link("/proc/1/root".into()))]
    #[case(Question::Link("/proc/self/exe".into()))]
    #[case(Question::Devices("run/netns/x".into()))]
    #[case(Question::Diag("/run/netns/../../etc/shadow".into()))]
    fn what_is_no_business_of_its_is_refused(#[case] question: Question) {
        assert_eq!(answer(&question).unwrap_err().raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn a_process_has_sockets_and_links() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let pid = std::process::id();
        assert!(!answer(&Question::Sockets(pid)).unwrap().bytes.is_empty());
        let link = format!("/proc/{pid}/fd/{}", socket.as_raw_fd());
        let target = answer(&Question::Link(link.into())).unwrap().bytes;
        assert!(target.starts_with(b"socket:["));
        let symbols = answer(&Question::Open("/proc/kallsyms".into())).unwrap();
        assert!(symbols.descriptor.is_some());
    }
}
