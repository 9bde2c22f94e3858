//! Frames made by hand, so that each field can be wrong on purpose.

use std::net::{Ipv4Addr, Ipv6Addr};

/// An Ethernet address.
pub type Mac = [u8; 6];

/// An Ethernet II header, with one 802.1Q tag if `vlan` is set.
#[derive(Clone, Copy)]
pub struct Ethernet {
    pub destination: Mac,
    pub source: Mac,
    pub vlan: Option<u16>,
    pub ethertype: u16,
}

impl Ethernet {
    /// The frame around `payload`.
    pub fn wrap(&self, payload: &[u8]) -> Vec<u8> {
        let mut frame = [self.destination, self.source].concat();
        if let Some(id) = self.vlan {
            frame.extend([0x81, 0x00]);
            frame.extend(id.to_be_bytes());
        }
        frame.extend(self.ethertype.to_be_bytes());
        frame.extend(payload);
        frame
    }
}

/// What transport checksums cover besides the segment itself.
pub trait Ip {
    /// The pseudo header of RFC 9293 section 3.1 or RFC 8200 section 8.1.
    fn pseudo_header(&self, protocol: u8, length: usize) -> Vec<u8>;
    /// The packet around `payload`.
    fn wrap(&self, protocol: u8, payload: &[u8]) -> Vec<u8>;
}

/// An IPv4 header without options (RFC 791).
#[derive(Clone, Copy)]
pub struct Ipv4 {
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub ttl: u8,
    pub identification: u16,
    /// The 16 bits of flags and fragment offset.
    pub fragment: u16,
}

impl Ipv4 {
    /// Marks a packet as having met congestion (RFC 3168: both bits of ECN), header checksum right again.
    pub fn congested(mut packet: Vec<u8>) -> Vec<u8> {
        packet[1] |= 0b11;
        packet[10..12].fill(0);
        let sum = checksum(&packet[..20]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet
    }
}

impl Ip for Ipv4 {
    fn pseudo_header(&self, protocol: u8, length: usize) -> Vec<u8> {
        let mut bytes = [self.source.octets(), self.destination.octets()].concat();
        bytes.extend([0, protocol]);
        bytes.extend(length_16(length));
        bytes
    }

    fn wrap(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0];
        packet.extend(length_16(20 + payload.len()));
        packet.extend(self.identification.to_be_bytes());
        packet.extend(self.fragment.to_be_bytes());
        packet.extend([self.ttl, protocol, 0, 0]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        let sum = checksum(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(payload);
        packet
    }
}

/// An IPv6 header (RFC 8200).
#[derive(Clone, Copy)]
pub struct Ipv6 {
    pub source: Ipv6Addr,
    pub destination: Ipv6Addr,
    pub hop_limit: u8,
}

impl Ip for Ipv6 {
    fn pseudo_header(&self, protocol: u8, length: usize) -> Vec<u8> {
        let mut bytes = [self.source.octets(), self.destination.octets()].concat();
        bytes.extend([0, 0]);
        bytes.extend(length_16(length));
        bytes.extend([0, 0, 0, protocol]);
        bytes
    }

    fn wrap(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend(length_16(payload.len()));
        packet.extend([protocol, self.hop_limit]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.extend(payload);
        packet
    }
}

/// A UDP header (RFC 768).
#[derive(Clone, Copy)]
pub struct Udp {
    pub source: u16,
    pub destination: u16,
}

impl Udp {
    /// The IP packet around this datagram, checksum right.
    pub fn packet(self, ip: &impl Ip, payload: &[u8]) -> Vec<u8> {
        let mut segment = [self.source.to_be_bytes(), self.destination.to_be_bytes()].concat();
        segment.extend(length_16(8 + payload.len()));
        segment.extend([0, 0]);
        segment.extend(payload);
        seal(ip, libc::IPPROTO_UDP, segment, 6)
    }
}

/// A TCP header (RFC 9293), with one 16-bit window.
#[derive(Clone, Copy)]
pub struct Tcp {
    pub source: u16,
    pub destination: u16,
    pub sequence: u32,
    pub acknowledgment: u32,
    pub flags: u8,
}

impl Tcp {
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const ACK: u8 = 0x10;

    /// The IP packet around this segment, checksum right.
    pub fn packet(&self, ip: &impl Ip, payload: &[u8]) -> Vec<u8> {
        self.packet_with(&[], ip, payload)
    }

    /// As [`Self::packet`], with options: whole words, as the header's length counts them.
    pub fn packet_with(&self, options: &[u8], ip: &impl Ip, payload: &[u8]) -> Vec<u8> {
        assert!(options.len().is_multiple_of(4) && options.len() <= 40, "options are up to ten words");
        let words = u8::try_from(5 + options.len() / 4).expect("at most fifteen");
        let mut segment = [self.source.to_be_bytes(), self.destination.to_be_bytes()].concat();
        segment.extend(self.sequence.to_be_bytes());
        segment.extend(self.acknowledgment.to_be_bytes());
        segment.extend([words << 4, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend(options);
        segment.extend(payload);
        seal(ip, libc::IPPROTO_TCP, segment, 16)
    }
}

/// An echo request (RFC 792, RFC 4443).
#[derive(Clone, Copy)]
pub struct Icmp;

impl Icmp {
    /// An `ICMP` echo request; its checksum has no pseudo header.
    pub fn echo_v4(ip: &Ipv4) -> Vec<u8> {
        let mut message = vec![8, 0, 0, 0, 0, 1, 0, 1];
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        ip.wrap(1, &message)
    }

    /// An `ICMPv6` echo request.
    pub fn echo_v6(ip: &Ipv6) -> Vec<u8> {
        Self::message_v6(ip, vec![128, 0, 0, 0, 0, 1, 0, 1])
    }

    /// The packet around any `ICMPv6` message, checksum right.
    pub fn message_v6(ip: &Ipv6, message: Vec<u8>) -> Vec<u8> {
        seal(ip, libc::IPPROTO_ICMPV6, message, 2)
    }
}

/// Flips all bits of one byte: `offset` counts from the packet's end when negative.
pub fn corrupt(mut packet: Vec<u8>, offset: isize) -> Vec<u8> {
    let at = if offset < 0 { packet.len().saturating_add_signed(offset) } else { offset.unsigned_abs() };
    packet[at] ^= 0xff;
    packet
}

/// Puts the transport checksum at `offset` of the segment and the IP header before it.
fn seal(ip: &impl Ip, protocol: libc::c_int, mut segment: Vec<u8>, offset: usize) -> Vec<u8> {
    let protocol = u8::try_from(protocol).expect("IP protocol numbers are bytes");
    let mut covered = ip.pseudo_header(protocol, segment.len());
    covered.extend(&segment);
    let sum = checksum(&covered);
    segment[offset..offset + 2].copy_from_slice(&sum.to_be_bytes());
    ip.wrap(protocol, &segment)
}

fn length_16(length: usize) -> [u8; 2] {
    u16::try_from(length).expect("test packets are short").to_be_bytes()
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded above")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_rfc_1071() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn a_sealed_datagram_sums_to_zero() {
        let ip = Ipv4 {
            source: Ipv4Addr::LOCALHOST,
            destination: Ipv4Addr::LOCALHOST,
            ttl: 64,
            identification: 1,
            fragment: 0,
        };
        let packet = Udp { source: 1, destination: 2 }.packet(&ip, b"odd");
        let mut covered = ip.pseudo_header(17, 11);
        covered.extend(&packet[20..]);
        assert_eq!((checksum(&packet[..20]), checksum(&covered)), (0, 0));
    }
}
