//! UDP: its sockets' queues, and the memory of all.

mod memory;
mod receive_queue;

use super::{Check, Part, Place, Unread};
use crate::counters::inet_sockets::{self, InetSocket, Which};

pub const CHECKS: &[Check] = &[receive_queue::CHECK, memory::CHECK];

/// UDP's sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UdpSockets(pub Vec<InetSocket>);

impl Part for UdpSockets {
    const FROM: &'static str = "sock_diag (ss -uamn)";

    fn read(_: &Place) -> Result<Self, Unread> {
        inet_sockets::read(Which::Udp).map(Self).map_err(|error| Unread::io(Self::FROM, &error))
    }
}
