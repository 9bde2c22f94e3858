//! What only a privileged process may look at: directly, or, where this process has given its privileges up, by asking the
//! helper that kept them (`sandbox::Helper`).
//!
//! The helper answers these few questions and no others: a process's sockets, the namespace that it lives in, the devices
//! and the sockets of a namespace, and the files of [`may_open`]. One datagram asks, one or more answer.
//!
//! A process-wide value, as privileges are: without a helper it is one comparison, and everything is done directly.

use std::fs::{self, File};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};

/// An answer's datagram holds at most so many bytes after its head.
pub const PART: usize = 32 << 10;
/// Bytes of an answer's head: the error's number (0: none), and whether more datagrams follow.
const HEAD: usize = 5;
/// The longest question: a path (`PATH_MAX`) and its kind.
pub const LONGEST_QUESTION: usize = 4097;

/// A descriptor that is a socket, and the socket's inode.
pub type SocketOf = (u32, u32);

static HELPER: OnceLock<Mutex<Option<OwnedFd>>> = OnceLock::new();

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The file for reading: its descriptor.
    Open(PathBuf),
    /// Where a link below `/proc/PID` leads.
    Link(PathBuf),
    /// The sockets among a process's descriptors.
    Sockets(u32),
    /// The devices of the network namespace that the path leads to.
    Devices(PathBuf),
    /// A `NETLINK_SOCK_DIAG` socket in the network namespace that the path leads to: its descriptor.
    Diag(PathBuf),
}

impl Question {
    /// As it is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        let of_path = |kind: u8, path: &Path| [&[kind], path.as_os_str().as_bytes()].concat();
        match self {
            Self::Open(path) => of_path(b'o', path),
            Self::Link(path) => of_path(b'l', path),
            Self::Sockets(pid) => [&[b's'][..], &pid.to_le_bytes()].concat(),
            Self::Devices(path) => of_path(b'd', path),
            Self::Diag(path) => of_path(b'n', path),
        }
    }

    /// Reads what was sent; `None` where it is no question.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let path = || PathBuf::from(std::ffi::OsString::from_vec(rest.to_vec()));
        Some(match kind {
            b'o' => Self::Open(path()),
            b'l' => Self::Link(path()),
            b's' => Self::Sockets(u32::from_le_bytes(rest.try_into().ok()?)),
            b'd' => Self::Devices(path()),
            b'n' => Self::Diag(path()),
            _ => return None,
        })
    }
}

/// Files that the helper opens for reading: the kernel's symbols with their addresses, its modules and where they lie, and what container engines
/// call their containers.
pub fn may_open(path: &Path) -> bool {
    const ENGINES: [&str; 4] =
        ["/var/lib/docker/containers", "/var/lib/containers/storage", "/run/containerd", "/run/k3s"];
    const FILES: [&str; 3] = ["config.v2.json", "config.json", "containers.json"];
    let named = |names: &[&str]| names.iter().any(|name| path.file_name() == Some(name.as_ref()));
    is_straight(path)
        && (["/proc/kallsyms", "/proc/modules"].iter().any(|file| path == Path::new(file))
            || ENGINES.iter().any(|folder| path.starts_with(folder))
                && (named(&FILES) || named(&["volatile-containers.json"]))
            || path.starts_with("/sys/module")
                && path.parent().and_then(Path::file_name) == Some("sections".as_ref()))
}

/// Links that the helper reads: a process's network namespace and its descriptors.
pub fn may_read_link(path: &Path) -> bool {
    let Ok(rest) = path.strip_prefix("/proc") else { return false };
    let parts: Vec<_> = rest.iter().filter_map(std::ffi::OsStr::to_str).collect();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    is_straight(path)
        && match parts[..] {
            [pid, "ns", "net"] => is_number(pid),
            [pid, "fd", number] => is_number(pid) && is_number(number),
            _ => false,
        }
}

/// Without `..`, from the root.
pub fn is_straight(path: &Path) -> bool {
    path.is_absolute()
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

/// Whether there is a helper to ask.
pub fn is_asked() -> bool {
    HELPER.get().is_some()
}

/// From now on the helper at the other end of this socket is asked. Only the first call counts.
pub fn ask(socket: OwnedFd) {
    // A process enters its sandbox once.
    let _ = HELPER.set(Mutex::new(Some(socket)));
}

/// Opens a file for reading.
///
/// # Errors
/// As `open(2)`.
pub fn open(path: &Path) -> io::Result<File> {
    if is_asked()
        && may_open(path)
        && let Some(answer) = answer(&Question::Open(path.to_owned()))
    {
        return answer?.descriptor.map(File::from).ok_or_else(broken);
    }
    File::open(path)
}

/// Where a link below `/proc` leads.
///
/// # Errors
/// As `readlink(2)`.
pub fn read_link(path: &Path) -> io::Result<PathBuf> {
    link(path).unwrap_or_else(|| fs::read_link(path))
}

/// The same; `None` where there is no helper that could be asked.
pub fn link(path: &Path) -> Option<io::Result<PathBuf>> {
    let asked = is_asked() && may_read_link(path);
    let answer = asked.then(|| answer(&Question::Link(path.to_owned()))).flatten()?;
    Some(answer.map(|answer| std::ffi::OsString::from_vec(answer.bytes).into()))
}

/// The sockets of a process; `None` where there is no helper to ask.
pub fn sockets(pid: u32) -> Option<io::Result<Vec<SocketOf>>> {
    Some(
        answer(&Question::Sockets(pid))?
            .and_then(|answer| sockets_from_bytes(&answer.bytes).ok_or_else(broken)),
    )
}

/// The devices of another network namespace by index; `None` where there is no helper to ask.
pub fn devices(path: &Path) -> Option<io::Result<Vec<(u32, String)>>> {
    let answer = answer(&Question::Devices(path.to_owned()))?;
    Some(answer.and_then(|answer| devices_from_bytes(&answer.bytes).ok_or_else(broken)))
}

/// A socket that asks for the sockets of another network namespace; `None` where there is no helper to ask.
pub fn diag(path: &Path) -> Option<io::Result<OwnedFd>> {
    let answer = answer(&Question::Diag(path.to_owned()))?;
    Some(answer.and_then(|answer| answer.descriptor.ok_or_else(broken)))
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the privileged helper's answer can't be read")
}

/// Pairs of numbers, eight bytes each.
pub fn sockets_to_bytes(sockets: &[SocketOf]) -> Vec<u8> {
    sockets
        .iter()
        .flat_map(|(descriptor, inode)| [descriptor.to_le_bytes(), inode.to_le_bytes()].concat())
        .collect()
}

fn sockets_from_bytes(bytes: &[u8]) -> Option<Vec<SocketOf>> {
    let (pairs, rest) = bytes.as_chunks::<8>();
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_le_bytes);
    rest.is_empty()
        .then(|| pairs.iter().filter_map(|pair| Some((number(&pair[..4])?, number(&pair[4..])?))).collect())
}

/// A line a device: names hold no spaces (`dev_valid_name`, net/core/dev.c).
pub fn devices_to_bytes(devices: &[(u32, String)]) -> Vec<u8> {
    devices.iter().flat_map(|(index, name)| format!("{index} {name}\n").into_bytes()).collect()
}

fn devices_from_bytes(bytes: &[u8]) -> Option<Vec<(u32, String)>> {
    let device = |line: &str| {
        line.split_once(' ').and_then(|(index, name)| Some((index.parse().ok()?, name.to_owned())))
    };
    str::from_utf8(bytes).ok()?.lines().map(device).collect()
}

/// What the helper says.
#[derive(Debug, Default)]
pub struct Answer {
    /// The value, as the question has it.
    pub bytes: Vec<u8>,
    /// A descriptor, where one was asked for.
    pub descriptor: Option<OwnedFd>,
}

fn answer(question: &Question) -> Option<io::Result<Answer>> {
    let helper = HELPER.get()?;
    // Each exchange leaves nothing behind that a panic could spoil.
    let mut socket = helper.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(open) = socket.as_ref() else { return Some(Err(gone())) };
    Some(match exchange(open, question) {
        Ok(answer) => answer,
        Err(error) => {
            // A late answer would be taken for the next question's.
            *socket = None;
            tracing::warn!(
                "the privileged helper is gone ({error}): owners and devices elsewhere stay unnamed"
            );
            Err(gone())
        }
    })
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "the privileged helper is gone")
}

/// Asks, and waits for the answer: an error of the helper's inside, one of the socket outside.
fn exchange(socket: &OwnedFd, question: &Question) -> io::Result<io::Result<Answer>> {
    send(socket, &question.to_bytes(), None)?;
    let mut all = Answer::default();
    let mut buffer = vec![0; HEAD + PART];
    loop {
        let (length, descriptor) = receive(socket, &mut buffer)?;
        let Some((head, part)) = buffer[..length].split_at_checked(HEAD) else { return Err(broken()) };
        let error = i32::from_le_bytes(head[..4].try_into().map_err(|_| broken())?);
        if error != 0 {
            return Ok(Err(io::Error::from_raw_os_error(error)));
        }
        all.bytes.extend_from_slice(part);
        all.descriptor = descriptor.or(all.descriptor);
        if head[4] == 0 {
            return Ok(Ok(all));
        }
    }
}

/// Sends an answer in as many datagrams as it takes.
///
/// # Errors
/// When the other end is gone.
pub fn reply(socket: &OwnedFd, answer: io::Result<Answer>) -> io::Result<()> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let number = error.raw_os_error().unwrap_or(libc::EIO);
            return send(socket, &[&number.to_le_bytes()[..], &[0]].concat(), None);
        }
    };
    let mut parts = answer.bytes.chunks(PART).peekable();
    let mut descriptor = answer.descriptor.as_ref();
    loop {
        let part = parts.next().unwrap_or_default();
        let more = u8::from(parts.peek().is_some());
        send(socket, &[&0_i32.to_le_bytes()[..], &[more], part].concat(), descriptor.take())?;
        if more == 0 {
            return Ok(());
        }
    }
}

/// Receives one datagram, and the descriptor that came with it.
///
/// # Errors
/// When the other end is gone, or the time is up.
pub fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut room = cmsg_space!([i32; 1]);
    let mut into = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut into, Some(&mut room), flags)?;
    let descriptors = message.cmsgs()?.filter_map(|control| match control {
        ControlMessageOwned::ScmRights(numbers) => numbers.first().copied(),
        _ => None,
    });
    // SAFETY: the kernel has just made this descriptor for this process, and nobody else knows it.
    let descriptor = descriptors.map(|number| unsafe { OwnedFd::from_raw_fd(number) }).last();
    if message.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((message.bytes, descriptor))
}

fn send(socket: &OwnedFd, bytes: &[u8], descriptor: Option<&OwnedFd>) -> io::Result<()> {
    let numbers = descriptor.map(|descriptor| [descriptor.as_raw_fd()]);
    let rights = numbers.as_ref().map(|numbers| ControlMessage::ScmRights(numbers));
    sendmsg::<UnixAddr>(
        socket.as_raw_fd(),
        &[IoSlice::new(bytes)],
        rights.as_slice(),
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap()
    }

    #[rstest]
    #[case("/proc/kallsyms", true)]
    #[case("/proc/modules", true)]
    #[case("/sys/module/tun/sections/.text", true)]
    #[case("/var/lib/docker/containers/3f2a/config.v2.json", true)]
    #[case("/run/containerd/io.containerd.runtime.v2.task/k8s.io/3f2a/config.json", true)]
    #[case("/run/containerd/../../etc/shadow", false)]
    #[case("/run/containerd/x/rootfs/etc/shadow", false)]
    #[case("/etc/shadow", false)]
    #[case("/proc/1/mem", false)]
    #[case("proc/kallsyms", false)]
    fn few_files_are_opened(#[case] path: &str, #[case] expected: bool) {
        assert_eq!(may_open(Path::new(path)), expected);
    }

    #[rstest]
    #[case("/proc/1/ns/net", true)]
    #[case("/proc/4242/fd/7", true)]
    #[case("/proc/self/ns/net", false)]
    #[case("/proc/1/root", false)]
    #[case("/proc/1/fd/../root", false)]
    #[case("/proc/1/ns/mnt", false)]
    #[case("/proc/x/fd/1", false)]
    #[case("/etc/localtime", false)]
    fn few_links_are_read(#[case] path: &str, #[case] expected: bool) {
        assert_eq!(may_read_link(Path::new(path)), expected);
    }

    #[test]
    fn a_long_answer_comes_in_parts_and_a_descriptor_with_it() {
        let (here, there) = pair();
        let sockets: Vec<SocketOf> = (0..20_000).map(|number| (number, number * 3)).collect();
        let expected = sockets.clone();
        let helper = std::thread::spawn(move || {
            let mut buffer = [0; LONGEST_QUESTION];
            let (length, _) = receive(&there, &mut buffer).unwrap();
            assert_eq!(Question::from_bytes(&buffer[..length]), Some(Question::Sockets(7)));
            let descriptor = Some(File::open("/proc/self/stat").unwrap().into());
            reply(&there, Ok(Answer { bytes: sockets_to_bytes(&sockets), descriptor })).unwrap();
        });
        let answer = exchange(&here, &Question::Sockets(7)).unwrap().unwrap();
        assert_eq!(sockets_from_bytes(&answer.bytes).unwrap(), expected);
        let text = io::read_to_string(File::from(answer.descriptor.unwrap())).unwrap();
        assert!(text.starts_with(&std::process::id().to_string()));
        helper.join().unwrap();
    }

    #[test]
    fn errors_are_the_helpers_or_the_sockets() {
        let (here, there) = pair();
        let question = Question::Link("/proc/1/ns/net".into());
        reply(&there, Err(io::Error::from_raw_os_error(libc::ESRCH))).unwrap();
        assert_eq!(exchange(&here, &question).unwrap().unwrap_err().raw_os_error(), Some(libc::ESRCH));
        drop(there);
        assert!(exchange(&here, &question).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(bytes in any::<Vec<u8>>()) {
            if let Some(question) = Question::from_bytes(&bytes) {
                prop_assert_eq!(question.to_bytes(), bytes.clone());
            }
            let _ = (sockets_from_bytes(&bytes), devices_from_bytes(&bytes));
        }

        #[test]
        fn devices_come_back(devices in proptest::collection::vec((any::<u32>(), "[!-~]{1,15}"), 0..20)) {
            prop_assert_eq!(devices_from_bytes(&devices_to_bytes(&devices)), Some(devices));
        }
    }
}
