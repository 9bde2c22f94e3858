//! TCP's own events: segments sent again, resets, states, ends of connections; and what was counted of them.

mod closes;
mod event;
mod names;
mod payload;
mod queues;
mod sum;
mod summary;

pub use closes::Closes;
pub use event::{CloseKind, Connection, KnownBy, Opened, Retransmit, Segment, TcpEvent, TcpKind, TcpOwner};
pub use names::Counted;
pub use netdrop_common::tcp::{TcpNumbers, TcpTotal};
pub use payload::Payload;
pub use queues::{DEPTH_BUCKETS, Depth, ListenerRow, NetnsPorts, PortPressure, TcpQueues};
pub use summary::{
    Histogram, HostCounts, RttRow, RttWhat, TcpAccounts, TcpCount, TcpSummary, TransitionRow,
    quantile_bucket, state_name,
};
