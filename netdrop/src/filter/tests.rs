//! Filters as they are written, and what the program gets of them.

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::kernel::{btf::Btf, fixtures, netns::NetnsError};
use crate::owner::census::Holder;

/// With the start of process 10.
struct Fake(u64);

impl Resolver for Fake {
    fn netns(&mut self, name: &str) -> Result<u32, FilterError> {
        name.parse().map_err(|_| NetnsError::Unknown { name: name.into(), suggestion: None }.into())
    }

    fn devices(&mut self, _: &str) -> Result<Vec<(u32, u32)>, FilterError> {
        Ok(vec![(7, 2)])
    }

    fn function(&mut self, _: &str) -> Result<Vec<std::ops::Range<u64>>, FilterError> {
        Ok(vec![16..32, 64..80])
    }

    fn sites(&mut self) -> Result<Vec<(std::ops::Range<u64>, Class)>, FilterError> {
        Ok(vec![
            (0x100..0x200, Class::Congestion),
            (0x200..0x300, Class::Policy),
            (0x300..0x400, Class::Policy),
            (0x500..0x600, Class::Lifecycle),
        ])
    }

    fn container(&mut self, name: &str) -> Result<Inhabited, FilterError> {
        let found = |cgroups: &[u64], namespaces: &[u32]| Inhabited {
            called: vec![format!("docker:{name}")],
            cgroups: cgroups.to_vec(),
            namespaces: namespaces.to_vec(),
        };
        match name {
            "web" => Ok(found(&[70, 71], &[200])),
            "host-network" => Ok(found(&[80], &[])),
            "version-1" => Ok(found(&[], &[300])),
            "unseen" => Ok(found(&[], &[])),
            _ => Err(FilterError::Container { name: name.into(), suggestion: Some("web".into()) }),
        }
    }

    fn holders(&mut self, name: &str) -> Holders {
        let nginx = |pid, started| Holder { pid, started, command: "nginx".into() };
        match name {
            "nginx" => Holders {
                processes: vec![nginx(10, self.0), nginx(11, 6)],
                sockets: vec![80, 443],
                refused: 1,
            },
            "10" => Holders { processes: vec![nginx(10, self.0)], sockets: vec![80], refused: 0 },
            _ => Holders::default(),
        }
    }

    fn nearest_command(&mut self, _: &str) -> Option<String> {
        Some("nginx".into())
    }
}

fn compiled(wanted: &Wanted) -> Result<Compiled, FilterError> {
    let bytes = fixtures::btf("6.12");
    compile(wanted, &Reasons::from_btf(&Btf::parse(&bytes).unwrap()).unwrap(), &mut Fake(5))
}

fn only(values: &[&str]) -> Choice {
    Choice { only: values.iter().map(ToString::to_string).collect(), not: Vec::new() }
}

fn not(values: &[&str]) -> Choice {
    Choice { only: Vec::new(), not: values.iter().map(ToString::to_string).collect() }
}

#[test]
fn nothing_wanted_is_no_filter() {
    let compiled = compiled(&Wanted::default()).unwrap();
    assert_eq!(netdrop_common::bytes_of(&*compiled.filter), netdrop_common::bytes_of(&Filter::NONE));
    assert_eq!(compiled.reasons, []);
}

#[test]
fn what_must_match_is_required_and_what_must_not_is_not() {
    let wanted = Wanted {
        function: only(&["f"]),
        netns: not(&["5"]),
        port: only(&["53", "80-90"]),
        ..Wanted::default()
    };
    let filter = compiled(&wanted).unwrap().filter;
    assert_eq!(filter.required, group::FUNCTION | group::PORT);
    assert_eq!((filter.functions, filter.namespaces, filter.ports), (2, 1, 2));
    assert_eq!((filter.netns[0].matches.inode, filter.netns[0].group), (5, group::EXCLUDE));
    assert_eq!(
        (filter.port[1].matches.first, filter.port[1].matches.last, filter.port[1].side),
        (80, 90, SIDE_EITHER)
    );
}

#[test]
fn a_device_goes_by_name_and_by_index() {
    let filter = compiled(&Wanted { device: only(&["eth0"]), ..Wanted::default() }).unwrap().filter;
    assert_eq!(filter.devices, 2);
    assert_eq!(filter.device[0].matches.name[0].to_ne_bytes(), *b"eth0\0\0\0\0");
    assert_eq!((filter.device[1].matches.netns, filter.device[1].matches.ifindex), (7, 2));
}

#[test]
fn a_class_is_its_reasons_and_exclusion_comes_last() {
    let wanted =
        Wanted { class: only(&["congestion"]), reason: not(&["socket_rcvbuff"]), ..Wanted::default() };
    let compiled = compiled(&wanted).unwrap();
    assert!(compiled.reasons.len() > 10);
    assert_eq!(compiled.reasons.last().map(|(_, verdict)| *verdict), Some(netdrop_common::REASON_EXCLUDED));
    assert_eq!((compiled.filter.required, compiled.filter.reasons), (group::REASON, 1));
}

#[rstest]
#[case("tcp", 0, 6)]
#[case("ICMPv6", 0, 58)]
#[case("arp", 0x0806, ProtocolRule::ANY)]
#[case("ip", 0x0800, ProtocolRule::ANY)]
#[case("253", 0, 253)]
#[case("ip-253", 0, 253)]
#[case("0x88cc", 0x88cc, ProtocolRule::ANY)]
fn protocols(#[case] text: &str, #[case] ethertype: u16, #[case] ip_protocol: u16) {
    let rule = parse_protocol(text).unwrap();
    assert_eq!((rule.ethertype, rule.ip_protocol), (ethertype, ip_protocol));
}

use netdrop_common::ProtocolRule;

#[rstest]
#[case("10.0.0.0/8", "::ffff:10.0.0.0", "ffff:ffff:ffff:ffff:ffff:ffff:ff00:0")]
#[case("10.1.2.3", "::ffff:10.1.2.3", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")]
#[case("fd00::1/8", "fd00::", "ff00::")]
#[case("0.0.0.0/0", "::ffff:0.0.0.0", "ffff:ffff:ffff:ffff:ffff:ffff::")]
#[case("::/0", "::", "::")]
fn prefixes(#[case] text: &str, #[case] address: std::net::Ipv6Addr, #[case] mask: std::net::Ipv6Addr) {
    let bytes = |words: [u32; 4]| words.map(u32::to_ne_bytes).concat();
    let rule = parse_prefix(text).unwrap();
    assert_eq!(bytes(rule.address), address.octets());
    assert_eq!(bytes(rule.mask), mask.octets());
}

#[rstest]
#[case(Wanted { reason: only(&["NO_SOCKT"]), ..Wanted::default() }, "did you mean `NO_SOCKET`?")]
#[case(Wanted { class: only(&["congested"]), ..Wanted::default() }, "there is no class `congested`")]
#[case(Wanted { protocol: only(&["udpp"]), ..Wanted::default() }, "did you mean `udp`?")]
#[case(Wanted { host: only(&["10.0.0"]), ..Wanted::default() }, "`10.0.0` is no IP address")]
#[case(Wanted { port: only(&["90-80"]), ..Wanted::default() }, "`90-80` is no port")]
#[case(Wanted { port: only(&["65536"]), ..Wanted::default() }, "`65536` is no port")]
#[case(Wanted { device: only(&["a-name-of-16-byte"]), ..Wanted::default() }, "1 to 15 bytes")]
#[case(Wanted { port: only(&["1"; 33]), ..Wanted::default() }, "at most 32 fit")]
fn what_is_wrong_is_named(#[case] wanted: Wanted, #[case] message: &str) {
    let error = compiled(&wanted).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

proptest! {
    #[test]
    fn parsers_are_total(text in ".{0,40}") {
        let _ = (parse_prefix(&text), parse_ports(&text), parse_protocol(&text));
    }

    #[test]
    fn any_range_of_ports_is_itself(first: u16, length in 0..1000_u16) {
        let last = first.saturating_add(length);
        let rule = parse_ports(&format!("{first}-{last}")).unwrap();
        prop_assert_eq!((rule.first, rule.last), (first, last));
    }

    #[test]
    fn an_address_lies_in_its_own_prefix(address: std::net::IpAddr, bits in 0..=32_u8) {
        let whole = parse_prefix(&address.to_string()).unwrap();
        let prefix = parse_prefix(&format!("{address}/{bits}")).unwrap();
        for word in 0..4 {
            prop_assert_eq!(whole.address[word] & prefix.mask[word], prefix.address[word]);
        }
    }
}
