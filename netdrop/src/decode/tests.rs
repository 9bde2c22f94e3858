//! Packets as they come from the ring, and bytes that don't.

use std::net::IpAddr;

use netdrop_common::{HEADER_AT_NETWORK, HEADER_NONE, bytes_of};
use proptest::prelude::*;

use super::*;
use crate::model::{Endpoint, Family, TcpFlags};

const ETHERNET: [u8; 14] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00];

fn ipv4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let [high, low] = fragment.to_be_bytes();
    let mut bytes = vec![0x45, 0, 0, 0, 0, 0, high, low, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    bytes.extend(payload);
    bytes
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0, 0, 0, next, 7];
    bytes.extend("fd00::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
    bytes.extend("fd00::2".parse::<std::net::Ipv6Addr>().unwrap().octets());
    bytes.extend(payload);
    bytes
}

const UDP_HEADER: [u8; 8] = [0x10, 0x92, 0, 53, 0, 8, 0, 0];
const TCP_HEADER: [u8; 20] = [0x10, 0x92, 0, 80, 0, 0, 1, 0, 0, 0, 0, 0, 0x50, 0x12, 0, 0, 0, 0, 0, 0];

fn at_network(ethertype: u16, packet: &[u8]) -> Packet {
    decoded(
        Event { key: key(ethertype), header_at: HEADER_AT_NETWORK, network_offset: 0, ..Event::default() },
        packet,
    )
}

fn key(ethertype: u16) -> CounterKey {
    CounterKey { site: 1, ethertype, ..CounterKey::default() }
}

fn decoded(event: Event, header: &[u8]) -> Packet {
    let event = Event { header_length: header.len().try_into().unwrap(), ..event };
    let bytes = [bytes_of(&event), header].concat();
    decode(&bytes).unwrap().packet
}

fn endpoint(address: &str, port: impl Into<Option<u16>>) -> Endpoint {
    Endpoint { address: address.parse::<IpAddr>().unwrap(), port: port.into() }
}

#[test]
fn udp_over_ipv4() {
    let packet = at_network(0x0800, &ipv4(17, 0, &UDP_HEADER));
    assert_eq!(packet.family, Some(Family::Ipv4));
    assert_eq!((packet.ttl, packet.protocol.ip), (Some(64), Some(17)));
    assert_eq!(packet.source, Some(endpoint("10.0.0.1", 4242)));
    assert_eq!(packet.destination, Some(endpoint("10.0.0.2", 53)));
}

#[test]
fn tcp_over_ipv6() {
    let packet = at_network(0x86dd, &ipv6(6, &TCP_HEADER));
    assert_eq!((packet.family, packet.ttl), (Some(Family::Ipv6), Some(7)));
    assert_eq!(packet.destination, Some(endpoint("fd00::2", 80)));
    assert_eq!((packet.tcp_flags, packet.tcp_sequence), (Some(TcpFlags(0x12)), Some(256)));
}

#[test]
fn ports_are_read_from_a_truncated_tcp_header() {
    let packet = at_network(0x0800, &ipv4(6, 0, &TCP_HEADER[..4]));
    assert_eq!(packet.destination, Some(endpoint("10.0.0.2", 80)));
    assert_eq!((packet.tcp_flags, packet.tcp_sequence), (None, None));
}

#[test]
fn later_fragments_have_no_ports() {
    let first = at_network(0x0800, &ipv4(17, 0x2000, &UDP_HEADER));
    assert_eq!((first.fragment_offset, first.source), (Some(0), Some(endpoint("10.0.0.1", 4242))));
    let later = at_network(0x0800, &ipv4(17, 185, &UDP_HEADER));
    assert_eq!((later.fragment_offset, later.source), (Some(1480), Some(endpoint("10.0.0.1", None))));
}

#[test]
fn ipv6_extension_headers_are_followed() {
    let hop_by_hop = [58, 0, 5, 2, 0, 0, 1, 0];
    let packet = at_network(0x86dd, &ipv6(0, &[&hop_by_hop[..], &[143, 0, 0, 0]].concat()));
    assert_eq!((packet.protocol.ip, packet.icmp), (Some(58), Some((143, 0))));
    let fragment = [17, 0, 0x05, 0xc8, 0, 0, 0, 1];
    let packet = at_network(0x86dd, &ipv6(44, &[&fragment[..], &UDP_HEADER].concat()));
    assert_eq!((packet.fragment_offset, packet.source), (Some(1480), Some(endpoint("fd00::1", None))));
}

#[test]
fn arp_tells_who_asks_for_whom() {
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    arp.extend([10, 0, 0, 9]);
    let packet = at_network(0x0806, &arp);
    assert_eq!((packet.family, packet.arp_operation), (Some(Family::Arp), Some(1)));
    assert_eq!(packet.destination, Some(endpoint("10.0.0.9", None)));
}

#[test]
fn vlan_tags_of_metadata_and_frame_in_their_order() {
    let mut frame = ETHERNET.to_vec();
    frame.splice(12.., [0x81, 0x00, 0x60, 0x07, 0x08, 0x00]);
    frame.extend(ipv4(17, 0, &UDP_HEADER));
    let event = Event {
        key: key(0x0800),
        header_at: HEADER_AT_LINK,
        network_offset: 18,
        vlan_protocol: 0x88a8,
        vlan_tci: 100,
        ..Event::default()
    };
    let packet = decoded(event, &frame);
    let vlan = |id, priority| Some(Vlan { id, priority });
    assert_eq!(packet.vlans, [vlan(100, 0), vlan(7, 3)]);
    assert_eq!(packet.destination_mac, Some([2, 0, 0, 0, 0, 1]));
    assert_eq!(packet.source, Some(endpoint("10.0.0.1", 4242)));
}

#[test]
fn a_frame_without_a_network_header_is_read_from_its_link_layer() {
    let frame = [&ETHERNET[..], &ipv4(17, 0, &UDP_HEADER)].concat();
    let event = Event { header_at: HEADER_AT_LINK, network_offset: OFFSET_NONE, ..Event::default() };
    let packet = decoded(event, &frame);
    assert_eq!(packet.protocol, Protocol { ethertype: 0x0800, ip: Some(17) });
    assert_eq!(packet.destination, Some(endpoint("10.0.0.2", 53)));
}

#[test]
fn without_a_header_the_counter_still_tells_the_protocol() {
    let key = CounterKey { ip_protocol: 6, flags: KEY_HAS_IP_PROTOCOL, ..key(0x0800) };
    let event = Event {
        key,
        length: 1500,
        gso_size: 1448,
        gso_segments: 9,
        header_at: HEADER_NONE,
        ..Event::default()
    };
    let packet = decoded(event, &[]);
    assert_eq!((packet.length, packet.protocol), (1500, Protocol { ethertype: 0x0800, ip: Some(6) }));
    assert_eq!((packet.family, packet.gso), (None, Some(Gso { size: 1448, segments: 9 })));
}

#[test]
fn events_that_are_none() {
    assert_eq!(decode(&[0; 63]), Err(DecodeError::TooShort(63)));
    let event = Event { header_length: 9, ..Event::default() };
    let bytes = [bytes_of(&event), &[0; 8]].concat();
    assert_eq!(decode(&bytes), Err(DecodeError::HeaderTooShort { said: 9, found: 8 }));
}

proptest! {
    #[test]
    fn any_bytes_give_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn any_packet_keeps_what_the_event_says(
        header in proptest::collection::vec(any::<u8>(), 0..200),
        at in 0..3_u8,
        network_offset in prop_oneof![Just(OFFSET_NONE), 0..64_u16],
        length: u32,
        ethertype in prop_oneof![Just(0), Just(0x0800), Just(0x86dd), Just(0x0806), any::<u16>()],
    ) {
        let event = Event { key: key(ethertype), header_at: at, network_offset, length, ..Event::default() };
        prop_assert_eq!(decoded(event, &header).length, length);
    }
}
