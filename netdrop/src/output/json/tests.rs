//! Every line that is written is within the schema.

use std::net::IpAddr;

use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::Value;

use super::super::samples::{self, written};
use super::*;

/// Panics unless each line is an object that the schema allows.
pub(crate) fn validate(lines: &str) {
    static VALIDATOR: std::sync::LazyLock<jsonschema::Validator> = std::sync::LazyLock::new(|| {
        let schema: Value = serde_json::from_str(schema()).unwrap();
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
#[case::hardware_without_a_trap(r#"{"v":1,"kind":"drop","time":"2026-11-22T00:43:45.123456789Z","weight":1,"address":"0x1","origin":"hardware","cpu":0,"packet":{"length":1}}"#)]
#[case::a_trap_and_an_address(r#"{"v":1,"kind":"drop","time":"2026-11-22T00:43:45.123456789Z","weight":1,"address":"0x1","origin":"hardware","trap":{"name":"t"},"cpu":0,"packet":{"length":1}}"#)]
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
    assert_snapshot!(line, @r#"{"v":1,"kind":"drop","time":"2026-11-22T00:43:45.123456789Z","weight":12,"reason":"TCP_LISTEN_OVERFLOW","class":"congestion","subsystem":"core","function":"tcp_conn_request","offset":418,"module":"ipv6","address":"0xffffffff82046f4c","source":"net/ipv6/tcp_ipv6.c:1180","inlined":["tcp_v6_conn_request"],"cpu":1,"device":{"index":2,"name":"eth0.7"},"netns":{"inode":4026532001,"name":"web"},"packet":{"length":2960,"family":"ipv6","protocol":"tcp","source":{"address":"2001:db8::1","port":4242},"destination":{"address":"2001:db8::2","port":80},"ttl":63,"fragment_offset":1480,"tcp":{"flags":"SYN|ACK","sequence":4294967295},"icmp":{"type":3,"code":4},"arp":{"operation":1},"vlan":[7,4095],"mac":{"source":"02:00:00:00:00:01","destination":"ff:ff:ff:ff:ff:ff"},"gso":{"size":1440,"segments":2}}}"#);
}

/// Where nothing but the namespace tells whose it was.
#[test]
fn a_namespace_has_what_runs_in_it() {
    let mut parts = samples::bare();
    parts.netns = Some(samples::inhabited());
    let line = written(|out| Json::new().drop(&parts.drop(1), out));
    validate(&line);
    assert!(line.contains(r#""netns":{"inode":7,"name":"pid:4242","container":"podman:3f2a1b9c8d7e6f5a","container_name":"web","pod":"7"}"#), "{line}");
}

#[test]
fn rows_by_owner_and_container_have_both() {
    let line = written(|out| Json::new().summary(&samples::owners(), out));
    validate(&line);
    let value: Value = serde_json::from_str(&line).unwrap();
    let wanted = serde_json::json!([
        { "count": 12, "bytes": 720, "estimated": true, "owner": { "pid": 4242, "command": "nginx" },
          "container": "podman:3f2a1b9c8d7e6f5a", "container_name": "web", "pod": "7" },
        { "count": 3, "bytes": 180, "estimated": true, "other": true },
    ]);
    assert_eq!(value["rows"], wanted);
}

#[test]
fn what_is_unknown_is_absent() {
    let line = written(|out| Json::new().drop(&samples::bare().drop(1), out));
    validate(&line);
    assert_snapshot!(line, @r#"{"v":1,"kind":"drop","time":"2026-11-22T00:43:45.123456789Z","weight":1,"address":"0xffffffff8193bb1c","cpu":1,"packet":{"length":60}}"#);
}

#[test]
fn what_hardware_drops_has_a_trap_and_no_address() {
    let line = written(|out| {
        Json::new().drop(&samples::trapped().drop(1), out);
        let site = Some(samples::trapped().site);
        let row = Row { counts: samples::counts(7, 420), class: Some(Class::Policy), site, ..Row::default() };
        Json::new().summary(&Summary { rows: vec![row], ..samples::summary() }, out);
    });
    validate(&line);
    assert_snapshot!(line, @r#"
    {"v":1,"kind":"drop","time":"2026-11-22T00:43:45.123456789Z","weight":1,"class":"policy","origin":"hardware","trap":{"name":"blackhole_route","group":"l3_drops","driver":"mlxsw_spectrum2","device":"pci/0000:01:00.0"},"cpu":1,"device":{"index":7,"name":"swp7"},"netns":{"inode":4026531840,"name":"host"},"packet":{"length":29,"family":"ipv4","protocol":"udp","source":{"address":"127.0.0.1","port":48777},"destination":{"address":"127.0.0.1","port":9},"ttl":64}}
    {"v":1,"kind":"summary","time":"2026-11-22T00:43:45.123456789Z","interval_ms":1000,"rows":[{"count":7,"bytes":420,"class":"policy","origin":"hardware","trap":{"name":"blackhole_route","group":"l3_drops","driver":"mlxsw_spectrum2","device":"pci/0000:01:00.0"}}],"accounts":{"seen":489424,"detailed":1012,"sampled_out":488000,"ring_full":412,"filtered":0,"table_full":0,"recursion_misses":0}}
    "#);
}

/// A kernel without reasons, and one that says `NOT_SPECIFIED`: the function tells the class, if it is known.
#[rstest::rstest]
#[case(None, "enqueue_to_backlog", None, Some("congestion"))]
#[case(None, "a_driver_xmit", None, None)]
#[case(Some("NOT_SPECIFIED"), "enqueue_to_backlog", Some("NOT_SPECIFIED"), Some("congestion"))]
#[case(Some("NOT_SPECIFIED"), "a_driver_xmit", Some("NOT_SPECIFIED"), Some("unknown"))]
fn the_function_classifies_where_the_reason_does_not(
    #[case] reason: Option<&str>,
    #[case] function: &str,
    #[case] written_reason: Option<&str>,
    #[case] class: Option<&str>,
) {
    let mut parts = samples::bare();
    parts.reason = reason.map(|name| samples::reason(name, Class::Unknown));
    parts.site = samples::site(function, 4);
    let line = written(|out| Json::new().drop(&parts.drop(1), out));
    validate(&line);
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((value["reason"].as_str(), value["class"].as_str()), (written_reason, class));
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

#[test]
fn the_end_has_what_other_counters_say() {
    let end = Summary { attribution: samples::attribution(), ..samples::end() };
    let line = written(|out| Json::new().end(&end, out));
    validate(&line);
    let Value::Object(line) = serde_json::from_str(&line).unwrap() else { panic!("no object") };
    assert_eq!(
        line["verdicts"].to_string(),
        r#"[{"family":"inet","framework":"nftables","hook":"input","netns":{"inode":4026532001,"name":"web"},"packets":12350},{"estimated":true,"hook":"forward","netns":{"inode":4026531840,"name":"host"},"packets":20},{"packets":3}]"#
    );
    let told = ["rules", "devices", "notes"].map(|key| line[key].to_string());
    assert_snapshot!(told.join("\n"), @r#"
    [{"bytes":358005,"certainty":"part","chain":"input","drops":12350,"family":"inet","handle":8,"hook":"input","netns":{"inode":4026532001,"name":"web"},"packets":12345,"position":4,"system":"nft","table":"fw","text":"udp dport 9 counter drop","verdict":"drop"},{"certainty":"only","chain":"input","drops":12350,"family":"inet","hook":"input","netns":{"inode":4026532001,"name":"web"},"system":"nft","table":"fw","text":"policy drop","verdict":"policy"},{"certainty":"only","chain":"0","device":{"index":2,"name":"eth0"},"direction":"ingress","drops":3,"handle":1,"netns":{"inode":4026531840,"name":"host"},"program":{"id":42,"name":"fw"},"system":"tc","text":"filter bpf pref 49152 fw.o:[tc] direct-action","verdict":"program"},{"bytes":203,"certainty":"candidate","chain":"input","drops":12350,"family":"inet","handle":8,"hook":"input","netns":{"inode":4026532001,"name":"web"},"packets":7,"position":4,"system":"nft","table":"fw","text":"udp dport 9 counter drop","verdict":"drop"}]
    [{"count":81,"counter":"rx_missed_errors","device":{"index":2,"name":"eth0"},"meaning":"the device had no room: its ring was full before the CPU emptied it","netns":{"inode":4026531840,"name":"host"},"source":"link"},{"also_seen":400,"count":1000,"counter":"rx_queue_*_xdp_drops","device":{"index":2,"name":"eth0"},"meaning":"dropped by the XDP program, in the driver","netns":{"inode":4026532001,"name":"web"},"program":{"id":42,"name":"fw"},"source":"driver"}]
    ["`nft` is not installed: install nftables to have its rules named."]
    "#);
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

#[test]
fn a_drop_with_its_socket_owner_task_and_call_chain() {
    let (socket, owner) = (samples::socket(), samples::owner());
    let task = crate::model::CpuTask { pid: 7, command: *b"ksoftirqd/0\0\0\0\0\0" };
    let stack = ["udp_queue_rcv_one_skb+0x437".to_owned(), "ip_rcv+0x1 [odd]".to_owned()];
    let context = crate::model::Context {
        socket: Some(&socket),
        owner: Some(&owner),
        cpu_task: Some(&task),
        stack: &stack,
        verdict: Some(samples::verdict()),
    };
    let udp = samples::udp();
    let drop = crate::model::Drop { context, ..udp.drop(1) };
    let line = written(|out| Json::new().drop(&drop, out));
    validate(&line);
    let context = &line[line.find(r#""socket""#).unwrap()..];
    assert_snapshot!(context);
}
