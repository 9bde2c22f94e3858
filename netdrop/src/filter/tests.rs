//! Filters as they are written, and what the program gets of them.

use netdrop_common::{
    OWNER_CGROUP, OWNER_EXCLUDED, OWNER_NETNS, OWNER_SOCKET, OWNER_TASK, OwnerKey, REASON_BY_SITE,
    REASON_EXCLUDED, REASON_INCLUDED, REASON_NONE,
};
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
    compiled_on("6.12", wanted)
}

fn compiled_on(kernel: &str, wanted: &Wanted) -> Result<Compiled, FilterError> {
    let bytes = fixtures::btf(kernel);
    compile(wanted, &Reasons::from_btf(&Btf::parse(&bytes).unwrap()).unwrap(), &mut Fake(5))
}

fn only(values: &[&str]) -> Choice {
    Choice { only: values.iter().map(ToString::to_string).collect(), not: Vec::new() }
}

fn not(values: &[&str]) -> Choice {
    Choice { only: Vec::new(), not: values.iter().map(ToString::to_string).collect() }
}

/// Whoever sends and wherever it is dropped: the other end's namespace, device and process are others.
#[test]
fn a_connections_packets_pass_from_either_side() {
    let only = |values: &[&str]| Choice {
        only: values.iter().map(|value| (*value).to_owned()).collect(),
        not: Vec::new(),
    };
    let wanted = Wanted {
        netns: only(&["web"]),
        device: only(&["eth0"]),
        owner: only(&["nginx"]),
        destination_port: only(&["443"]),
        host: Choice { only: vec!["10.0.0.0/8".into()], not: vec!["10.0.0.9".into()] },
        ..Wanted::default()
    };
    let drops = wanted.of_either_side("tcp");
    let expected = Wanted {
        protocol: only(&["tcp"]),
        port: only(&["443"]),
        host: wanted.host.clone(),
        ..Wanted::default()
    };
    assert_eq!(format!("{drops:?}"), format!("{expected:?}"));
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
fn namespaces_are_those_that_are_named_to_pass() {
    let of = |netns| compiled(&Wanted { netns, ..Wanted::default() }).unwrap().namespaces();
    assert_eq!(of(only(&["5", "6"])), [5, 6]);
    assert_eq!((of(not(&["5"])), of(Choice::default())), (vec![], vec![]));
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

/// From 7.x on, queueing disciplines give finer reasons in place of this one.
#[test]
fn a_reason_is_the_finer_ones_too() {
    let wanted = Wanted { reason: only(&["qdisc_drop"]), ..Wanted::default() };
    let count = |kernel| compiled_on(kernel, &wanted).unwrap().reasons.len();
    assert_eq!((count("6.12"), count("7.3") > 5), (1, true));
}

/// What the program does with a drop whose reason says nothing (netdrop-ebpf's `of_site`).
fn at(compiled: &Compiled, site: u64) -> u32 {
    let number = compiled.reasons.iter().rfind(|(number, _)| [2, REASON_NONE].contains(number));
    match number.map_or(0, |(_, verdict)| *verdict) {
        REASON_BY_SITE => {
            let piece = compiled.sites.iter().rfind(|piece| piece.start <= site).unwrap();
            u32::try_from(piece.verdict).unwrap()
        }
        verdict => verdict,
    }
}

fn class(only: &[&str], not: &[&str]) -> Wanted {
    let strings = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    Wanted { class: Choice { only: strings(only), not: strings(not) }, ..Wanted::default() }
}

const IN: u32 = REASON_INCLUDED;
const OUT: u32 = REASON_EXCLUDED;

/// Before all functions; in one of congestion, in two of policy that touch, behind them; in one of lifecycle, behind all.
#[rstest]
#[case::one(class(&["policy"], &[]), [0, 0, IN, IN, 0, 0, 0])]
#[case::two(class(&["policy", "congestion"], &[]), [0, IN, IN, IN, 0, 0, 0])]
#[case::without_functions(class(&["routing"], &[]), [0; 7])]
#[case::unknown(class(&["unknown"], &[]), [IN, 0, 0, 0, IN, 0, IN])]
#[case::not(class(&[], &["lifecycle"]), [0, 0, 0, 0, 0, OUT, 0])]
#[case::not_unknown(class(&[], &["unknown"]), [OUT, 0, 0, 0, OUT, 0, OUT])]
#[case::both(class(&["policy", "unknown"], &["lifecycle"]), [IN, 0, IN, IN, IN, OUT, IN])]
#[case::excluding_wins(class(&["policy"], &["policy"]), [0, 0, OUT, OUT, 0, 0, 0])]
#[case::reason_too(Wanted { reason: only(&["NOT_SPECIFIED"]), ..class(&["policy"], &["lifecycle"]) }, [IN, IN, IN, IN, IN, OUT, IN])]
#[case::reason_alone(Wanted { reason: only(&["NOT_SPECIFIED"]), ..Wanted::default() }, [IN; 7])]
#[case::not_that_reason(Wanted { reason: not(&["NOT_SPECIFIED"]), ..class(&["policy"], &[]) }, [OUT; 7])]
fn a_class_is_also_its_functions(#[case] wanted: Wanted, #[case] verdicts: [u32; 7]) {
    const SITES: [u64; 7] = [0x50, 0x1ff, 0x200, 0x300, 0x400, 0x500, 0x600];
    let compiled = compiled(&wanted).unwrap();
    assert_eq!(SITES.map(|site| at(&compiled, site)), verdicts);
    assert_eq!(compiled.filter.sites, u32::from(!compiled.sites.is_empty()));
    let starts: Vec<_> = compiled.sites.iter().map(|piece| piece.start).collect();
    assert!(starts.is_sorted_by(|one, next| one < next), "{starts:?}");
    assert!(compiled.sites.windows(2).all(|pair| pair[0].verdict != pair[1].verdict));
}

/// Before 5.17 the function is all that there is; and a class of which nothing is known lets nothing pass.
#[test]
fn without_reasons_the_function_decides() {
    let none = Reasons::built_in("5.10.0");
    assert_eq!(none.iter().count(), 0);
    let compiled = compile(&class(&["policy"], &[]), &none, &mut Fake(5)).unwrap();
    assert_eq!(compiled.reasons, [(REASON_NONE, REASON_BY_SITE)]);
    assert_eq!([0x100, 0x200].map(|site| at(&compiled, site)), [0, IN]);
    assert_eq!((compiled.filter.required, compiled.filter.reasons), (group::REASON, 1));
    let by_reason = Wanted { reason: only(&["NO_SOCKET"]), ..Wanted::default() };
    assert!(matches!(compile(&by_reason, &none, &mut Fake(5)), Err(FilterError::NoReasons)));
}

fn entries(owned: &Owned) -> Vec<(u32, u64, u32)> {
    let kind = |key: &OwnerKey| u32::try_from(key.kind).unwrap();
    let mut all: Vec<_> = owned.entries.iter().map(|(key, value)| (kind(key), key.id, *value)).collect();
    all.sort_unstable();
    all
}

#[test]
fn containers_and_processes_are_numbers_that_change() {
    let wanted = Wanted {
        container: Choice { only: vec!["web".into()], not: vec!["version-1".into()] },
        owner: only(&["nginx", "10"]),
        ..Wanted::default()
    };
    let compiled = compiled(&wanted).unwrap();
    assert_eq!(compiled.filter.required, group::CONTAINER | group::OWNER);
    assert_eq!(compiled.filter.owners, OWNER_CGROUP | OWNER_NETNS | OWNER_SOCKET | OWNER_TASK);
    assert!(compiled.filter.is_active());
    let (container, owner) = (group::CONTAINER, group::OWNER);
    let now = [
        (OWNER_CGROUP, 70, container),
        (OWNER_CGROUP, 71, container),
        (OWNER_NETNS, 200, container),
        (OWNER_NETNS, 300, OWNER_EXCLUDED),
        (OWNER_SOCKET, 80, owner),
        (OWNER_SOCKET, 443, owner),
        (OWNER_TASK, 10, owner),
        (OWNER_TASK, 11, owner),
    ];
    assert_eq!(entries(&compiled.owned), now);
    assert_eq!(compiled.targets.look(&mut Fake(5)), compiled.owned);
    // Another process has the pid now: the command's are still its own.
    let by_pid = Wanted { owner: only(&["10"]), ..Wanted::default() };
    let targets = self::compiled(&by_pid).unwrap().targets;
    assert_eq!((targets.look(&mut Fake(5)).entries.len(), targets.look(&mut Fake(6)).entries.len()), (2, 0));
}

#[test]
fn what_finds_no_room_is_told() {
    struct Many;
    impl Resolver for Many {
        fn netns(&mut self, _: &str) -> Result<u32, FilterError> {
            unreachable!("no namespace is named")
        }
        fn devices(&mut self, _: &str) -> Result<Vec<(u32, u32)>, FilterError> {
            unreachable!("no device is named")
        }
        fn function(&mut self, _: &str) -> Result<Vec<std::ops::Range<u64>>, FilterError> {
            unreachable!("no function is named")
        }
        fn sites(&mut self) -> Result<Vec<(std::ops::Range<u64>, Class)>, FilterError> {
            unreachable!("no class is named")
        }
        fn container(&mut self, _: &str) -> Result<Inhabited, FilterError> {
            unreachable!("no container is named")
        }
        fn holders(&mut self, _: &str) -> Holders {
            let processes = vec![Holder { pid: 10, started: 5, command: "nginx".into() }];
            Holders { processes, sockets: (1..=MAX_OWNERS + 3).collect(), refused: 0 }
        }
        fn nearest_command(&mut self, _: &str) -> Option<String> {
            None
        }
    }
    let bytes = fixtures::btf("6.12");
    let reasons = Reasons::from_btf(&Btf::parse(&bytes).unwrap()).unwrap();
    let wanted = Wanted { owner: only(&["nginx"]), ..Wanted::default() };
    let owned = compile(&wanted, &reasons, &mut Many).unwrap().owned;
    assert_eq!((owned.entries.len(), owned.left_out), (MAX_OWNERS as usize, 4));
}

#[test]
fn every_rule_is_explained() {
    let some = || only(&["web"]);
    let wanted = Wanted {
        reason: not(&["NO_SOCKET"]),
        class: Choice { only: vec!["policy".into(), "unknown".into()], not: vec!["lifecycle".into()] },
        function: some(),
        device: only(&["eth0"]),
        netns: not(&["5"]),
        protocol: only(&["tcp", "arp"]),
        host: only(&["10.0.0.0/8"]),
        source: not(&["fd00::1"]),
        destination: only(&["10.0.0.1"]),
        port: only(&["53", "80-90"]),
        source_port: only(&["1"]),
        destination_port: not(&["2"]),
        container: Choice { only: vec!["web".into(), "host-network".into()], not: vec!["version-1".into()] },
        owner: only(&["nginx", "10"]),
        cgroup: None,
    };
    let explained = compiled(&wanted).unwrap().explained;
    let lines: Vec<_> = explained.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"));
    let json: Vec<_> = explained.iter().map(|rule| serde_json::to_string(rule).unwrap()).collect();
    insta::assert_snapshot!("every_rule_is_explained_as_json", json.join("\n"));
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
#[case(Wanted { container: only(&["wbe"]), ..Wanted::default() }, "there is no container or pod `wbe` here; did you mean `web`?")]
#[case(Wanted { container: only(&["unseen"]), ..Wanted::default() }, "container `unseen` can't be told from the rest")]
#[case(Wanted { owner: only(&["ngnix"]), ..Wanted::default() }, "there is no process `ngnix` now: write a pid, or a command as in /proc/PID/comm; did you mean `nginx`?")]
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
