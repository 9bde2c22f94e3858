//! What the programs on TCP's tracepoints and user space agree on.

mod connection;
mod counts;
mod event;
mod layout;
mod rtt;
mod settings;

pub use connection::TcpConnection;
pub use counts::{
    TCP_DETAILS, TCP_KINDS, TRANSITION_BUCKETS, TRANSITIONS, TcpAccounts, TcpCpu, TcpTotal, TcpTransition,
};
pub use event::{
    FLAG_ACTIVE, FLAG_FIN_RECEIVED, FLAG_FIN_SENT, FLAG_KNOWN_SINCE_BIRTH, FLAG_PASSIVE, FLAG_RESET_RECEIVED,
    FLAG_RESET_SENT, FLAG_WITHOUT_SOCKET, TASK_AT_CLOSE, TASK_AT_CONNECT, TASK_NONE, TcpEvent, TcpNumbers,
    kind, retransmit,
};
pub use layout::TcpLayout;
pub use rtt::{RTT_BUCKETS, RttHistogram, RttKey, SAMPLE, SRTT, by, rtt_bucket, rtt_bucket_start};
pub use settings::TcpSettings;
