//! TCP's own events: segments sent again, resets, states, ends of connections; and what was counted of them.

mod event;
mod payload;
mod queues;
mod summary;

pub use event::{CloseKind, Connection, KnownBy, Opened, Retransmit, Segment, TcpEvent, TcpKind, TcpOwner};
pub use payload::Payload;
pub use queues::{DEPTH_BUCKETS, Depth, ListenerRow, NetnsPorts, PortPressure, TcpQueues};
pub use netdrop_common::tcp::{TcpNumbers, TcpTotal};
pub use summary::{
    Histogram, HostCounts, RttRow, RttWhat, TcpAccounts, TcpCount, TcpSummary, TransitionRow, quantile_bucket,
    state_name,
};
