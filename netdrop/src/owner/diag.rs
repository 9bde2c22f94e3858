//! The kernel's own list of sockets (`sock_diag(7)`): a socket by its addresses, its inode, queues and drops.
//!
//! An event without a socket's inode may still have addresses: those of a listener that refused, or of the packet itself.
//! The kernel looks the socket up as it would for a packet, so that a listener on any address is found by a packet's.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{FromRawFd as _, IntoRawFd as _};
use std::path::Path;
use std::thread;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload, Nla as _};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6};
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags};
use netlink_sys::Socket as NetlinkSocket;
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{setsockopt, sockopt::ReceiveTimeout};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::kernel::privileged;

/// Not yet known to the library: `include/uapi/linux/inet_diag.h`.
const INET_DIAG_CGROUP_ID: u16 = 21;
/// The kernel answers within the call; a lost answer shall not hang the caller.
const PATIENCE_SECONDS: i64 = 1;

/// Why the kernel could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum DiagError {
    /// The namespace can't be entered.
    #[error("can't enter the network namespace {path} to list its sockets (needs CAP_SYS_ADMIN): {source}")]
    Enter {
        /// The path that `setns(2)` was given.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// No netlink socket, or no answer.
    #[error("can't ask the kernel for its sockets (sock_diag): {0}")]
    Netlink(#[from] io::Error),
    /// An answer of another form.
    #[error("the kernel's answer about a socket can't be read: {0}")]
    Answer(String),
}

/// Which socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// IP protocol: 6 TCP, 17 UDP.
    pub protocol: u8,
    /// The socket's own address and port: a packet's destination when it was received.
    pub local: SocketAddr,
    /// The other end. For a listener, or whatever would receive from anywhere, any: `0.0.0.0:0` or `[::]:0`.
    pub remote: SocketAddr,
    /// Index of the device that the packet came by, for sockets bound to one; 0 for none.
    pub device: u32,
}

/// What the kernel knows of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Inode on sockfs; 0 for one without a file.
    pub inode: u32,
    /// The user that it belongs to.
    pub uid: u32,
    /// The socket's cookie.
    pub cookie: u64,
    /// The id of its v2 cgroup; 0 before 5.9, where the kernel doesn't tell.
    pub cgroup: u64,
    /// `AF_INET` or `AF_INET6`.
    pub family: u8,
    /// The address and port that it is bound to.
    pub local: SocketAddr,
    /// The other end; port 0 where it isn't connected.
    pub remote: SocketAddr,
    /// TCP's state, `TCP_ESTABLISHED` = 1 … (`include/net/tcp_states.h`); UDP has 1 and 7.
    pub state: u8,
    /// Bytes received and not yet read; of a listener, connections not yet accepted.
    pub receive_queue: u32,
    /// Bytes not yet acknowledged; of a listener, its backlog's limit.
    pub send_queue: u32,
    /// Memory and drops; absent where the kernel doesn't tell.
    pub memory: Option<Memory>,
}

/// `SK_MEMINFO_…` of `include/uapi/linux/sock_diag.h`, as `ss -m` shows it: bytes, but for `drops`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// `sk_rmem_alloc`: taken by what was received.
    pub receive: u32,
    /// `sk_rcvbuf`: its limit.
    pub receive_limit: u32,
    /// `sk_wmem_alloc`: taken by what is to be sent.
    pub send: u32,
    /// `sk_sndbuf`: its limit.
    pub send_limit: u32,
    /// `sk_backlog.len`: waiting while the socket is locked by its owner.
    pub backlog: u32,
    /// `sk_drops`: packets that the socket dropped in its life.
    pub drops: u32,
}

impl Found {
    /// The numbers that [`super::Owners::owner`] takes.
    pub const fn socket(&self) -> super::Socket {
        super::Socket { inode: self.inode, cookie: self.cookie, cgroup: self.cgroup }
    }
}

/// A netlink socket in a network namespace, to ask many times.
#[derive(Debug)]
pub struct Diag {
    socket: NetlinkSocket,
}

impl Diag {
    /// Asks in the namespace that `netns` leads to (needs `CAP_SYS_ADMIN`), or in the caller's own.
    pub fn open(netns: Option<&Path>) -> Result<Self, DiagError> {
        let Some(path) = netns else { return Self::open_here() };
        let failed = |source| DiagError::Enter { path: path.display().to_string(), source };
        if let Some(answer) = privileged::diag(path) {
            let descriptor = answer.map_err(failed)?.into_raw_fd();
            // SAFETY: the descriptor is a netlink socket that nobody else has.
            return Self::patient(unsafe { NetlinkSocket::from_raw_fd(descriptor) });
        }
        let namespace = File::open(path).map_err(failed)?;
        // A thread of its own: setns(2) moves the calling thread alone. The socket stays where it was made.
        let thread = thread::Builder::new().name("netns".into()).spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            Ok(Self::open_here())
        });
        let entered = thread.map_err(failed)?.join();
        entered.unwrap_or_else(|_| Err(io::Error::other("the thread panicked"))).map_err(failed)?
    }

    fn open_here() -> Result<Self, DiagError> {
        Self::patient(NetlinkSocket::new(NETLINK_SOCK_DIAG)?)
    }

    fn patient(socket: NetlinkSocket) -> Result<Self, DiagError> {
        setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(PATIENCE_SECONDS)).map_err(io::Error::from)?;
        Ok(Self { socket })
    }

    /// The socket that a packet from `remote` to `local` would reach; `None` if there is none.
    ///
    /// A kernel without the module for the protocol (`tcp_diag`, `udp_diag`) says the same: `ENOENT` is its answer to both.
    pub fn find(&self, query: &Query) -> Result<Option<Found>, DiagError> {
        self.socket.send(&request(query), 0)?;
        // One answer is far below a page.
        let mut buffer = Vec::with_capacity(8192);
        self.socket.recv(&mut buffer, 0)?;
        answer(&buffer)
    }
}

fn request(query: &Query) -> Vec<u8> {
    // `udp_dump_one` (net/ipv4/udp_diag.c) takes the two ends the other way round than TCP's `inet_diag_find_one_icsk`.
    let (source, destination) = match i32::from(query.protocol) {
        libc::IPPROTO_UDP | libc::IPPROTO_UDPLITE => (query.remote, query.local),
        _ => (query.local, query.remote),
    };
    let request = InetRequest {
        family: if query.local.is_ipv4() { AF_INET } else { AF_INET6 },
        protocol: query.protocol,
        extensions: ExtensionFlags::SKMEMINFO,
        states: StateFlags::all(),
        socket_id: SocketId {
            source_port: source.port(),
            destination_port: destination.port(),
            source_address: in_family(source.ip(), query.local),
            destination_address: in_family(destination.ip(), query.local),
            interface_id: query.device,
            // INET_DIAG_NOCOOKIE
            cookie: [0xff; 8],
        },
    };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// Both ends have one family; in an IPv6 one, IPv4's are mapped (RFC 4291, section 2.5.5.2).
fn in_family(address: IpAddr, family: SocketAddr) -> IpAddr {
    match (address, family) {
        (IpAddr::V4(address), SocketAddr::V6(_)) => address.to_ipv6_mapped().into(),
        _ => address,
    }
}

/// Reads the one message that answers a request.
fn answer(bytes: &[u8]) -> Result<Option<Found>, DiagError> {
    let message = NetlinkMessage::<SockDiagMessage>::deserialize(bytes)
        .map_err(|error| DiagError::Answer(error.to_string()))?;
    match message.payload {
        NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => Ok(Some(found(&response))),
        NetlinkPayload::Error(error) => match -error.raw_code() {
            libc::ENOENT => Ok(None),
            code => Err(io::Error::from_raw_os_error(code).into()),
        },
        other => Err(DiagError::Answer(format!("{other:?}"))),
    }
}

fn found(response: &InetResponse) -> Found {
    let header = &response.header;
    let memory = response.nlas.iter().find_map(|attribute| match attribute {
        Nla::MemInfo(memory) => Some(Memory {
            receive: memory.receive_queue,
            receive_limit: memory.receive_queue_max,
            send: memory.bottom_send_queues,
            send_limit: memory.send_queue_max,
            backlog: memory.backlog_queue_length,
            drops: memory.drops,
        }),
        _ => None,
    });
    let cgroup =
        response.nlas.iter().find(|attribute| attribute.kind() == INET_DIAG_CGROUP_ID).and_then(|id| {
            let mut bytes = vec![0; id.value_len()];
            id.emit_value(&mut bytes);
            Some(u64::from_ne_bytes(*bytes.first_chunk()?))
        });
    let id = &header.socket_id;
    Found {
        family: header.family,
        local: SocketAddr::new(id.source_address, id.source_port),
        remote: SocketAddr::new(id.destination_address, id.destination_port),
        inode: header.inode,
        uid: header.uid,
        cookie: u64::from_ne_bytes(header.socket_id.cookie),
        cgroup: cgroup.unwrap_or(0),
        state: header.state,
        receive_queue: header.recv_queue,
        send_queue: header.send_queue,
        memory,
    }
}

#[cfg(test)]
mod tests;
