//! JSON lines, schema version 1: one object a line, absent means unknown.
//!
//! Written by hand, because a million events a second leave no time for an allocation or a look at a field's name:
//! every key is a constant, with the comma in front of it.

use std::net::IpAddr;

use super::{Clock, Output, append};
use crate::model::{Accounts, Device, Drop, Endpoint, Netns, Packet, Protocol, Reason, Row, Site, Summary};

/// The JSON Schema (2020-12) of every line.
pub const SCHEMA: &str = include_str!("../../schema/netdrop-1.schema.json");

/// The JSON lines format.
#[derive(Debug)]
pub struct Json {
    clock: Clock,
}

impl Json {
    /// A writer of JSON lines, times in UTC.
    pub fn new() -> Self {
        Self { clock: Clock::utc() }
    }

    fn totals(&mut self, kind: &str, summary: &Summary, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"v":1,"kind":""#);
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(br#"","time":""#);
        self.clock.push(summary.time, out);
        out.extend_from_slice(br#"","interval_ms":"#);
        push_number(out, summary.interval.as_millis());
        out.extend_from_slice(br#","rows":["#);
        let counted = summary.rows.iter().filter(|row| row.counts.packets > 0);
        for (index, row) in counted.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            push_row(out, row);
        }
        out.extend_from_slice(br#"],"accounts":"#);
        push_accounts(out, &summary.accounts);
        out.extend_from_slice(b"}\n");
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::new()
    }
}

impl Output for Json {
    fn drop(&mut self, drop: &Drop<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"v":1,"kind":"drop","time":""#);
        self.clock.push(drop.time, out);
        out.push(b'"');
        number(out, br#","weight":"#, drop.weight);
        if let Some(reason) = drop.reason {
            push_reason(out, reason);
        }
        push_site(out, drop.site);
        number(out, br#","cpu":"#, drop.cpu);
        if let Some(device) = drop.device {
            push_device(out, device);
        }
        if let Some(netns) = drop.netns {
            push_netns(out, netns);
        }
        push_packet(out, drop.packet);
        out.extend_from_slice(b"}\n");
    }

    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.totals("summary", summary, out);
    }

    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.totals("end", summary, out);
    }
}

fn push_row(out: &mut Vec<u8>, row: &Row) {
    number(out, br#"{"count":"#, row.counts.packets);
    number(out, br#","bytes":"#, row.counts.bytes);
    if row.estimated {
        out.extend_from_slice(br#","estimated":true"#);
    }
    if row.other {
        out.extend_from_slice(br#","other":true"#);
    }
    if let Some(reason) = &row.reason {
        push_reason(out, reason);
    }
    if let Some(site) = &row.site {
        push_site(out, site);
    } else if let Some(function) = &row.function {
        string(out, br#","function":"#, function);
    }
    if let Some(device) = &row.device {
        push_device(out, device);
    }
    if let Some(netns) = &row.netns {
        push_netns(out, netns);
    }
    if let Some(protocol) = row.protocol {
        push_protocol(out, protocol);
    }
    if let Some(source) = row.source {
        push_endpoint(out, br#","source":"#, source);
    }
    if let Some(destination) = row.destination {
        push_endpoint(out, br#","destination":"#, destination);
    } else if let Some(port) = row.port {
        number(out, br#","destination":{"port":"#, port);
        out.push(b'}');
    }
    out.push(b'}');
}

fn push_accounts(out: &mut Vec<u8>, accounts: &Accounts) {
    number(out, br#"{"seen":"#, accounts.seen);
    number(out, br#","detailed":"#, accounts.detailed);
    number(out, br#","sampled_out":"#, accounts.sampled_out);
    number(out, br#","ring_full":"#, accounts.ring_full);
    number(out, br#","filtered":"#, accounts.filtered);
    number(out, br#","table_full":"#, accounts.table_full);
    number(out, br#","recursion_misses":"#, accounts.recursion_misses);
    out.push(b'}');
}

fn push_reason(out: &mut Vec<u8>, reason: &Reason) {
    string(out, br#","reason":"#, &reason.name);
    string(out, br#","class":"#, reason.class.as_str());
    string(out, br#","subsystem":"#, &reason.subsystem);
}

fn push_site(out: &mut Vec<u8>, site: &Site) {
    if let Some(function) = &site.function {
        string(out, br#","function":"#, function);
        number(out, br#","offset":"#, site.offset);
    }
    if let Some(module) = &site.module {
        string(out, br#","module":"#, module);
    }
    out.extend_from_slice(br#","address":"0x"#);
    push_hex(out, site.address);
    out.push(b'"');
}

fn push_device(out: &mut Vec<u8>, device: &Device) {
    number(out, br#","device":{"index":"#, device.index);
    if let Some(name) = &device.name {
        string(out, br#","name":"#, name);
    }
    out.push(b'}');
}

fn push_netns(out: &mut Vec<u8>, netns: &Netns) {
    number(out, br#","netns":{"inode":"#, netns.inode);
    if let Some(name) = &netns.name {
        string(out, br#","name":"#, name);
    }
    out.push(b'}');
}

fn push_packet(out: &mut Vec<u8>, packet: &Packet) {
    number(out, br#","packet":{"length":"#, packet.length);
    if let Some(family) = packet.family {
        string(out, br#","family":"#, family.as_str());
    }
    push_protocol(out, packet.protocol);
    if let Some(source) = packet.source {
        push_endpoint(out, br#","source":"#, source);
    }
    if let Some(destination) = packet.destination {
        push_endpoint(out, br#","destination":"#, destination);
    }
    if let Some(ttl) = packet.ttl {
        number(out, br#","ttl":"#, ttl);
    }
    if let Some(offset) = packet.fragment_offset {
        number(out, br#","fragment_offset":"#, offset);
    }
    push_transport(out, packet);
    push_link(out, packet);
    if let Some(gso) = packet.gso {
        number(out, br#","gso":{"size":"#, gso.size);
        if gso.segments > 0 {
            number(out, br#","segments":"#, gso.segments);
        }
        out.push(b'}');
    }
    out.push(b'}');
}

fn push_transport(out: &mut Vec<u8>, packet: &Packet) {
    if packet.tcp_flags.is_some() || packet.tcp_sequence.is_some() {
        let mut opening: &[u8] = br#","tcp":{"#;
        if let Some(flags) = packet.tcp_flags {
            out.extend_from_slice(opening);
            out.extend_from_slice(br#""flags":""#);
            for (index, name) in flags.names().enumerate() {
                if index > 0 {
                    out.push(b'|');
                }
                out.extend_from_slice(name.as_bytes());
            }
            out.push(b'"');
            opening = b",";
        }
        if let Some(sequence) = packet.tcp_sequence {
            out.extend_from_slice(opening);
            number(out, br#""sequence":"#, sequence);
        }
        out.push(b'}');
    }
    if let Some((kind, code)) = packet.icmp {
        number(out, br#","icmp":{"type":"#, kind);
        number(out, br#","code":"#, code);
        out.push(b'}');
    }
    if let Some(operation) = packet.arp_operation {
        number(out, br#","arp":{"operation":"#, operation);
        out.push(b'}');
    }
}

fn push_link(out: &mut Vec<u8>, packet: &Packet) {
    let mut opening: &[u8] = br#","vlan":["#;
    for vlan in packet.vlans.iter().flatten() {
        number(out, opening, vlan.id);
        opening = b",";
    }
    if opening == b"," {
        out.push(b']');
    }
    let mut opening: &[u8] = br#","mac":{"#;
    for (key, mac) in
        [(&br#""source":"#[..], packet.source_mac), (br#""destination":"#, packet.destination_mac)]
    {
        if let Some(mac) = mac {
            out.extend_from_slice(opening);
            out.extend_from_slice(key);
            push_mac(out, mac);
            opening = b",";
        }
    }
    if opening == b"," {
        out.push(b'}');
    }
}

fn push_protocol(out: &mut Vec<u8>, protocol: Protocol) {
    if let Some(name) = protocol.name() {
        string(out, br#","protocol":"#, name);
    } else if protocol.is_known() {
        out.extend_from_slice(br#","protocol":""#);
        append(out, format_args!("{protocol}"));
        out.push(b'"');
    }
}

fn push_endpoint(out: &mut Vec<u8>, key: &[u8], endpoint: Endpoint) {
    out.extend_from_slice(key);
    out.extend_from_slice(br#"{"address":""#);
    push_address(out, endpoint.address);
    out.push(b'"');
    if let Some(port) = endpoint.port {
        number(out, br#","port":"#, port);
    }
    out.push(b'}');
}

fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            push_number(out, a);
            for octet in [b, c, d] {
                number(out, b".", octet);
            }
        }
        IpAddr::V6(address) => append(out, format_args!("{address}")),
    }
}

fn push_mac(out: &mut Vec<u8>, mac: [u8; 6]) {
    let mut separator = b'"';
    for byte in mac {
        out.push(separator);
        out.extend([byte >> 4, byte & 15].map(hex_digit));
        separator = b':';
    }
    out.push(b'"');
}

/// Appends `key` and a number.
fn number(out: &mut Vec<u8>, key: &[u8], number: impl itoa::Integer) {
    out.extend_from_slice(key);
    push_number(out, number);
}

fn push_number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// 16 digits at most, no leading zeros.
fn push_hex(out: &mut Vec<u8>, number: u64) {
    let digits = (64 - number.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digits).rev().map(|digit| hex_digit((number >> (4 * digit)).to_le_bytes()[0] & 15)));
}

fn hex_digit(nibble: u8) -> u8 {
    b"0123456789abcdef"[usize::from(nibble & 15)]
}

/// Appends `key` and a string in quotes, escaped as RFC 8259, section 7 asks for.
fn string(out: &mut Vec<u8>, key: &[u8], text: &str) {
    out.extend_from_slice(key);
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            byte @ (b'"' | b'\\') => out.extend([b'\\', byte]),
            byte => {
                out.extend_from_slice(b"\\u00");
                out.extend([byte >> 4, byte & 15].map(hex_digit));
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::samples::{self, written};
    use super::*;

    /// Panics unless each line is an object that the schema allows.
    fn validate(lines: &str) {
        static VALIDATOR: std::sync::LazyLock<jsonschema::Validator> = std::sync::LazyLock::new(|| {
            let schema: Value = serde_json::from_str(SCHEMA).unwrap();
            jsonschema::draft202012::meta::validate(&schema).unwrap();
            jsonschema::draft202012::new(&schema).unwrap()
        });
        for line in lines.lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            let errors: Vec<_> =
                VALIDATOR.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert!(errors.is_empty(), "{line}\n{errors:#?}");
        }
    }

    #[rstest::rstest]
    #[case::null_for_unknown(r#"{"v":1,"kind":"drop","time":"2026-11-22T00:43:45.123456789Z","weight":1,"address":"0x1","cpu":0,"packet":{"length":1,"ttl":null}}"#)]
    #[case::a_member_nobody_knows(r#"{"v":1,"kind":"drop","time":"2026-11-22T00:43:45.123456789Z","weight":1,"address":"0x1","cpu":0,"packet":{"length":1},"pid":7}"#)]
    #[case::another_version(r#"{"v":2,"kind":"end","time":"2026-11-22T00:43:45.123456789Z","interval_ms":1,"rows":[],"accounts":{"seen":0,"detailed":0,"sampled_out":0,"ring_full":0,"filtered":0,"table_full":0,"recursion_misses":0}}"#)]
    #[should_panic(expected = "oneOf")]
    fn the_schema_refuses(#[case] line: &str) {
        validate(line);
    }

    #[test]
    fn the_drop_of_the_design() {
        let line = written(|out| Json::new().drop(&samples::udp().drop(1), out));
        validate(&line);
        assert_snapshot!(line, @r#"{"v":1,"kind":"drop","time":"2026-11-22T00:43:45.123456789Z","weight":1,"reason":"NO_SOCKET","class":"no-receiver","subsystem":"core","function":"__udp4_lib_rcv","offset":1212,"address":"0xffffffff82046f4c","cpu":1,"device":{"index":1,"name":"lo"},"netns":{"inode":4026531840,"name":"host"},"packet":{"length":29,"family":"ipv4","protocol":"udp","source":{"address":"127.0.0.1","port":48777},"destination":{"address":"127.0.0.1","port":9},"ttl":64}}"#);
    }

    #[test]
    fn everything_that_can_be_known() {
        let line = written(|out| Json::new().drop(&samples::full().drop(12), out));
        validate(&line);
        assert_snapshot!(line, @r#"{"v":1,"kind":"drop","time":"2026-11-22T00:43:45.123456789Z","weight":12,"reason":"TCP_LISTEN_OVERFLOW","class":"congestion","subsystem":"core","function":"tcp_conn_request","offset":418,"module":"ipv6","address":"0xffffffff82046f4c","cpu":1,"device":{"index":2,"name":"eth0.7"},"netns":{"inode":4026532001,"name":"web"},"packet":{"length":2960,"family":"ipv6","protocol":"tcp","source":{"address":"2001:db8::1","port":4242},"destination":{"address":"2001:db8::2","port":80},"ttl":63,"fragment_offset":1480,"tcp":{"flags":"SYN|ACK","sequence":4294967295},"icmp":{"type":3,"code":4},"arp":{"operation":1},"vlan":[7,4095],"mac":{"source":"02:00:00:00:00:01","destination":"ff:ff:ff:ff:ff:ff"},"gso":{"size":1440,"segments":2}}}"#);
    }

    #[test]
    fn what_is_unknown_is_absent() {
        let line = written(|out| Json::new().drop(&samples::bare().drop(1), out));
        validate(&line);
        assert_snapshot!(line, @r#"{"v":1,"kind":"drop","time":"2026-11-22T00:43:45.123456789Z","weight":1,"address":"0xffffffff8193bb1c","cpu":1,"packet":{"length":60}}"#);
    }

    #[test]
    fn a_summary_has_the_rows_that_dropped_in_it() {
        let line = written(|out| Json::new().summary(&samples::summary(), out));
        validate(&line);
        assert_snapshot!(line, @r#"{"v":1,"kind":"summary","time":"2026-11-22T00:43:45.123456789Z","interval_ms":1000,"rows":[{"count":489412,"bytes":14192948,"reason":"NO_SOCKET","class":"no-receiver","subsystem":"core","function":"__udp4_lib_rcv","offset":1212,"address":"0xffffffff82046f4c","device":{"index":1,"name":"lo"},"netns":{"inode":4026531840,"name":"host"},"protocol":"udp"},{"count":12,"bytes":720,"reason":"TCP_LISTEN_OVERFLOW","class":"congestion","subsystem":"core","function":"tcp_conn_request","offset":418,"address":"0xffffffff82046f4c","device":{"index":2,"name":"eth0"},"netns":{"inode":4026532001,"name":"web"},"protocol":"tcp"}],"accounts":{"seen":489424,"detailed":1012,"sampled_out":488000,"ring_full":412,"filtered":0,"table_full":0,"recursion_misses":0}}"#);
    }

    #[test]
    fn the_end_has_the_totals() {
        let line = written(|out| Json::new().end(&samples::end(), out));
        validate(&line);
        assert_snapshot!(line, @r#"{"v":1,"kind":"end","time":"2026-11-22T00:43:45.123456789Z","interval_ms":12000,"rows":[{"count":4894120,"bytes":141929480,"reason":"NO_SOCKET","class":"no-receiver","subsystem":"core","function":"__udp4_lib_rcv","offset":1212,"address":"0xffffffff82046f4c","device":{"index":1,"name":"lo"},"netns":{"inode":4026531840,"name":"host"},"protocol":"udp"},{"count":340,"bytes":20400,"reason":"TCP_LISTEN_OVERFLOW","class":"congestion","subsystem":"core","function":"tcp_conn_request","offset":418,"address":"0xffffffff82046f4c","device":{"index":2,"name":"eth0"},"netns":{"inode":4026532001,"name":"web"},"protocol":"tcp"},{"count":1,"bytes":84,"reason":"NETFILTER_DROP","class":"policy","subsystem":"core","function":"nft_do_chain_inet_with_a_long_name","offset":31,"address":"0xffffffff82046f4c","device":{"index":3,"name":"vethf00dcafe"},"netns":{"inode":4026531840,"name":"host"},"protocol":"icmp"}],"accounts":{"seen":4894461,"detailed":12012,"sampled_out":4882037,"ring_full":412,"filtered":0,"table_full":0,"recursion_misses":3}}"#);
    }

    /// What the lines say of an endpoint.
    fn said(endpoint: Endpoint) -> Value {
        let mut said = serde_json::json!({ "address": endpoint.address.to_string() });
        if let Some(port) = endpoint.port {
            said["port"] = port.into();
        }
        said
    }

    prop_compose! {
        fn any_endpoint()(address in any::<IpAddr>(), port in any::<Option<u16>>()) -> Endpoint {
            Endpoint { address, port }
        }
    }

    prop_compose! {
        fn any_packet()(
            length in any::<u32>(),
            ethertype in any::<u16>(),
            ip in any::<Option<u8>>(),
            ends in any::<Option<(IpAddr, IpAddr)>>(),
            ttl in any::<Option<u8>>(),
            flags in any::<Option<u8>>(),
            tcp_sequence in any::<Option<u32>>(),
            icmp in any::<Option<(u8, u8)>>(),
            ids in any::<[Option<u16>; 2]>(),
            macs in any::<[Option<[u8; 6]>; 2]>(),
        ) -> Packet {
            let endpoint = |address| Endpoint { address, port: None };
            Packet {
                length,
                protocol: Protocol { ethertype, ip },
                source: ends.map(|(source, _)| endpoint(source)),
                destination: ends.map(|(_, destination)| endpoint(destination)),
                ttl,
                tcp_flags: flags.map(crate::model::TcpFlags),
                tcp_sequence,
                icmp,
                vlans: ids.map(|id| id.map(|id| crate::model::Vlan { id: id & 4095, priority: 0 })),
                source_mac: macs[0],
                destination_mac: macs[1],
                ..Packet::default()
            }
        }
    }

    proptest! {
        /// Names may hold any character: they come back as they were.
        #[test]
        fn every_string_comes_back(text in any::<String>(), control in "[\\x00-\\x1f\"\\\\]{0,8}") {
            let text = text + &control;
            let line = written(|out| string(out, b"", &text));
            prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        }

        #[test]
        fn every_number_comes_back(number in any::<u64>()) {
            let line = written(|out| push_hex(out, number));
            prop_assert_eq!(line, format!("{number:x}"));
        }

        #[test]
        fn every_packet_is_within_the_schema(packet in any_packet(), source in any_endpoint()) {
            let mut parts = samples::udp();
            parts.packet = Packet { source: packet.source.map(|_| source), ..packet };
            let line = written(|out| Json::new().drop(&parts.drop(1), out));
            validate(&line);
            let value: Value = serde_json::from_str(&line).unwrap();
            let said_packet = &value["packet"];
            prop_assert_eq!(&said_packet["length"], packet.length);
            prop_assert_eq!(said_packet.get("source").cloned(), parts.packet.source.map(said));
            prop_assert_eq!(said_packet.get("ttl").and_then(Value::as_u64), packet.ttl.map(u64::from));
            prop_assert_eq!(said_packet["tcp"].get("sequence").and_then(Value::as_u64), packet.tcp_sequence.map(u64::from));
            let vlans = said_packet.get("vlan").and_then(Value::as_array).map_or(0, Vec::len);
            prop_assert_eq!(vlans, packet.vlans.iter().flatten().count());
        }
    }

    #[test]
    fn rows_by_flow_name_what_they_are_by() {
        let line = written(|out| Json::new().summary(&samples::flows(), out));
        validate(&line);
        assert_snapshot!(line, @r#"{"v":1,"kind":"summary","time":"2026-11-22T00:43:45.123456789Z","interval_ms":1000,"rows":[{"count":700,"bytes":42000,"estimated":true,"source":{"address":"10.0.0.1","port":4242},"destination":{"address":"10.0.0.2","port":80}},{"count":20,"bytes":1200,"estimated":true,"source":{"address":"2001:db8::1"},"destination":{"port":53}},{"count":3,"bytes":180,"estimated":true,"other":true}],"accounts":{"seen":489424,"detailed":1012,"sampled_out":488000,"ring_full":412,"filtered":0,"table_full":0,"recursion_misses":0}}"#);
    }
}
