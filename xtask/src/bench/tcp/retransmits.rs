//! Segments sent again, a known number of them: SYNs to a listener whose queue of connections is full. The kernel sends each again after
//! a second (RFC 6298, 2.1), without any filter or loss that would have to be made.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, connect, getsockname, listen, socket,
};

use super::super::flood::Flood;
use super::super::running::Running;
use super::super::tool::Tool;
use super::time_of;

/// SYNs that get no answer.
const SYNS: u64 = 1000;
/// The first timeout, and some time for a thousand of them.
const TIMEOUT: Duration = Duration::from_millis(1500);

/// How long a tool's programs ran for a segment sent again, ns.
pub fn round(tool: &Tool, flood: &Flood, folder: &Path) -> Result<f64> {
    let poked = Mutex::new(Full::new()?);
    let running =
        Running::start_with(tool, flood, folder, || poked.lock().map_or(Ok(()), |mut full| full.connect()))?;
    drop(poked);
    let mut full = Full::new()?;
    let runs = time_of(&running.programs()?, || {
        flood.on_its_cpu(|| (0..SYNS).try_for_each(|_| full.connect()))?;
        thread::sleep(TIMEOUT);
        Ok(())
    })?;
    ensure!(runs.count >= SYNS, "its programs ran {} times for {SYNS} segments sent again", runs.count);
    running.end()?;
    Ok(runs.average())
}

/// A listener that takes no more connections, and sockets that try to connect to it.
struct Full {
    listener: OwnedFd,
    connecting: Vec<OwnedFd>,
}

impl Full {
    /// The queue takes one more than the backlog says.
    const BACKLOG: i32 = 1;

    fn new() -> Result<Self> {
        let listener = tcp(SockFlag::SOCK_CLOEXEC)?;
        bind(listener.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)))
            .context("cannot bind to 127.0.0.1")?;
        listen(&listener, Backlog::new(Self::BACKLOG)?).context("cannot listen on 127.0.0.1")?;
        let mut full = Self { listener, connecting: Vec::new() };
        (0..=Self::BACKLOG).try_for_each(|_| full.connect())?;
        Ok(full)
    }

    /// Begins one connection more.
    fn connect(&mut self) -> Result<()> {
        let to: SockaddrIn = getsockname(self.listener.as_raw_fd()).context("the listener has no address")?;
        let client = tcp(SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC)?;
        match connect(client.as_raw_fd(), &to) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(error) => return Err(error).context("cannot connect to 127.0.0.1"),
        }
        self.connecting.push(client);
        Ok(())
    }
}

fn tcp(flags: SockFlag) -> Result<OwnedFd> {
    socket(AddressFamily::Inet, SockType::Stream, flags, None).context("cannot open a TCP socket")
}
