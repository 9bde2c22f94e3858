//! TCP's own events: segments sent again, resets, states, ends of connections; and what was counted of them.

mod closes;
mod event;
mod histogram;
mod names;
mod payload;
mod queues;
mod sum;
mod summary;

pub use closes::Closes;
pub use event::{CloseKind, Connection, KnownBy, Opened, Retransmit, Segment, TcpEvent, TcpKind, TcpOwner};
pub use histogram::{Histogram, quantile_bucket};
pub use names::{Counted, WITHOUT_REASON};
pub use netdrop_common::tcp::{TcpNumbers, TcpTotal};
pub use payload::Payload;
pub use queues::{DEPTH_BUCKETS, Depth, ListenerRow, NetnsPorts, PortPressure, TcpQueues};
pub use summary::{
    HostCounts, RttRow, RttWhat, TcpAccounts, TcpCount, TcpSummary, TransitionRow, state_name,
};
