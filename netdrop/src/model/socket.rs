//! The socket that a drop belongs to.

use netdrop_common::{AF_INET, AF_INET6, tcp_state};

use super::Endpoint;

/// Whose socket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Whose {
    /// The packet's own (`skb->sk`): the sender's, or whose queue it stood in.
    Packet,
    /// The one that refused the packet (the tracepoint's `rx_sk`, 6.11 on).
    Receiver,
    /// The same on older kernels: the one that the kernel found a moment later by the packet's addresses.
    Found,
}

/// What kind of socket the kernel had in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SocketKind {
    /// A whole one.
    Full,
    /// What is left of a closed TCP connection (`inet_timewait_sock`): addresses alone.
    TimeWait,
    /// A TCP connection that is being opened (`request_sock`): its addresses, and its listener's queues and identity.
    Request,
}

/// A socket as it was at the moment of the drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// Whose it is.
    pub whose: Whose,
    /// Which kind.
    pub kind: SocketKind,
    /// `AF_*` (`include/linux/socket.h`).
    pub family: u16,
    /// `IPPROTO_*` for the internet families.
    pub protocol: u16,
    /// `include/net/tcp_states.h`; other protocols use some of them.
    pub state: u8,
    /// Local address and port; absent for other families.
    pub local: Option<Endpoint>,
    /// Remote address and port; absent when it isn't connected.
    pub remote: Option<Endpoint>,
    /// Its queues; absent for `TIME_WAIT`, which has none.
    pub queues: Option<Queues>,
    /// Inode number in sockfs, as in `/proc/PID/fd`; absent when no descriptor refers to it.
    pub inode: Option<u64>,
    /// The kernel's number for it, as `ss -e` shows (`sk:`); absent before anyone asked for one.
    pub cookie: Option<u64>,
    /// Id of its cgroup (v2); absent where the kernel doesn't say.
    pub cgroup: Option<u64>,
}

/// Queues and their limits: bytes with the kernel's overhead, as `ss -m` shows them, and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queues {
    /// Bytes received and not read yet (`r`).
    pub receive: u32,
    /// `SO_RCVBUF` (`rb`).
    pub receive_limit: u32,
    /// Bytes to be sent or not yet acknowledged (TCP: `w`; else: `t`).
    pub send: u32,
    /// `SO_SNDBUF` (`tb`).
    pub send_limit: u32,
    /// Bytes that came while a process had the socket locked (`bl`).
    pub backlog: u32,
    /// For listeners: connections that wait to be accepted, and how many may.
    pub accept: Option<(u32, u32)>,
    /// Packets that the socket itself has dropped since it was made (`d`).
    pub drops: u32,
}

/// The task that ran on the CPU: whoever's packets it worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTask {
    /// Process id; 0 is the idle task.
    pub pid: u32,
    /// `task_struct.comm`, filled with zeros.
    pub command: [u8; 16],
}

impl CpuTask {
    /// The command's name.
    pub fn name(&self) -> String {
        let end = self.command.iter().position(|byte| *byte == 0).unwrap_or(self.command.len());
        String::from_utf8_lossy(&self.command[..end]).into_owned()
    }
}

/// Protocols whose states are TCP's (`include/uapi/linux/in.h`).
pub(crate) const IPPROTO_TCP: u16 = 6;
pub(crate) const IPPROTO_MPTCP: u16 = 262;

impl Socket {
    /// The family's name in lower case, without `AF_`; absent for those that are hardly met.
    pub const fn family_name(&self) -> Option<&'static str> {
        Some(match self.family {
            1 => "unix",
            AF_INET => "ipv4",
            AF_INET6 => "ipv6",
            16 => "netlink",
            17 => "packet",
            40 => "vsock",
            44 => "xdp",
            _ => return None,
        })
    }

    /// Whether the state is one of TCP's.
    pub const fn is_tcp(&self) -> bool {
        matches!(self.family, AF_INET | AF_INET6)
            && (matches!(self.protocol, IPPROTO_TCP | IPPROTO_MPTCP)
                || !matches!(self.kind, SocketKind::Full))
    }

    /// The state as RFC 9293 calls it; for other protocols whether it is connected.
    pub const fn state_name(&self) -> Option<&'static str> {
        if !self.is_tcp() {
            return Some(match self.state {
                tcp_state::ESTABLISHED => "ESTABLISHED",
                tcp_state::CLOSE => "UNCONNECTED",
                tcp_state::LISTEN => "LISTEN",
                _ => return None,
            });
        }
        super::tcp::state_name(self.state)
    }
}
