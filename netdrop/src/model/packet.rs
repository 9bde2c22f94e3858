//! What is known of a dropped packet.

use std::fmt;
use std::net::IpAddr;

/// Which kind of packet: the `EtherType` and, for IP, the protocol inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Protocol {
    /// `skb->protocol` in host byte order (IEEE 802 numbers); zero when unset.
    pub ethertype: u16,
    /// IPv4's protocol or IPv6's (first) next header (IANA protocol numbers); absent when it isn't IP or couldn't be read.
    pub ip: Option<u8>,
}

/// The address family of a packet's network header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// RFC 791.
    Ipv4,
    /// RFC 8200.
    Ipv6,
    /// RFC 826.
    Arp,
}

/// An address with, where the protocol has them, a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// TCP's, UDP's, SCTP's port; absent in fragments after the first and in other protocols.
    pub port: Option<u16>,
}

/// `10.0.0.1:80`, `[fd00::1]:80`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.port) {
            (IpAddr::V4(address), Some(port)) => write!(f, "{address}:{port}"),
            (IpAddr::V6(address), Some(port)) => write!(f, "[{address}]:{port}"),
            (address, None) => write!(f, "{address}"),
        }
    }
}

/// One VLAN tag, IEEE 802.1Q.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Vlan {
    /// The VLAN's number, 0 to 4095.
    pub id: u16,
    /// Priority code point, 0 to 7.
    pub priority: u8,
}

/// TCP's flag bits (RFC 9293, section 3.1), CWR in the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TcpFlags(pub u8);

/// A packet that stands for several on the wire (`skb_shared_info`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gso {
    /// Payload bytes of each segment.
    pub size: u16,
    /// How many segments; 0 when the kernel left it to the device.
    pub segments: u16,
}

/// What is known of a dropped packet: absent members could not be read or don't apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Packet {
    /// Bytes from the network header on (IP: the total length); `skb->len` where there is no network header.
    pub length: u32,
    /// Family of the network header.
    pub family: Option<Family>,
    /// `EtherType` and IP protocol (after IPv6's extension headers).
    pub protocol: Protocol,
    /// Source address and port.
    pub source: Option<Endpoint>,
    /// Destination address and port.
    pub destination: Option<Endpoint>,
    /// IPv4's TTL or IPv6's hop limit.
    pub ttl: Option<u8>,
    /// IPv4's fragment offset in bytes, for fragments only.
    pub fragment_offset: Option<u16>,
    /// TCP's flags.
    pub tcp_flags: Option<TcpFlags>,
    /// TCP's sequence number.
    pub tcp_sequence: Option<u32>,
    /// ICMP's or `ICMPv6`'s type and code.
    pub icmp: Option<(u8, u8)>,
    /// ARP's operation: 1 request, 2 reply.
    pub arp_operation: Option<u16>,
    /// VLAN tags, outermost first: the one in the skb's metadata, then those in the frame.
    pub vlans: [Option<Vlan>; 2],
    /// Source hardware address, when there is an Ethernet header.
    pub source_mac: Option<[u8; 6]>,
    /// Destination hardware address, when there is an Ethernet header.
    pub destination_mac: Option<[u8; 6]>,
    /// Set when the skb is a GSO or GRO packet.
    pub gso: Option<Gso>,
}
