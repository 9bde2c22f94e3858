//! The socket that a drop belongs to, as it was at that moment.

/// [`crate::Event::socket`]: there is none, or it wasn't asked for.
pub const SOCKET_NONE: u8 = 0;
/// The packet's own (`skb->sk`): for what is sent, the sender's; for what was received, whose queue it stood in.
pub const SOCKET_OF_PACKET: u8 = 1;
/// The one that refused the packet (the tracepoint's `rx_sk`).
pub const SOCKET_RECEIVING: u8 = 2;

/// Flag of [`crate::Event::socket`], beside one of these: [`Extra::task`] is there.
pub const WITH_TASK: u8 = 0x80;

/// [`Socket::kind`]: a `struct sock` with all its members.
pub const SOCKET_FULL: u8 = 0;
/// A `struct inet_timewait_sock`: addresses alone.
pub const SOCKET_TIME_WAIT: u8 = 1;
/// A `struct request_sock`: addresses alone, and its listener's queues and identity.
pub const SOCKET_REQUEST: u8 = 2;

/// `include/linux/socket.h`.
pub const AF_INET: u16 = 2;
/// `include/linux/socket.h`.
pub const AF_INET6: u16 = 10;

/// States of TCP (`include/net/tcp_states.h`; RFC 9293); other protocols use some of them.
#[expect(missing_docs, reason = "they are RFC 9293's own names")]
pub mod tcp_state {
    pub const ESTABLISHED: u8 = 1;
    pub const SYN_SENT: u8 = 2;
    pub const SYN_RECV: u8 = 3;
    pub const FIN_WAIT1: u8 = 4;
    pub const FIN_WAIT2: u8 = 5;
    pub const TIME_WAIT: u8 = 6;
    pub const CLOSE: u8 = 7;
    pub const CLOSE_WAIT: u8 = 8;
    pub const LAST_ACK: u8 = 9;
    pub const LISTEN: u8 = 10;
    pub const CLOSING: u8 = 11;
    /// A request whose last ACK is awaited: a small socket.
    pub const NEW_SYN_RECV: u8 = 12;
}

/// A socket; what its kind or the kernel lacks is zero.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Socket {
    /// `sk->__sk_common.skc_cookie`: the kernel's number for it, 0 before anyone asked for one.
    pub cookie: u64,
    /// Inode number in sockfs; 0 when no process holds it (any more, or yet).
    pub inode: u64,
    /// Id of its cgroup (v2): the inode number of the cgroup's folder.
    pub cgroup: u64,
    /// `sk->sk_backlog.rmem_alloc`: bytes in the receive queue, with overhead.
    pub receive_queue: u32,
    /// `sk->sk_rcvbuf`.
    pub receive_limit: u32,
    /// `sk->sk_wmem_queued`: bytes in TCP's send queue.
    pub send_queued: u32,
    /// `sk->sk_wmem_alloc`: bytes on their way out, and one.
    pub send_allocated: u32,
    /// `sk->sk_sndbuf`.
    pub send_limit: u32,
    /// `sk->sk_backlog.len`: bytes that came while a process had the socket locked.
    pub backlog: u32,
    /// `sk->sk_ack_backlog`: connections that wait to be accepted.
    pub accept_queue: u32,
    /// `sk->sk_max_ack_backlog`.
    pub accept_limit: u32,
    /// `sk->sk_drops`: what the socket itself has dropped so far.
    pub drops: u32,
    /// `AF_*`.
    pub family: u16,
    /// `IPPROTO_*`; for sockets that aren't of the internet, what their family makes of it.
    pub protocol: u16,
    /// Local port, host byte order.
    pub local_port: u16,
    /// Remote port, host byte order; 0 when it isn't connected.
    pub remote_port: u16,
    /// `TCP_ESTABLISHED` (1) and so on (`include/net/tcp_states.h`); other protocols use some of them.
    pub state: u8,
    /// [`SOCKET_FULL`], [`SOCKET_TIME_WAIT`] or [`SOCKET_REQUEST`].
    pub kind: u8,
    /// Zero.
    pub reserved: [u8; 2],
    /// Local address in network byte order, an IPv4 address in the first four bytes.
    pub local: [u8; 16],
    /// Remote address, likewise.
    pub remote: [u8; 16],
}

/// The task that was on the CPU, which has nothing to do with the packet unless it sends.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Task {
    /// Process id (what the kernel calls tgid), as the host sees it; 0 for the idle task.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// `task_struct.comm`.
    pub command: [u8; 16],
}

/// What stands at the end of an event's record when more than the packet is asked for.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extra {
    /// Whose packet it was.
    pub socket: Socket,
    /// What ran.
    pub task: Task,
}
