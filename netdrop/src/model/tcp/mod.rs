//! TCP's own events: segments sent again, resets, states, ends of connections; and what was counted of them.

mod closes;
mod event;
mod names;
mod sum;
mod summary;

pub use closes::Closes;
pub use event::{CloseKind, Connection, KnownBy, Opened, Retransmit, Segment, TcpEvent, TcpKind, TcpOwner};
pub use names::{Counted, FAILED};
pub use netdrop_common::tcp::{TcpNumbers, TcpTotal};
pub use summary::{
    Histogram, HostCounts, RttRow, RttWhat, TcpAccounts, TcpCount, TcpSummary, TransitionRow, state_name,
};
