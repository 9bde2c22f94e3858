//! What the rows promise: nothing is lost, nothing is counted twice, whatever they are grouped by.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::knowledge::Class;

/// The site of a trap of hardware's.
const TRAP: u64 = 1 << 40;
use crate::model::{Context, Header, Holding, Owner, Packet, Pod, Process, Protocol, Trap, Workload};

/// A pod runs in this namespace.
const POD_NETNS: u32 = 9;

/// Names that are numbers.
struct Numbers;

impl Names for Numbers {
    fn site(&mut self, address: u64) -> Arc<Site> {
        if address == TRAP {
            let trap = Trap { name: "tail_drop".into(), ..Trap::default() };
            return Arc::new(Site { address, trap: Some(trap), ..Site::default() });
        }
        // Two sites a function; the first has no symbol.
        let function = (address > 1).then(|| format!("f{}", address / 2));
        Arc::new(Site { address, function, offset: address, module: None, source: None, trap: None })
    }

    fn reason(&mut self, number: u32) -> Arc<Reason> {
        Arc::new(Reason {
            number,
            name: format!("R{number}"),
            class: Class::Unknown,
            subsystem: "core".into(),
        })
    }

    fn device(&mut self, netns: u32, ifindex: u32) -> Arc<Device> {
        Arc::new(Device { index: ifindex, name: Some(format!("d{netns}.{ifindex}")) })
    }

    fn netns(&mut self, inode: u32) -> Arc<Netns> {
        let pod = (inode == POD_NETNS).then(|| Pod { uid: "7".into(), name: None });
        let workload = Arc::new(Workload { pod, ..Workload::default() });
        Arc::new(Netns { inode, workload, ..Netns::default() })
    }
}

fn key(address: u64, reason: u32, ifindex: u32, netns: u32, ip: u8) -> CountKey {
    let protocol = Protocol { ethertype: 0x0800, ip: Some(ip) };
    CountKey { address, reason: Some(reason), ifindex, netns, protocol }
}

fn counts(packets: u64) -> Counts {
    Counts { packets, bytes: packets * 100 }
}

fn now(seconds: u64, accounts: Accounts) -> Now {
    Now { time: Timestamp(seconds), elapsed: Duration::from_secs(seconds), accounts }
}

fn endpoint(host: u8, port: u16) -> Endpoint {
    Endpoint { address: [10, 0, 0, host].into(), port: Some(port) }
}

/// One detailed drop at a site, of a flow between two hosts.
fn record(aggregator: &mut Aggregator, key: CountKey, weight: u64, source: u8, destination: u8) {
    record_of(aggregator, key, weight, (source, destination), None);
}

/// The same, and whose it was.
fn record_of(
    aggregator: &mut Aggregator,
    key: CountKey,
    weight: u64,
    (source, destination): (u8, u8),
    owner: Option<&Owner>,
) {
    let names = &mut Numbers;
    let packet = Packet {
        length: 100,
        protocol: key.protocol,
        source: Some(endpoint(source, 1000)),
        destination: Some(endpoint(destination, 80)),
        ..Packet::default()
    };
    aggregator.record(&Drop {
        time: Timestamp(0),
        weight,
        site: &names.site(key.address),
        reason: key.reason.map(|number| names.reason(number)).as_deref(),
        cpu: 0,
        device: Some(&names.device(key.netns, key.ifindex)),
        netns: Some(&names.netns(key.netns)),
        packet: &packet,
        header: Header::default(),
        context: Context { owner, ..Context::default() },
    });
}

/// A process that has the socket, or had it; in a unit.
fn owned(pid: u32, holding: Holding, unit: &str) -> Owner {
    let workload = Workload { unit: Some(unit.into()), ..Workload::default() };
    let process = Process { pid, command: "nginx".into(), holding };
    Owner { processes: vec![process], workload: Arc::new(workload), ..Owner::default() }
}

/// A process stays in its row when it ends; without a socket the namespace tells the container.
#[test]
fn rows_by_owner_and_container_are_sums_of_weights() {
    let drops = [
        (3, Some(owned(1, Holding::Open, "web.service"))),
        (4, Some(owned(1, Holding::Gone, "web.service"))),
        (5, Some(owned(2, Holding::Open, "web.service"))),
        (2, Some(Owner { nobody: true, ..Owner::default() })),
        (1, None),
    ];
    let rows = |by: &str, netns| {
        let mut aggregator = Aggregator::new(by.parse().unwrap());
        for (weight, owner) in &drops {
            record_of(&mut aggregator, key(2, 1, 1, netns, 17), *weight, (1, 2), owner.as_ref());
        }
        let seen = Accounts { seen: 15, detailed: 5, sampled_out: 10, ..Accounts::default() };
        let counters = [(key(2, 1, 1, netns, 17), counts(15))];
        let summary = aggregator.summary(now(1, seen), counters, &mut Numbers);
        let row = |row: &Row| {
            let owner = row.owner.as_ref().map_or_else(|| "-".into(), ToString::to_string);
            let workload = row.workload.as_ref().map_or_else(|| "-".into(), ToString::to_string);
            assert!(row.estimated);
            format!("{} {owner} {workload}", row.counts.packets)
        };
        summary.rows.iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(rows("owner", 7), ["7 nginx(1) -", "5 nginx(2) -", "3 - -"]);
    assert_eq!(rows("container", 7), ["12 - web.service", "3 - -"]);
    assert_eq!(rows("container", POD_NETNS), ["12 - web.service", "3 - pod:7"]);
    assert_eq!(
        rows("owner,container", POD_NETNS),
        ["7 nginx(1) web.service", "5 nginx(2) web.service", "3 - pod:7"]
    );
}

fn packets(summary: &Summary) -> Vec<u64> {
    summary.rows.iter().map(|row| row.counts.packets).collect()
}

#[test]
fn a_summary_tells_the_growth_since_the_one_before_and_the_end_tells_all() {
    let mut aggregator = Aggregator::new(By::default());
    let (flood, rare) = (key(2, 1, 1, 7, 17), key(4, 1, 1, 7, 6));
    let seen = |seen| Accounts { seen, detailed: seen, ..Accounts::default() };

    let first = aggregator.summary(now(1, seen(11)), [(rare, counts(1)), (flood, counts(10))], &mut Numbers);
    assert_eq!(packets(&first), [10, 1]);
    let second = aggregator.summary(now(3, seen(13)), [(flood, counts(10)), (rare, counts(3))], &mut Numbers);
    assert_eq!(packets(&second), [2, 0]);
    assert_eq!(second.interval, Duration::from_secs(2));
    assert_eq!((second.accounts.seen, second.total.seen), (2, 13));
    let end = aggregator.end(now(4, seen(14)), [(flood, counts(11)), (rare, counts(3))], &mut Numbers);
    assert_eq!(packets(&end), [11, 3]);
    assert_eq!((end.interval, end.accounts.seen), (Duration::from_secs(4), 14));
}

#[test]
fn rows_with_equal_counts_keep_their_places() {
    let mut aggregator = Aggregator::new("site".parse().unwrap());
    let reading = |reverse: bool| {
        let mut all: Vec<_> = (1..50).map(|address| (key(address, 1, 1, 7, 6), counts(1))).collect();
        if reverse {
            all.reverse();
        }
        all
    };
    let sites = |summary: &Summary| -> Vec<_> {
        summary.rows.iter().map(|row| row.site.as_ref().unwrap().address).collect()
    };
    let first = aggregator.summary(now(1, Accounts::default()), reading(false), &mut Numbers);
    let second = aggregator.summary(now(2, Accounts::default()), reading(true), &mut Numbers);
    assert_eq!(sites(&first), sites(&second));
}

#[test]
fn rows_carry_what_they_tell_apart_and_nothing_else() {
    let row = |by: &str| {
        let mut aggregator = Aggregator::new(by.parse().unwrap());
        aggregator
            .summary(now(1, Accounts::default()), [(key(5, 3, 1, 7, 6), counts(1))], &mut Numbers)
            .rows
            .remove(0)
    };
    let by_function = row("function");
    assert_eq!((by_function.function.as_deref(), by_function.site.is_some()), (Some("f2"), false));
    let by_device = row("device");
    assert_eq!((by_device.device.unwrap().index, by_device.netns.unwrap().inode), (1, 7));
    assert!(by_device.reason.is_none() && by_device.protocol.is_none());
    assert_eq!(row("reason").reason.unwrap().name, "R3");
    assert_eq!(row("proto").protocol.unwrap().ip, Some(6));
}

/// One place and one reason, whatever is asked.
struct Place(&'static str, &'static str);

impl Names for Place {
    fn site(&mut self, address: u64) -> Arc<Site> {
        Arc::new(Site {
            address,
            function: Some(self.0.into()),
            offset: 0,
            module: None,
            source: None,
            trap: None,
        })
    }

    fn reason(&mut self, number: u32) -> Arc<Reason> {
        let (name, subsystem) = (self.1.to_owned(), "core".to_owned());
        Arc::new(Reason { number, name, class: Class::Unknown, subsystem })
    }

    fn device(&mut self, netns: u32, ifindex: u32) -> Arc<Device> {
        Numbers.device(netns, ifindex)
    }

    fn netns(&mut self, inode: u32) -> Arc<Netns> {
        Numbers.netns(inode)
    }
}

#[rstest::rstest]
#[case::by_reason("site,reason", Some(1), "TCP_CSUM", Some(Class::Malformed))]
#[case::by_function("site,reason", Some(1), "NOT_SPECIFIED", Some(Class::Congestion))]
#[case::by_function_alone("function,reason", Some(1), "NOT_SPECIFIED", Some(Class::Congestion))]
#[case::without_reasons("site,reason", None, "", Some(Class::Congestion))]
#[case::without_a_function("reason", Some(1), "NOT_SPECIFIED", Some(Class::Unknown))]
#[case::several_reasons_in_a_row("site", Some(1), "TCP_CSUM", None)]
fn a_row_has_a_class_where_rows_tell_reasons_apart(
    #[case] by: &str,
    #[case] number: Option<u32>,
    #[case] reason: &'static str,
    #[case] class: Option<Class>,
) {
    let mut aggregator = Aggregator::new(by.parse().unwrap());
    let key = CountKey { reason: number, ..key(2, 0, 1, 1, 17) };
    let names = &mut Place("enqueue_to_backlog", reason);
    let summary = aggregator.summary(now(1, Accounts::default()), [(key, counts(3))], names);
    assert_eq!(summary.rows.iter().map(|row| row.class).collect::<Vec<_>>(), [class]);
}

#[test]
fn the_sites_of_a_function_are_one_row_and_an_address_without_a_symbol_is_its_own() {
    let mut aggregator = Aggregator::new("function".parse().unwrap());
    let reading = [1, 2, 3].map(|address| (key(address, 1, 1, 7, 6), counts(address)));
    let summary = aggregator.summary(now(1, Accounts::default()), reading, &mut Numbers);
    let rows: Vec<_> = summary.rows.iter().map(|row| (row.function.as_deref(), row.counts.packets)).collect();
    assert_eq!(rows, [(Some("f1"), 5), (Some("0x1"), 1)]);
}

#[test]
fn a_row_shows_the_flow_seen_last() {
    let mut aggregator = Aggregator::new("reason".parse().unwrap());
    let (one, two) = (key(2, 1, 1, 7, 6), key(3, 1, 1, 7, 6));
    record(&mut aggregator, two, 1, 1, 2);
    record(&mut aggregator, one, 1, 3, 4);
    let reading = [(one, counts(1)), (two, counts(1))];
    let summary = aggregator.summary(now(1, Accounts::default()), reading, &mut Numbers);
    assert_eq!(summary.rows[0].example, Some((endpoint(3, 1000), endpoint(4, 80))));
}

#[rstest::rstest]
#[case(Accounts { seen: 5, detailed: 5, ..Accounts::default() }, 1, false)]
#[case(Accounts { seen: 20, detailed: 5, sampled_out: 15, ..Accounts::default() }, 4, true)]
#[case(Accounts { seen: 6, detailed: 5, ring_full: 1, ..Accounts::default() }, 1, true)]
#[case(Accounts { seen: 9, detailed: 9, ..Accounts::default() }, 1, true)]
fn rows_by_flow_are_exact_only_when_every_drop_is_detailed(
    #[case] accounts: Accounts,
    #[case] weight: u64,
    #[case] estimated: bool,
) {
    let mut aggregator = Aggregator::new("src,port".parse().unwrap());
    for host in [1, 1, 1, 2, 3] {
        record(&mut aggregator, key(2, 1, 1, 7, 6), weight, host, 9);
    }
    let summary = aggregator.summary(now(1, accounts), [], &mut Numbers);
    assert_eq!(packets(&summary), [3 * weight, weight, weight]);
    let row = &summary.rows[0];
    assert_eq!((row.source, row.destination), (Some(Endpoint { port: None, ..endpoint(1, 0) }), None));
    assert_eq!((row.port, row.estimated, row.site.is_none()), (Some(80), estimated, true));
}

#[test]
fn what_no_detail_stands_for_is_in_the_row_of_others() {
    let mut aggregator = Aggregator::new("flow".parse().unwrap());
    let flood = key(2, 1, 1, 7, 6);
    record(&mut aggregator, flood, 1, 1, 9);
    let accounts = Accounts { seen: 100, detailed: 1, sampled_out: 99, ..Accounts::default() };
    let first = aggregator.summary(now(1, accounts), [(flood, counts(100))], &mut Numbers);
    assert_eq!(packets(&first), [1, 99]);
    assert!(first.rows[1].other && first.rows[0].estimated);
    record(&mut aggregator, flood, 60, 1, 9);
    let accounts = Accounts { seen: 101, detailed: 2, sampled_out: 99, ..Accounts::default() };
    let end = aggregator.end(now(2, accounts), [(flood, counts(101))], &mut Numbers);
    assert_eq!(packets(&end), [61, 40]);
}

#[test]
fn a_full_table_of_flows_keeps_the_sum_and_its_largest() {
    let mut aggregator = Aggregator::with_limit("flow".parse().unwrap(), 4);
    for host in 1..=9 {
        record(&mut aggregator, key(2, 1, 1, 7, 6), u64::from(host), host, 9);
    }
    let first = aggregator.summary(now(1, Accounts::default()), [], &mut Numbers);
    assert_eq!(packets(&first), [4, 3, 2, 1, 5 + 6 + 7 + 8 + 9]);
    assert!(first.rows[4].other);
    record(&mut aggregator, key(2, 1, 1, 7, 6), 10, 10, 9);
    let end = aggregator.end(now(2, Accounts::default()), [], &mut Numbers);
    assert_eq!(packets(&end), [10, 4, 3, 35 + 1 + 2]);
}

fn any_key() -> impl Strategy<Value = CountKey> {
    (0_u64..6, 0_u32..3, 0_u32..3, 0_u32..3, prop::sample::select(vec![1_u8, 6, 17]))
        .prop_map(|(address, reason, ifindex, netns, ip)| key(address, reason, ifindex, netns, ip))
}

fn any_by() -> impl Strategy<Value = By> {
    prop::sample::subsequence(&["site", "reason", "function", "device", "netns", "proto"][..], 1..=6)
        .prop_map(|names| names.join(",").parse().unwrap())
}

proptest! {
    /// However counters grow and whatever they are grouped by: every interval's rows sum to its growth, and the deltas to the last reading.
    #[test]
    fn rows_sum_to_the_whole(by in any_by(), steps in vec(vec((any_key(), 0_u64..1000), 0..20), 1..6)) {
        let mut aggregator = Aggregator::new(by);
        let mut reading: HashMap<CountKey, Counts> = HashMap::new();
        let mut deltas = 0;
        for step in &steps {
            let grown: u64 = step.iter().map(|(_, packets)| packets).sum();
            for (key, packets) in step {
                *reading.entry(*key).or_default() += counts(*packets);
            }
            let summary = aggregator.summary(now(1, Accounts::default()), reading.clone(), &mut Numbers);
            prop_assert_eq!(packets(&summary).iter().sum::<u64>(), grown);
            prop_assert!(packets(&summary).is_sorted_by(|a, b| a >= b));
            deltas += grown;
        }
        let end = aggregator.end(now(2, Accounts::default()), reading.clone(), &mut Numbers);
        let last: u64 = reading.values().map(|counts| counts.packets).sum();
        let bytes: u64 = end.rows.iter().map(|row| row.counts.bytes).sum();
        prop_assert_eq!((packets(&end).iter().sum::<u64>(), deltas, bytes), (last, last, last * 100));
    }

    /// Weights of details are neither lost nor doubled, however small the table.
    #[test]
    fn flows_sum_to_the_weights(
        limit in 1_usize..8,
        steps in vec(vec((0_u8..12, 1_u64..100), 0..30), 1..6),
    ) {
        let mut aggregator = Aggregator::with_limit("dst,reason".parse().unwrap(), limit);
        let mut all = 0;
        for step in &steps {
            for (host, weight) in step {
                record(&mut aggregator, key(2, 1, 1, 7, 6), *weight, 1, *host);
            }
            let grown: u64 = step.iter().map(|(_, weight)| weight).sum();
            all += grown;
            let summary = aggregator.summary(now(1, Accounts::default()), [], &mut Numbers);
            prop_assert_eq!(packets(&summary).iter().sum::<u64>(), grown);
            prop_assert!(summary.rows.len() <= limit + 1);
        }
        let end = aggregator.end(now(2, Accounts::default()), [], &mut Numbers);
        prop_assert_eq!(packets(&end).iter().sum::<u64>(), all);
    }
}

/// Of hardware no function is known: it is told apart by its traps, and has their class.
#[test]
fn a_trap_is_a_row_of_its_own_by_function_too() {
    let without_reason = CountKey { reason: None, ..key(TRAP, 0, 1, 7, 17) };
    for by in ["function", "function,reason", "site", "site,reason"] {
        let mut aggregator = Aggregator::new(by.parse().unwrap());
        let counters =
            [(without_reason, counts(3)), (key(2, 2, 1, 7, 17), counts(1)), (key(3, 2, 1, 7, 17), counts(1))];
        let end = aggregator.end(now(1, Accounts::default()), counters, &mut Numbers);
        let row = &end.rows[0];
        let trap = row.site.as_ref().and_then(|site| site.trap.as_ref());
        assert_eq!((row.total.packets, trap.map(|trap| &*trap.name)), (3, Some("tail_drop")), "{by}");
        assert_eq!(row.class, by.contains("reason").then_some(Class::Congestion), "{by}");
        assert_eq!(row.function, None);
        assert!(
            end.rows[1..].iter().all(|row| row.site.as_ref().is_none_or(|site| site.trap.is_none())),
            "{by}"
        );
    }
}
