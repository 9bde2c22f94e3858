//! TCP's own events: segments sent again, resets, states, ends of connections; and what was counted of them.

mod event;
mod histogram;
mod summary;

pub use event::{CloseKind, Connection, KnownBy, Opened, Retransmit, Segment, TcpEvent, TcpKind, TcpOwner};
pub use histogram::Histogram;
pub use netdrop_common::tcp::{TcpNumbers, TcpTotal};
pub use summary::{
    HostCounts, RttRow, RttWhat, TcpAccounts, TcpCount, TcpSummary, TransitionRow, state_name,
};
