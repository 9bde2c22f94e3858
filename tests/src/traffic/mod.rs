//! Traffic of exactly known number and shape.

mod frame;
mod packet_socket;
mod raw_tcp;

pub use frame::{Ethernet, Icmp, Ip, Ipv4, Ipv6, Mac, Tcp, Udp, corrupt};
pub use packet_socket::PacketSocket;
pub use raw_tcp::{CLIENT, RawTcp};
