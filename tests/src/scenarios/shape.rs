//! What most scenarios have in common.

use std::net::Ipv4Addr;

use anyhow::Result;

use crate::lab::{Lab, RECEIVER, SENDER, Skip};
use crate::scenario::{At, Expect, KernelTypes, Stage};
use crate::traffic::{Ethernet, Ipv4, Ipv6, PacketSocket, Udp};

/// Five packets dropped in the receiver, come in by `r0`.
pub const EXPECT: Expect = Expect {
    count: 5,
    reasons: &[],
    since: "",
    functions: &[],
    at: At::Receiver,
    device: RECEIVER.device,
    protocol: "udp",
    packet: &[],
};

/// From sender to receiver.
pub const V4: Ipv4 =
    Ipv4 { source: SENDER.v4, destination: RECEIVER.v4, ttl: 64, identification: 0, fragment: 0 };

/// From sender to receiver.
pub const V6: Ipv6 = Ipv6 { source: SENDER.v6, destination: RECEIVER.v6, hop_limit: 64 };

/// Ports of a datagram that nobody waits for.
pub const UDP: Udp = Udp { source: 40_000, destination: 9 };

/// An address behind the router.
pub const BEHIND: Ipv4Addr = Ipv4Addr::new(10, 9, 1, 2);

/// Where frames carry IPv4 from sender to receiver.
pub const ETHER_V4: Ethernet =
    Ethernet { destination: RECEIVER.mac, source: SENDER.mac, vlan: None, ethertype: 0x0800 };

/// Where frames carry IPv6 from sender to receiver.
pub const ETHER_V6: Ethernet = Ethernet { ethertype: 0x86dd, ..ETHER_V4 };

/// The commonest stage: the sender puts `frame` on the wire `count` times.
pub fn inject(lab: Lab, frame: Vec<u8>, count: u64) -> Result<Stage> {
    let socket = PacketSocket::sender(lab.from(), SENDER.device)?;
    Stage::new(lab, move |_| socket.repeat(&frame, count))
}

/// [`inject`] of an IPv4 packet on a plain pair.
pub fn inject_v4(packet: &[u8], count: u64) -> Result<Stage> {
    inject(Lab::pair()?, ETHER_V4.wrap(packet), count)
}

/// [`inject`] of an IPv6 packet on a pair that speaks it.
pub fn inject_v6(packet: &[u8], count: u64) -> Result<Stage> {
    inject(Lab::pair_v6()?, ETHER_V6.wrap(packet), count)
}

/// Skips where the kernel doesn't know the reason, and then does something else with the packet: `what` it does.
pub fn only_where_known(reason: &str, what: &str) -> Result<()> {
    if KernelTypes::read()?.has_reason(reason) {
        return Ok(());
    }
    Err(Skip(format!("this kernel has no {reason}: {what}")).into())
}
