//! One event, named.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use netdrop_common::tcp::{TcpNumbers, retransmit};

use super::super::{CpuTask, Device, Endpoint, Netns, Owner, Socket, TcpFlags, Timestamp};

/// One event of TCP's.
#[derive(Debug, Clone)]
pub struct TcpEvent {
    /// When.
    pub time: Timestamp,
    /// How many events of this kind and detail it stands for, itself included.
    pub weight: u32,
    /// What happened.
    pub kind: TcpKind,
    /// The side of this host; an IPv4 address also where an IPv6 socket speaks IPv4 (`::ffff:a.b.c.d`).
    pub local: Option<Endpoint>,
    /// The other side.
    pub remote: Option<Endpoint>,
    /// Whether an IPv6 socket speaks IPv4.
    pub v4_mapped: bool,
    /// The network namespace.
    pub netns: Option<Arc<Netns>>,
    /// The route's device.
    pub device: Option<Arc<Device>>,
    /// The socket with its queues; absent where a reset answers a packet that no socket waits for.
    pub socket: Option<Socket>,
    /// Whose it is.
    pub owner: Option<TcpOwner>,
    /// What is known of the connection's past.
    pub connection: Connection,
    /// What TCP knows; absent without a whole socket.
    pub numbers: Option<TcpNumbers>,
    /// The CPU.
    pub cpu: u16,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TcpKind {
    /// A segment was sent again.
    Retransmit {
        /// What made TCP do it.
        by: Retransmit,
        /// The segment.
        segment: Segment,
        /// How often in a row: timeouts, or the SYN-ACK's earlier copies.
        attempt: u32,
        /// The state that the socket is in.
        state: u8,
        /// The errno for which it couldn't be sent; absent when it was, and where the kernel doesn't say (before 6.16).
        failed: Option<u32>,
    },
    /// A reset was sent.
    ResetSent {
        /// The kernel's reason, without `SK_RST_REASON_`; absent before 6.10.
        reason: Option<Arc<str>>,
        /// The state that the socket was in; absent without one.
        state: Option<u8>,
        /// The packet that it answers; absent when a process or a timer made it.
        answers: Option<Segment>,
    },
    /// A reset was received.
    ResetReceived {
        /// The state that the socket was in.
        state: u8,
    },
    /// A socket went from one state into another.
    State {
        /// From.
        from: u8,
        /// To.
        to: u8,
        /// How long it was in the first; absent when that wasn't seen.
        spent: Option<Duration>,
    },
    /// A connection has ended (`TCP_CLOSE`).
    Close {
        /// How.
        kind: CloseKind,
        /// The state before.
        from: u8,
        /// `sk_err`; absent without an error.
        error: Option<u32>,
    },
}

/// A segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segment {
    /// Sequence number.
    pub sequence: u32,
    /// Bytes of payload.
    pub length: u32,
    /// How many segments of the wire it is.
    pub segments: u32,
    /// TCP's flags.
    pub flags: TcpFlags,
}

/// What made TCP send a segment again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Retransmit {
    /// The retransmission timer, and what follows until all is acknowledged (RFC 6298).
    Rto,
    /// Fast retransmit: duplicate or selective acknowledgements (RFC 5681, RFC 6675, RFC 8985).
    Fast,
    /// Tail loss probe (RFC 8985, section 7).
    LossProbe,
    /// A SYN without an answer.
    Syn,
    /// A listener's SYN-ACK without an answer.
    SynAck,
    /// Can't be told.
    Other,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CloseKind {
    /// Both sides sent their FIN.
    Fin,
    /// The other side sent a reset.
    ResetReceived,
    /// This side sent a reset.
    ResetSent,
    /// No answer came in time.
    Timeout,
    /// It never opened: the other side refused (a reset to the SYN).
    Refused,
    /// It never opened: no answer to the SYN.
    NoAnswer,
    /// It never opened: given up by this side, or unreachable (`error` tells).
    NotOpened,
    /// Ended by this side without a word, or can't be told.
    Other,
}

/// Who opened it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Opened {
    /// This side: `connect(2)`.
    Active,
    /// The other side.
    Passive,
}

/// What is known of a connection's past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each can have been seen or not, whatever the others are")]
pub struct Connection {
    /// Whether its first state was seen: else it is older than netdrop's start, or found no room in the kernel's table.
    pub known_since_birth: bool,
    /// Who opened it; absent when that wasn't seen.
    pub opened: Option<Opened>,
    /// Since its first state.
    pub age: Option<Duration>,
    /// Since it was established; absent when it never was.
    pub established: Option<Duration>,
    /// Since it got into the state that it is in, or leaves; absent when that wasn't seen.
    pub in_state: Option<Duration>,
    /// A reset was sent for it.
    pub reset_sent: bool,
    /// One was received.
    pub reset_received: bool,
    /// The other side's FIN has come.
    pub fin_received: bool,
    /// A FIN was sent.
    pub fin_sent: bool,
}

/// Whose a connection is.
#[derive(Debug, Clone)]
pub struct TcpOwner {
    /// The processes, the container.
    pub owner: Arc<Owner>,
    /// How that is known.
    pub by: KnownBy,
}

/// How an owner is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KnownBy {
    /// It has the socket open.
    Socket,
    /// It called `connect(2)`.
    Connect,
    /// It closed the connection.
    Close,
    /// It has the listener open that the connection came to.
    Listener,
}

impl KnownBy {
    /// As lines tell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Connect => "connect",
            Self::Close => "close",
            Self::Listener => "listener",
        }
    }
}

impl Retransmit {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Rto, Self::Fast, Self::LossProbe, Self::Syn, Self::SynAck, Self::Other];

    /// As lines tell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rto => "rto",
            Self::Fast => "fast",
            Self::LossProbe => "tlp",
            Self::Syn => "syn",
            Self::SynAck => "syn-ack",
            Self::Other => "other",
        }
    }
}

impl Retransmit {
    /// By the detail that the kernel's program counts it under (netdrop-common's `retransmit`), whether it could be sent or not.
    pub const fn of_detail(detail: u8) -> Self {
        match detail & !retransmit::FAILED {
            retransmit::RTO => Self::Rto,
            retransmit::FAST => Self::Fast,
            retransmit::LOSS_PROBE => Self::LossProbe,
            retransmit::SYN => Self::Syn,
            retransmit::SYN_ACK => Self::SynAck,
            _ => Self::Other,
        }
    }
}

impl CloseKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Fin,
        Self::ResetReceived,
        Self::ResetSent,
        Self::Timeout,
        Self::Refused,
        Self::NoAnswer,
        Self::NotOpened,
        Self::Other,
    ];

    /// As lines tell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::ResetReceived => "reset-received",
            Self::ResetSent => "reset-sent",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::NoAnswer => "no-answer",
            Self::NotOpened => "not-opened",
            Self::Other => "other",
        }
    }

    /// Whether it was never established.
    pub const fn never_opened(self) -> bool {
        matches!(self, Self::Refused | Self::NoAnswer | Self::NotOpened)
    }
}

impl Opened {
    /// As lines tell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
        }
    }
}

impl fmt::Display for Retransmit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for CloseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a task's name and number are worth where `/proc` has nothing (any more).
impl From<CpuTask> for super::super::OwnerName {
    fn from(task: CpuTask) -> Self {
        Self { command: task.name().into(), pid: task.pid }
    }
}
