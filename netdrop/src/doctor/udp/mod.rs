//! UDP: its sockets' queues, the memory of all, and datagrams that nobody can have.

mod checksum;
mod input_errors;
mod memory;
mod no_port;
mod receive_queue;
mod send_buffer;

use super::{Check, Moved, Part, Place, Unread, Window};
use crate::counters::inet_sockets::{self, InetSocket, Which};

pub const CHECKS: &[Check] = &[
    receive_queue::CHECK,
    memory::CHECK,
    send_buffer::CHECK,
    checksum::CHECK,
    input_errors::CHECK,
    no_port::CHECK,
];

/// What a datagram of a full Ethernet frame takes of the limit (`skb->truesize`): the 2 KiB that most drivers and the loopback keep
/// its 1500 bytes in, `struct skb_shared_info` included, and 256 bytes of `struct sk_buff` (`__build_skb_around`, `net/core/skbuff.c`).
const TRUESIZE: u64 = 2304;

/// UDP's sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UdpSockets(pub Vec<InetSocket>);

impl Part for UdpSockets {
    const FROM: &'static str = "sock_diag (ss -uamn)";

    fn read(_: &Place) -> Result<Self, Unread> {
        inet_sockets::read(Which::Udp).map(Self).map_err(|error| Unread::io(Self::FROM, &error))
    }
}

/// A counter of UDP over IPv4 and, where there is one, over IPv6.
fn of_all(window: &Window, name: &str) -> Result<Vec<Moved>, Unread> {
    Ok([window.delta("Udp", name)?].into_iter().chain(window.delta("Udp6", name)).collect())
}

/// By how much it rose over both; nothing where the kernel hasn't got it.
fn rise(window: &Window, name: &str) -> u64 {
    of_all(window, name).unwrap_or_default().iter().map(Moved::by).sum()
}

/// Those of them that rose.
fn risen(counters: Vec<Moved>) -> impl Iterator<Item = Moved> {
    counters.into_iter().filter(|moved| moved.by() > 0)
}
