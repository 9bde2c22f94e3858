//! One event of TCP's.

use crate::{Socket, Task};

/// [`TcpEvent::kind`]s, which are also the first index of [`crate::tcp::TcpCpu::totals`].
pub mod kind {
    /// `tcp:tcp_retransmit_skb`; the detail is one of [`super::retransmit`].
    pub const RETRANSMIT: u8 = 0;
    /// `tcp:tcp_retransmit_synack`: a listener's answer to a SYN again; the detail is [`super::retransmit::SYN_ACK`].
    pub const RETRANSMIT_SYN_ACK: u8 = 1;
    /// `tcp:tcp_send_reset`; the detail is the kernel's `enum sk_rst_reason` (6.10 on), [`crate::tcp::TCP_DETAILS`] - 1 where
    /// it tells none or a number beyond.
    pub const RESET_SENT: u8 = 2;
    /// `tcp:tcp_receive_reset`; the detail is the socket's state before.
    pub const RESET_RECEIVED: u8 = 3;
    /// `sock:inet_sock_set_state`; the detail is the new state.
    pub const STATE: u8 = 4;
    /// The same, to `TCP_CLOSE`: a connection's end; the detail is the state before.
    pub const CLOSE: u8 = 5;
}

/// What made TCP send a segment again: the detail of [`kind::RETRANSMIT`] and [`kind::RETRANSMIT_SYN_ACK`].
pub mod retransmit {
    /// Can't be told.
    pub const OTHER: u8 = 0;
    /// The retransmission timer, and what is sent again after it (`TCP_CA_Loss`; RFC 6298).
    pub const RTO: u8 = 1;
    /// Fast retransmit (`TCP_CA_Recovery`; RFC 5681, RFC 6675, RFC 8985).
    pub const FAST: u8 = 2;
    /// Tail loss probe (RFC 8985, section 7).
    pub const LOSS_PROBE: u8 = 3;
    /// A SYN.
    pub const SYN: u8 = 4;
    /// A listener's SYN-ACK.
    pub const SYN_ACK: u8 = 5;
    /// Added to one of these: it couldn't be sent (the tracepoint tells it from 6.16 on). It is no retransmission, so these details
    /// aren't among them; [`super::TcpEvent::failed`] says why.
    pub const FAILED: u8 = 16;
}

/// [`TcpEvent::flags`]: the connection was opened from here (`TCP_SYN_SENT` was seen).
pub const FLAG_ACTIVE: u16 = 1;
/// It was opened from the other side.
pub const FLAG_PASSIVE: u16 = 1 << 1;
/// Its first state was seen: `started_ns` and what follows from it are known.
pub const FLAG_KNOWN_SINCE_BIRTH: u16 = 1 << 2;
/// A reset was sent for it, or follows: a process that aborts a connection closes it first (`tcp_close`, `tcp_disconnect`).
pub const FLAG_RESET_SENT: u16 = 1 << 3;
/// A reset was received.
pub const FLAG_RESET_RECEIVED: u16 = 1 << 4;
/// The other side's FIN has come (`SOCK_DONE`): it is one of `bytes_received`.
pub const FLAG_FIN_RECEIVED: u16 = 1 << 5;
/// A FIN was sent, or stands in the send queue (`sk_shutdown & SEND_SHUTDOWN` before the end).
pub const FLAG_FIN_SENT: u16 = 1 << 6;
/// There is no socket: the addresses are the packet's, seen from here (`local` is its destination).
pub const FLAG_WITHOUT_SOCKET: u16 = 1 << 7;

/// [`TcpEvent::task_at`]: no task is known.
pub const TASK_NONE: u8 = 0;
/// `task` called `connect(2)`.
pub const TASK_AT_CONNECT: u8 = 1;
/// `task` closed it, or shut it down.
pub const TASK_AT_CLOSE: u8 = 2;

/// What TCP knows of a connection (`struct tcp_sock`, include/linux/tcp.h; RFC 4898): zeros where a kernel lacks a member.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpNumbers {
    /// Payload sent, retransmissions included.
    pub bytes_sent: u64,
    /// Payload sent again.
    pub bytes_retransmitted: u64,
    /// Sequence space that the other side has acknowledged: payload, and SYN and FIN.
    pub bytes_acked: u64,
    /// Sequence space received in order: payload, and FIN.
    pub bytes_received: u64,
    /// Segments received.
    pub segments_in: u32,
    /// Segments sent.
    pub segments_out: u32,
    /// Segments with payload received.
    pub data_segments_in: u32,
    /// Segments with payload sent, retransmissions included.
    pub data_segments_out: u32,
    /// Segments sent again (`total_retrans`).
    pub retransmits: u32,
    /// Segments that were taken for lost (`lost`).
    pub lost: u32,
    /// Segments out (`packets_out`), taken for lost now (`lost_out`), acknowledged by SACK, sent again.
    pub packets_out: u32,
    /// See `packets_out`.
    pub lost_out: u32,
    /// See `packets_out`.
    pub sacked_out: u32,
    /// See `packets_out`.
    pub retransmitted_out: u32,
    /// Segments delivered.
    pub delivered: u32,
    /// Congestion window, segments.
    pub cwnd: u32,
    /// Slow-start threshold, segments; 0x7fffffff before there is one.
    pub ssthresh: u32,
    /// Smoothed round-trip time, µs (already divided by 8).
    pub srtt_us: u32,
    /// Its mean deviation, µs (already divided by 4).
    pub rttvar_us: u32,
    /// Smallest round-trip time of late, µs; all ones when there is none.
    pub min_rtt_us: u32,
    /// Round-trip time of the segment delivered last, µs (`rack.rtt_us`).
    pub rtt_us: u32,
    /// Maximum segment size, bytes (`mss_cache`).
    pub mss: u32,
    /// Segments and µs of the latest delivery rate (`rate_delivered`, `rate_interval_us`).
    pub rate_delivered: u32,
    /// See `rate_delivered`.
    pub rate_interval_us: u32,
    /// The other side's receive window, bytes.
    pub send_window: u32,
    /// Ours.
    pub receive_window: u32,
    /// First unacknowledged sequence number.
    pub snd_una: u32,
    /// Next sequence number to send.
    pub snd_nxt: u32,
    /// Next sequence number expected.
    pub rcv_nxt: u32,
    /// Reordering tolerated, segments, and how often any was seen.
    pub reordering: u32,
    /// See `reordering`.
    pub reordering_seen: u32,
    /// `icsk_ca_state`: 0 Open, 1 Disorder, 2 CWR, 3 Recovery, 4 Loss.
    pub ca_state: u8,
    /// Timeouts in a row (`icsk_retransmits`).
    pub timeouts: u8,
    /// Unanswered window or keep-alive probes (`icsk_probes_out`).
    pub probes: u8,
    /// `sk_shutdown`: 1 receive, 2 send.
    pub shutdown: u8,
    /// Congestion algorithm (`icsk_ca_ops->name`).
    pub algorithm: [u8; 16],
}

/// One event.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpEvent {
    /// `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// When the socket got its first state; 0 when it wasn't seen.
    pub started_ns: u64,
    /// When it was established; 0 when it wasn't, or wasn't seen.
    pub established_ns: u64,
    /// When it got into the state that it is in, or leaves; 0 when it wasn't seen.
    pub since_ns: u64,
    /// How many events of this kind and detail this one stands for: itself and those before it without details.
    pub weight: u32,
    /// Inode number of the network namespace; 0 when unknown.
    pub netns: u32,
    /// Index of the route's device; 0 when unknown.
    pub ifindex: u32,
    /// Of a reset sent: `enum sk_rst_reason`, all ones where the kernel tells none. Else 0.
    pub reason: u32,
    /// `sk->sk_err`, an errno; 0 without.
    pub error: u32,
    /// Sequence number of the segment sent again; of a reset that answers a packet, the packet's.
    pub sequence: u32,
    /// Bytes of payload of that segment.
    pub length: u32,
    /// Segments that it is made of (`tcp_gso_segs`), 1 at least.
    pub segments: u32,
    /// Of a retransmission that failed: the errno; 0 when it went out, and where the kernel doesn't say (before 6.16).
    pub failed: u32,
    /// Of a SYN-ACK: how often it was sent before, the first time included (`req->num_retrans` and one).
    pub attempt: u32,
    /// `FLAG_*`.
    pub flags: u16,
    /// CPU number.
    pub cpu: u16,
    /// One of [`kind`].
    pub kind: u8,
    /// See [`kind`].
    pub detail: u8,
    /// State before, for [`kind::STATE`] and [`kind::CLOSE`]; else the state that the socket is in.
    pub old_state: u8,
    /// State after, likewise.
    pub new_state: u8,
    /// How `task` is known: `TASK_*`.
    pub task_at: u8,
    /// TCP's flags of the packet that a reset answers; of a segment sent again, its own.
    pub tcp_flags: u8,
    /// Zero.
    pub reserved: [u8; 6],
    /// The socket; for a SYN-ACK the listener's queues and identity with the request's addresses.
    pub socket: Socket,
    /// See `task_at`.
    pub task: Task,
    /// What TCP knows.
    pub numbers: TcpNumbers,
}
