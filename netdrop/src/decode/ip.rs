//! Network headers: IPv4 (RFC 791), IPv6 (RFC 8200), ARP (RFC 826).

use std::net::IpAddr;

use netdrop_common::protocol::{DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ROUTING};

use crate::model::{Endpoint, Family, Packet};

use super::{bytes_at, transport, u16_at};

const ETH_P_IP: u16 = 0x0800;
const ETH_P_ARP: u16 = 0x0806;
const ETH_P_IPV6: u16 = 0x86dd;

const IPV6_HEADER_BYTES: usize = 40;
/// More extension headers than this are not followed.
const EXTENSIONS_MAX: usize = 8;

/// Reads the network header and what follows it into `packet`.
pub fn decode(ethertype: u16, header: &[u8], packet: &mut Packet) {
    let version = header.first().map(|byte| byte >> 4);
    // None: the header is shorter than it should be; what came before that is kept.
    let _ = match (ethertype, version) {
        (ETH_P_IP | 0, Some(4)) => ipv4(header, packet),
        (ETH_P_IPV6 | 0, Some(6)) => ipv6(header, packet),
        (ETH_P_ARP, _) => arp(header, packet),
        _ => None,
    };
}

fn ipv4(header: &[u8], packet: &mut Packet) -> Option<()> {
    const FRAGMENT_OFFSET: u16 = 0x1fff;
    const MORE_FRAGMENTS: u16 = 0x2000;
    packet.family = Some(Family::Ipv4);
    if packet.protocol.ethertype == 0 {
        packet.protocol.ethertype = ETH_P_IP;
    }
    let fragment = u16_at(header, 6)?;
    let offset = fragment & FRAGMENT_OFFSET;
    if offset != 0 || fragment & MORE_FRAGMENTS != 0 {
        packet.fragment_offset = Some(offset * 8);
    }
    packet.ttl = Some(*header.get(8)?);
    let protocol = *header.get(9)?;
    packet.protocol.ip = Some(protocol);
    addresses(IpAddr::from(bytes_at::<4>(header, 12)?), IpAddr::from(bytes_at::<4>(header, 16)?), packet);
    let length = usize::from(header[0] & 0x0f) * 4;
    if offset == 0 {
        transport::decode(protocol, header.get(length..)?, packet);
    }
    Some(())
}

fn ipv6(header: &[u8], packet: &mut Packet) -> Option<()> {
    packet.family = Some(Family::Ipv6);
    if packet.protocol.ethertype == 0 {
        packet.protocol.ethertype = ETH_P_IPV6;
    }
    let next = *header.get(6)?;
    packet.ttl = Some(*header.get(7)?);
    addresses(IpAddr::from(bytes_at::<16>(header, 8)?), IpAddr::from(bytes_at::<16>(header, 24)?), packet);
    upper_layer(next, header, packet)
}

/// Follows the extension headers to the upper layer (RFC 8200, section 4).
fn upper_layer(first: u8, header: &[u8], packet: &mut Packet) -> Option<()> {
    const FRAGMENT_OFFSET: u16 = 0xfff8;
    let (mut next, mut at) = (first, IPV6_HEADER_BYTES);
    for _ in 0..EXTENSIONS_MAX {
        if !matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS) {
            break;
        }
        let [following, length] = bytes_at(header, at)?;
        if next == FRAGMENT {
            packet.fragment_offset = Some(u16_at(header, at + 2)? & FRAGMENT_OFFSET);
            at += 8;
        } else {
            at += 8 + 8 * usize::from(length);
        }
        next = following;
    }
    packet.protocol.ip = Some(next);
    if packet.fragment_offset.unwrap_or(0) == 0 {
        transport::decode(next, header.get(at..)?, packet);
    }
    Some(())
}

fn arp(header: &[u8], packet: &mut Packet) -> Option<()> {
    packet.family = Some(Family::Arp);
    packet.arp_operation = Some(u16_at(header, 6)?);
    let [hardware_bytes, protocol_bytes] = bytes_at(header, 4)?;
    // Addresses of other kinds than IPv4 over Ethernet aren't told.
    if (hardware_bytes, protocol_bytes) == (6, 4) {
        addresses(IpAddr::from(bytes_at::<4>(header, 14)?), IpAddr::from(bytes_at::<4>(header, 24)?), packet);
    }
    Some(())
}

fn addresses(source: IpAddr, destination: IpAddr, packet: &mut Packet) {
    packet.source = Some(Endpoint { address: source, port: None });
    packet.destination = Some(Endpoint { address: destination, port: None });
}
