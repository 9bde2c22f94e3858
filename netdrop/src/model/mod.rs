//! What netdrop speaks of, as plain data: no I/O, no kernel, no formats.

mod accounts;
mod attribution;
mod packet;
mod place;
mod protocol;
mod record;
mod summary;
mod time;

pub use accounts::Accounts;
pub use attribution::{
    Attribution, BpfProgram, Certainty, CounterSource, DeviceCount, Direction, RuleHit, RuleSystem,
    RuleVerdict,
};
pub use packet::{Endpoint, Family, Gso, Packet, Protocol, TcpFlags, Vlan};
pub use place::{Device, Netns, Reason, Site};
pub use record::Drop;
pub use summary::{CountKey, Counts, Row, Summary};
pub use time::Timestamp;
