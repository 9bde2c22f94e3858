//! What netdrop speaks of, as plain data: no I/O, no kernel, no formats.

mod accounts;
mod attribution;
mod explanation;
mod host;
mod owner;
mod packet;
mod place;
mod protocol;
mod record;
mod socket;
mod summary;
pub mod tcp;
mod time;
mod verdict;

pub use accounts::Accounts;
pub use attribution::{
    Attribution, BpfProgram, Certainty, CounterSource, DeviceCount, Direction, RuleHit, RuleSystem,
    RuleVerdict, VerdictCount,
};
pub use explanation::Explanation;
pub use host::Host;
pub use owner::{Container, Holding, Owner, OwnerName, Pod, Process, Runtime, Workload};
pub use packet::{Endpoint, Family, Gso, Packet, Protocol, TcpFlags, Vlan};
pub use place::{Device, Netns, Reason, Site, Source, Trap};
pub use protocol::{NoFlag, NoProtocol};
pub use record::{Context, Drop, Header};
pub use socket::{CpuTask, Queues, Socket, SocketKind, Whose};
pub(crate) use socket::{IPPROTO_MPTCP, IPPROTO_TCP};
pub use summary::{CountKey, Counts, Row, Summary};
pub use time::Timestamp;
pub use verdict::{Framework, Hook, Table, TableFamily, Verdict};
