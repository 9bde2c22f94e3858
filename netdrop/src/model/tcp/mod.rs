//! TCP's own events: segments sent again, resets, states, ends of connections; and what was counted of them.

mod event;
mod histogram;
mod payload;
mod queues;
mod summary;

pub use event::{CloseKind, Connection, KnownBy, Opened, Retransmit, Segment, TcpEvent, TcpKind, TcpOwner};
pub use histogram::{Histogram, quantile_bucket};
pub use netdrop_common::tcp::{TcpNumbers, TcpTotal};
pub use payload::Payload;
pub use queues::{DEPTH_BUCKETS, Depth, ListenerRow, NetnsPorts, PortPressure, TcpQueues};
pub use summary::{
    HostCounts, RttRow, RttWhat, TcpAccounts, TcpCount, TcpSummary, TransitionRow, state_name,
};
