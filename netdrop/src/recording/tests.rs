//! What output/json.rs writes is read back equal, and makes the tables that the run itself made.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::book::Book;
use super::*;
use crate::aggregate::{Aggregator, By, Dimension, Names, Now};
use crate::knowledge::Class;
use crate::model::{
    Accounts, Container, Context, CountKey, Counts, Device, Drop, Endpoint, Family, Gso, Header, Holding,
    Host, Netns, Owner, Packet, Pod, Process, Protocol, Reason, Row, Runtime, Site, Source, Summary,
    TcpFlags, Timestamp, Trap, Vlan, Workload,
};
use crate::output::samples;
use crate::output::{Clock, Json, Output, Text};

const TIME: u64 = 1_795_308_225_123_456_789;

/// Writes a line that was read.
fn written_again(line: &[u8]) -> Vec<u8> {
    let (mut book, mut out) = (Book::default(), Vec::new());
    match Line::parse(line).unwrap() {
        Line::Drop(line) => {
            let key = book.key(&line.whence, line.packet.protocol);
            let names = book.names(&key);
            let drop = Drop {
                time: line.time,
                weight: line.weight,
                site: &names.site,
                reason: names.reason.as_deref(),
                cpu: line.cpu,
                device: names.device.as_deref(),
                netns: names.netns.as_deref(),
                packet: &line.packet,
                header: Header::default(),
                context: Context::default(),
            };
            Json::new().drop(&drop, &mut out);
        }
        Line::Summary(totals) => Json::new().summary(&summary_of(&mut book, &totals), &mut out),
        Line::End(totals) => Json::new().end(&summary_of(&mut book, &totals), &mut out),
        Line::Rtt(_) | Line::Tcp(_) | Line::Finding(_) | Line::Other => panic!("a line of another kind"),
    }
    out
}

fn summary_of(book: &mut Book, totals: &Totals<'_>) -> Summary {
    let row = |line: &RowLine<'_>| {
        let key = book.key(&line.whence, line.protocol.unwrap_or_default());
        let names = book.names(&key);
        let site = line.whence.site.as_ref();
        Row {
            counts: line.counts,
            estimated: line.estimated,
            other: line.other,
            function: site.and_then(|site| Some(site.function.as_ref()?.to_string())),
            site: site.filter(|site| site.address.is_some() || site.trap.is_some()).map(|_| names.site),
            reason: names.reason,
            device: names.device,
            netns: names.netns,
            protocol: line.protocol,
            source: line.source,
            destination: line.destination,
            port: line.port,
            ..Row::default()
        }
    };
    let rows = totals.rows.iter().map(row).collect();
    Summary {
        time: totals.time,
        interval: totals.interval,
        rows,
        accounts: totals.accounts,
        attribution: totals.attribution.clone(),
        ..Summary::default()
    }
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9_.]{1,12}", "\\PC{1,8}", Just("with \"quotes\" and \\".to_owned())]
}

prop_compose! {
    fn any_source()(line in any_name(), inlined in prop::collection::vec(any_name(), 0..3)) -> Source {
        Source { line, inlined }
    }
}

prop_compose! {
    fn any_trap()(name in any_name(), group in any_name(), driver in prop_oneof![Just(String::new()), any_name()], device in any_name()) -> Trap {
        Trap { name, group, driver, device }
    }
}

prop_compose! {
    fn any_site()(address in 1_u64.., function in prop::option::of(any_name()), offset in any::<u64>(), module in prop::option::of(any_name()), source in prop::option::of(any_source()), trap in prop::option::of(any_trap())) -> Site {
        let offset = if function.is_some() { offset } else { 0 };
        match trap {
            Some(_) => Site { trap, ..Site::default() },
            None => Site { address, function, offset, module, source, trap: None },
        }
    }
}

prop_compose! {
    fn any_reason()(name in any_name(), class in 0_usize..Class::ALL.len(), subsystem in any_name()) -> Reason {
        Reason { number: 1, name, class: Class::ALL[class], subsystem }
    }
}

prop_compose! {
    fn any_endpoint()(address in any::<IpAddr>(), port in any::<Option<u16>>()) -> Endpoint {
        Endpoint { address, port }
    }
}

prop_compose! {
    fn any_place()(
        site in any_site(),
        reason in prop::option::of(any_reason()),
        device in prop::option::of((1_u32.., prop::option::of(any_name()))),
        netns in prop::option::of((1_u32.., prop::option::of(any_name()), any_workload())),
    ) -> (Site, Option<Reason>, Option<Device>, Option<Netns>) {
        let device = device.map(|(index, name)| Device { index, name });
        let netns = netns.map(|(inode, name, workload)| Netns { inode, name, workload: Arc::new(workload) });
        (site, reason, device, netns)
    }
}

prop_compose! {
    fn any_workload()(
        container in prop::option::of((0_usize..Runtime::ALL.len(), any_name(), prop::option::of(any_name()))),
        pod in prop::option::of((any_name(), prop::option::of(any_name()))),
        unit in prop::option::of(any_name()),
    ) -> Workload {
        let container =
            container.map(|(runtime, id, name)| Container { runtime: Runtime::ALL[runtime], id, name });
        Workload { container, pod: pod.map(|(uid, name)| Pod { uid, name }), unit }
    }
}

prop_compose! {
    fn any_packet()(
        (length, ethertype, ip, family) in (any::<u32>(), any::<u16>(), any::<Option<u8>>(), 0_usize..4),
        source in prop::option::of(any_endpoint()),
        destination in prop::option::of(any_endpoint()),
        (ttl, fragment_offset) in (any::<Option<u8>>(), any::<Option<u16>>()),
        (flags, tcp_sequence) in (any::<Option<u8>>(), any::<Option<u32>>()),
        (icmp, arp_operation) in (any::<Option<(u8, u8)>>(), any::<Option<u16>>()),
        ids in any::<[Option<u16>; 2]>(),
        macs in any::<[Option<[u8; 6]>; 2]>(),
        gso in any::<Option<(u16, u16)>>(),
    ) -> Packet {
        Packet {
            length,
            family: [None, Some(Family::Ipv4), Some(Family::Ipv6), Some(Family::Arp)][family],
            protocol: Protocol { ethertype, ip },
            source,
            destination,
            ttl,
            fragment_offset,
            tcp_flags: flags.map(TcpFlags),
            tcp_sequence,
            icmp,
            arp_operation,
            vlans: ids.map(|id| id.map(|id| Vlan { id: id & 4095, priority: 0 })),
            source_mac: macs[0],
            destination_mac: macs[1],
            gso: gso.map(|(size, segments)| Gso { size, segments }),
        }
    }
}

prop_compose! {
    fn any_row()(
        (packets, bytes, estimated, other) in (1_u64.., any::<u64>(), any::<bool>(), any::<bool>()),
        (site, reason, device, netns) in any_place(),
        in_code in 0_u8..3,
        protocol in prop::option::of((1_u16.., any::<Option<u8>>())),
        source in prop::option::of(any_endpoint()),
        destination in prop::option::of(any_endpoint()),
        port in any::<Option<u16>>(),
    ) -> Row {
        Row {
            counts: Counts { packets, bytes },
            estimated,
            other,
            function: site.function.clone().filter(|_| in_code == 1),
            site: (in_code == 2).then(|| Arc::new(site)),
            reason: reason.map(Arc::new),
            device: device.map(Arc::new),
            netns: netns.map(Arc::new),
            protocol: protocol.map(|(ethertype, ip)| Protocol { ethertype, ip }),
            source,
            destination,
            port,
            ..Row::default()
        }
    }
}

fn any_accounts() -> impl Strategy<Value = Accounts> {
    any::<[u64; 7]>().prop_map(
        |[seen, detailed, sampled_out, ring_full, filtered, table_full, recursion_misses]| Accounts {
            seen,
            detailed,
            sampled_out,
            ring_full,
            filtered,
            table_full,
            recursion_misses,
            stackless: seen % 3,
        },
    )
}

proptest! {
    #[test]
    fn every_drop_is_read_as_it_was_written(
        (site, reason, device, netns) in any_place(),
        packet in any_packet(),
        (time, weight, cpu) in (any::<u64>(), any::<u64>(), any::<u32>()),
    ) {
        let drop = Drop {
            time: Timestamp(time), weight, site: &site, reason: reason.as_ref(), cpu, device: device.as_ref(),
            netns: netns.as_ref(), packet: &packet, header: Header::default(), context: Context::default(),
        };
        let mut line = Vec::new();
        Json::new().drop(&drop, &mut line);
        prop_assert_eq!(String::from_utf8(written_again(&line)), String::from_utf8(line.clone()));
        let Line::Drop(read) = Line::parse(&line).unwrap() else { panic!("no drop") };
        // What JSON doesn't tell of a packet: the priority of a VLAN, which of two EtherTypes a name is, empty places.
        let vlans = packet.vlans.into_iter().flatten().map(|vlan| Some(Vlan { priority: 0, ..vlan }));
        let mut told = vlans.chain([None, None]);
        let vlans = [told.next().flatten(), told.next().flatten()];
        prop_assert_eq!(read.packet, Packet { protocol: packet.protocol.as_named(), vlans, ..packet });
        prop_assert_eq!((read.time, read.weight, read.cpu), (drop.time, weight, cpu));
    }

    #[test]
    fn every_summary_is_read_as_it_was_written(
        rows in vec(any_row(), 0..4),
        accounts in any_accounts(),
        (time, millis, is_end) in (any::<u64>(), any::<u64>(), any::<bool>()),
    ) {
        let interval = Duration::from_millis(millis);
        let summary = Summary { time: Timestamp(time), interval, rows, accounts, ..Summary::default() };
        let mut line = Vec::new();
        if is_end { Json::new().end(&summary, &mut line) } else { Json::new().summary(&summary, &mut line) }
        // The same index and inode may come under another name in another row: each line is read alone.
        let alone = |row: &Row| Summary { rows: vec![row.clone()], ..summary.clone() };
        for row in &summary.rows {
            let mut line = Vec::new();
            Json::new().summary(&alone(row), &mut line);
            prop_assert_eq!(String::from_utf8(written_again(&line)), String::from_utf8(line));
        }
        let (Line::Summary(read) | Line::End(read)) = Line::parse(&line).unwrap() else { panic!("no summary") };
        prop_assert_eq!((read.time, read.interval, read.accounts), (summary.time, interval, accounts));
        prop_assert_eq!(read.rows.len(), summary.rows.len());
    }

    #[test]
    fn no_line_makes_the_reader_panic(bytes in vec(any::<u8>(), 0..200), text in "\\PC{0,100}") {
        let _ = (Line::parse(&bytes), Line::parse(text.as_bytes()));
    }
}

#[test]
fn what_other_counters_said_is_read_as_it_was_written() {
    let attribution = samples::attribution();
    let summary = Summary { attribution: attribution.clone(), ..samples::end() };
    let mut line = Vec::new();
    Json::new().end(&summary, &mut line);
    assert_eq!(String::from_utf8(written_again(&line)), String::from_utf8(line.clone()));
    let all = replayed("site,reason".parse().unwrap(), Window::default(), &line).unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].attribution, attribution);
    assert_eq!(
        sum(vec![all[0].clone(), all[0].clone()]).attribution.rules.len(),
        2 * attribution.rules.len()
    );
}

/// As watch writes them, before the end that they belong to; those of other namespaces have a member that drops have too, of another kind.
#[test]
fn what_the_doctor_said_is_of_its_run() {
    use crate::doctor::{Finding, Severity};
    let finding = Finding {
        check: "tcp-listen-overflow",
        netns: Some("web".into()),
        ..Finding::new(Severity::Critical, "listener 0.0.0.0:8080", "3000 SYNs were dropped.")
            .explains(&["TCP_LISTEN_OVERFLOW"])
    };
    let mut lines = Vec::new();
    let mut json = Json::new();
    json.findings(&[finding], &mut lines);
    json.end(&samples::end(), &mut lines);
    json.end(&samples::end(), &mut lines);
    let all = replayed("site,reason".parse().unwrap(), Window::default(), &lines).unwrap();
    let [one] = &all[0].findings[..] else { panic!("{:?}", all[0].findings) };
    assert_eq!((one.check.as_str(), one.severity.as_str()), ("tcp-listen-overflow", "critical"));
    assert!(all[0].rows.iter().any(|row| one.is_of(row)) && all[1].findings.is_empty());
    let told = samples::written(|out| Text::new(Clock::utc(), false).end(&all[0], out));
    assert!(told.contains("# doctor: listener 0.0.0.0:8080 in web: 3,000 SYNs were dropped."), "{told}");
    assert_eq!(sum(all).findings.len(), 1);
    let mut tape = Tape::default();
    lines.split_inclusive(|byte| *byte == b'\n').for_each(|line| tape.take(&Line::parse(line).unwrap()));
    tape.finish();
    assert!(tape.until(1).all(|frame| frame.summary().findings.len() == 1));
}

/// Where its code begins.
const CODE: u64 = 0xffff_ffff_8100_0000;

/// Names as a kernel has them.
struct Kernel;

impl Names for Kernel {
    fn site(&mut self, address: u64) -> Arc<Site> {
        let number = address - CODE;
        // Two sites a function.
        Arc::new(Site {
            address,
            function: Some(format!("f{}", number / 2)),
            offset: number,
            module: None,
            source: None,
            trap: None,
        })
    }

    fn reason(&mut self, number: u32) -> Arc<Reason> {
        // Their names are not in the order of their numbers.
        let name = format!("R{}", 9 - number);
        Arc::new(Reason { number, name, class: Class::Policy, subsystem: "core".into() })
    }

    fn device(&mut self, netns: u32, ifindex: u32) -> Arc<Device> {
        Arc::new(Device { index: ifindex, name: Some(format!("d{netns}.{ifindex}")) })
    }

    fn netns(&mut self, inode: u32) -> Arc<Netns> {
        let unit = (inode == 1).then(|| "n1.service".to_owned());
        let workload = Arc::new(Workload { unit, ..Workload::default() });
        Arc::new(Netns { inode, name: Some(format!("n{inode}")), workload })
    }
}

/// One drop of a run: its key, its flow, how many it stands for, and whether details of it were sent.
#[derive(Debug, Clone, Copy)]
struct Event {
    key: CountKey,
    flow: (u8, u8),
    weight: u8,
    detailed: bool,
}

prop_compose! {
    fn any_event()(
        (address, reason, ifindex, netns) in (1_u64..5, 1_u32..3, 0_u32..3, 1_u32..3),
        (ip, is_ipv6) in (prop_oneof![Just(6_u8), Just(17)], any::<bool>()),
        flow in (1_u8..4, 1_u8..4),
        weight in 1_u8..4,
        detailed in prop::bool::weighted(0.8),
    ) -> Event {
        let protocol = Protocol { ethertype: if is_ipv6 { 0x86dd } else { 0x0800 }, ip: Some(ip) };
        let reason = Some(reason);
        Event { key: CountKey { address: CODE + address, reason, ifindex, netns, protocol }, flow, weight, detailed }
    }
}

/// A run as `watch` does it, with rows by `by`: its lines of JSON, and its end as text.
fn run(by: By, intervals: &[Vec<Event>]) -> (Vec<u8>, String) {
    let (mut aggregator, mut json, mut lines) = (Aggregator::new(by), Json::new(), Vec::new());
    let mut counters = std::collections::HashMap::<CountKey, Counts>::new();
    let mut now = Now { time: Timestamp(TIME), ..Now::default() };
    for events in intervals {
        now = Now { time: Timestamp(now.time.0 + 1), elapsed: now.elapsed + Duration::from_secs(1), ..now };
        for event in events {
            let weight = u64::from(event.weight);
            *counters.entry(event.key).or_default() += Counts { packets: weight, bytes: weight * 100 };
            now.accounts.seen += weight;
            now.accounts.sampled_out += weight - u64::from(event.detailed);
            now.accounts.detailed += u64::from(event.detailed);
            if event.detailed {
                detail(event, now.time, |drop| {
                    aggregator.record(drop);
                    json.drop(drop, &mut lines);
                });
            }
        }
        json.summary(&aggregator.summary(now, counters.clone(), &mut Kernel), &mut lines);
    }
    let end = aggregator.end(now, counters, &mut Kernel);
    json.end(&end, &mut lines);
    (lines, text(&end))
}

fn detail(event: &Event, time: Timestamp, take: impl FnOnce(&Drop<'_>)) {
    let key = event.key;
    let endpoint = |host: u8| Some(Endpoint { address: [10, 0, 0, host].into(), port: Some(host.into()) });
    let packet = Packet {
        length: 100,
        protocol: key.protocol,
        source: endpoint(event.flow.0),
        destination: endpoint(event.flow.1),
        ..Packet::default()
    };
    let names = &mut Kernel;
    let site = names.site(key.address);
    let (socket, owner) = (samples::socket(), owner(event.flow.0));
    let device = (key.ifindex != 0).then(|| names.device(key.netns, key.ifindex));
    take(&Drop {
        time,
        weight: event.weight.into(),
        site: &site,
        reason: key.reason.map(|number| names.reason(number)).as_deref(),
        cpu: 0,
        device: device.as_deref(),
        netns: Some(&names.netns(key.netns)),
        packet: &packet,
        header: Header::default(),
        context: Context { socket: Some(&socket), owner: Some(&owner), ..Context::default() },
    });
}

/// Of the first a process in a container, of the second a process that is gone, of the third nothing is known.
fn owner(number: u8) -> Owner {
    let process = |holding| Process { pid: number.into(), command: "server".into(), holding };
    let container = Container { runtime: Runtime::Podman, id: "3f2a".into(), name: Some("web".into()) };
    let in_container = Workload { container: Some(container), ..Workload::default() };
    match number {
        1 => Owner {
            processes: vec![process(Holding::Open)],
            workload: Arc::new(in_container),
            ..Owner::default()
        },
        2 => Owner { processes: vec![process(Holding::Gone)], nobody: true, ..Owner::default() },
        _ => Owner::default(),
    }
}

fn text(summary: &Summary) -> String {
    let mut out = Vec::new();
    Text::new(Clock::utc(), false).end(summary, &mut out);
    String::from_utf8(out).unwrap()
}

/// What each run in `lines` comes to.
fn replayed(by: By, window: Window, lines: &[u8]) -> Result<Vec<Summary>, RecordingError> {
    let mut replay = Replay::new(by, window);
    let mut lines = Lines::new("drops.jsonl", lines)?;
    while let Some(line) = lines.next_line()? {
        replay.take(&line)?;
    }
    replay.finish()?;
    Ok(replay.into_summaries())
}

fn any_by() -> impl Strategy<Value = By> {
    use Dimension::{Container, Device, Dst, Flow, Function, Netns, Owner, Port, Proto, Reason, Site, Src};
    let all = vec![Site, Reason, Function, Device, Netns, Proto, Flow, Src, Dst, Port, Owner, Container];
    prop::sample::subsequence(all, 1..=12).prop_map(|dimensions| dimensions.into_iter().collect())
}

proptest! {
    /// The table that `watch --by X` ends with is the one that `report --by X` makes of a recording by anything finer.
    #[test]
    fn a_recording_makes_every_table_of_its_run(by in any_by(), intervals in vec(vec(any_event(), 0..8), 1..4)) {
        let (_, of_the_run) = run(by, &intervals);
        let (lines, _) = run(By::default(), &intervals);
        let summaries = replayed(by, Window::default(), &lines).unwrap();
        prop_assert_eq!(text(&summaries[0]), of_the_run);
    }

    /// And so it is with a recording by the very same.
    #[test]
    fn a_recording_by_the_same_makes_the_same_table(by in any_by(), intervals in vec(vec(any_event(), 0..8), 1..4)) {
        let (lines, of_the_run) = run(by, &intervals);
        let summaries = replayed(by, Window::default(), &lines).unwrap();
        prop_assert_eq!(text(&summaries[0]), of_the_run);
    }
}

fn event(address: u64, weight: u8) -> Event {
    let protocol = Protocol { ethertype: 0x0800, ip: Some(17) };
    let key = CountKey { address: CODE + address, reason: Some(1), ifindex: 1, netns: 1, protocol };
    Event { key, flow: (1, 2), weight, detailed: true }
}

fn drops(summary: &Summary) -> Vec<u64> {
    summary.rows.iter().map(|row| row.counts.packets).collect()
}

#[test]
fn what_rows_do_not_tell_apart_is_estimated_from_details() {
    let (lines, _) = run("reason".parse().unwrap(), &[vec![event(2, 3), event(4, 1)]]);
    let by_function = replayed("function".parse().unwrap(), Window::default(), &lines).unwrap();
    assert_eq!(drops(&by_function[0]), [3, 1]);
    assert!(by_function[0].rows.iter().all(|row| row.estimated));
    let without_details: Vec<u8> =
        lines.split_inclusive(|byte| *byte == b'\n').skip(2).flatten().copied().collect();
    let error = replayed("function".parse().unwrap(), Window::default(), &without_details).unwrap_err();
    assert!(error.to_string().contains("`--by function`"), "{error}");
}

#[test]
fn a_window_counts_what_is_in_it() {
    let (lines, _) = run(By::default(), &[vec![event(2, 1)], vec![event(2, 2)], vec![event(2, 4)]]);
    let counted = |since: Option<u64>, until: Option<u64>| {
        let at = |second: Option<u64>| second.map(|second| Timestamp(TIME + second));
        let window = Window { since: at(since), until: at(until) };
        let summary = replayed(By::default(), window, &lines).unwrap().remove(0);
        assert_eq!(drops(&summary).iter().sum::<u64>(), summary.accounts.seen);
        summary.accounts.seen
    };
    assert_eq!(counted(None, None), 7);
    assert_eq!(counted(Some(2), None), 6);
    assert_eq!(counted(None, Some(2)), 1);
    assert_eq!(counted(Some(2), Some(3)), 2);
    assert_eq!(counted(Some(9), None), 0);
}

#[test]
fn runs_are_added_up_by_name() {
    let (first, _) = run(By::default(), &[vec![event(2, 3), event(4, 1)]]);
    let (second, _) = run(By::default(), &[vec![event(4, 3)]]);
    let runs = replayed(By::default(), Window::default(), &[first, second].concat()).unwrap();
    assert_eq!(runs.len(), 2);
    let all = sum(runs);
    assert_eq!(drops(&all), [4, 3]);
    assert_eq!((all.accounts.seen, all.elapsed), (7, Duration::from_secs(2)));
    assert_eq!(sum(Vec::new()).rows.len(), 0);
}

#[test]
fn a_run_without_its_end_counts_up_to_its_last_summary() {
    let (lines, _) = run(By::default(), &[vec![event(2, 3)], vec![event(2, 4)]]);
    let lines: Vec<&[u8]> = lines.split_inclusive(|byte| *byte == b'\n').collect();
    let all = replayed(By::default(), Window::default(), &lines[..4].concat()).unwrap();
    assert_eq!((drops(&all[0]), all[0].elapsed), (vec![7], Duration::from_secs(2)));
    // The beginning was rotated away: the end knows.
    let end = replayed(By::default(), Window::default(), lines[4]).unwrap();
    assert_eq!(drops(&end[0]), [7]);
}

#[test]
fn details_alone_count_what_they_stand_for() {
    let (lines, _) = run(By::default(), &[vec![event(2, 3), event(4, 1)]]);
    let details: Vec<u8> = lines.split_inclusive(|byte| *byte == b'\n').take(2).flatten().copied().collect();
    for (by, rows) in [("function", [3, 1].as_slice()), ("dst", &[4])] {
        let all = replayed(by.parse().unwrap(), Window::default(), &details).unwrap();
        assert_eq!((drops(&all[0]).as_slice(), all[0].accounts.seen), (rows, 4));
        assert!(all[0].accounts.balance() && all[0].rows.iter().all(|row| row.estimated));
    }
}

#[test]
fn a_last_line_that_is_cut_short_is_told_and_the_rest_counts() {
    let (lines, _) = run(By::default(), &[vec![event(2, 3)], vec![event(2, 4)]]);
    let ends: Vec<usize> =
        lines.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    for length in 0..=lines.len() {
        let mut read = Lines::new("drops.jsonl", &lines[..length]).unwrap();
        let mut count = 0;
        while read.next_line().unwrap().is_some() {
            count += 1;
        }
        let whole = ends.iter().filter(|end| **end <= length).count();
        match read.cut() {
            // The end of a line alone is no loss.
            None => {
                assert!(length == 0 || ends.contains(&length) || ends.contains(&(length + 1)), "{length}");
            }
            Some(cut) => {
                assert_eq!((count, cut.line), (whole, whole as u64 + 1), "{length}");
                assert_eq!(usize::try_from(cut.offset).unwrap() + cut.bytes, length);
            }
        }
    }
}

#[test]
fn a_compressed_recording_reads_like_a_plain_one_as_far_as_it_goes() {
    let (lines, _) = run(By::default(), &[vec![event(2, 3)], vec![event(2, 4)]]);
    // A frame for each line, as appended ones are.
    let frames = lines.split_inclusive(|byte| *byte == b'\n').map(|line| zstd::encode_all(line, 1).unwrap());
    let frames: Vec<Vec<u8>> = frames.collect();
    let all = replayed(By::default(), Window::default(), &frames.concat()).unwrap();
    assert_eq!(drops(&all[0]), [7]);
    let mut cut = frames[..4].concat();
    cut.extend(&frames[4][..20]);
    let up_to_there = replayed(By::default(), Window::default(), &cut).unwrap();
    assert_eq!(drops(&up_to_there[0]), [7]);
}

#[rstest::rstest]
#[case::garbage(
    "{\"v\":1}\nhello\n",
    "drops.jsonl:1: not a line of `netdrop watch --format json`: it has no `kind`"
)]
#[case::not_json(
    "\nhello\n",
    "drops.jsonl:2: not a line of `netdrop watch --format json`: expected value at line 1 column 1"
)]
#[case::newer(
    "{\"v\":2,\"kind\":\"drop\",\"packet\":[]}\n",
    "drops.jsonl:1: the line is of schema version 2, and this netdrop reads version 1: read it with the netdrop that wrote it, or a newer one"
)]
#[case::newer_and_alike(
    "{\"v\":2,\"kind\":\"drop\"}\n",
    "drops.jsonl:1: the line is of schema version 2, and this netdrop reads version 1: read it with the netdrop that wrote it, or a newer one"
)]
#[case::no_such_class(
    "{\"v\":1,\"kind\":\"drop\",\"time\":\"2026-11-22T00:43:45Z\",\"weight\":1,\"cpu\":0,\"packet\":{\"length\":1},\"address\":\"0x1\",\"reason\":\"R\",\"class\":\"bad\",\"subsystem\":\"core\"}\n",
    "drops.jsonl:1: not a line of `netdrop watch --format json`: `class` is \"bad\""
)]
fn what_is_no_recording_is_named(#[case] lines: &str, #[case] message: &str) {
    let error = replayed(By::default(), Window::default(), lines.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), message);
}

#[test]
fn what_a_later_netdrop_adds_is_passed_over() {
    let lines = "{\"v\":1,\"kind\":\"finding\",\"text\":{\"x\":[1]}}\n\
                 {\"v\":1,\"kind\":\"drop\",\"time\":\"2026-11-22T00:43:45Z\",\"weight\":1,\"cpu\":0,\"address\":\"0x1\",\
                 \"packet\":{\"length\":1,\"new\":null},\"socket\":{\"owner\":{\"pid\":1}}}\n";
    let summaries = replayed("src".parse().unwrap(), Window::default(), lines.as_bytes()).unwrap();
    assert_eq!(drops(&summaries[0]), [1]);
}

#[test]
fn a_line_without_end_is_no_reason_to_take_all_memory() {
    let mut lines = Lines::new("drops.jsonl", std::io::repeat(b'x')).unwrap();
    let error = lines.next_line().unwrap_err();
    assert_eq!(error.to_string(), "drops.jsonl:1: a line of more than 16 MB is no recording's");
}

/// What passes by, in words.
#[derive(Default)]
struct Heard(Vec<String>);

impl Listener for Heard {
    fn drop(&mut self, drop: &Drop<'_>, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        self.0.push(format!("{} {:?} {}", drop.weight, drop.context.stack, line.contains("\"stack\":[")));
    }

    fn summary(&mut self, summary: &Summary) {
        let row = |row: &Row| format!("{} {:?} {:?}", row.counts.packets, row.function(), row.class);
        self.0.extend(summary.rows.iter().map(row));
    }
}

#[test]
fn a_listener_hears_call_chains_and_intervals_and_the_machine_is_known() {
    let stack = ["udp_rcv+0x1".to_owned(), "ip_rcv+0x2 [ipv6]".to_owned()];
    let host = Host { name: "web-1".into(), kernel: "6.12.9".into() };
    let (parts, mut recording) = (samples::udp(), Vec::new());
    let mut json = Json::new().on(host.clone());
    let context = Context { stack: &stack, ..Context::default() };
    json.drop(&Drop { context, ..parts.drop(7) }, &mut recording);
    json.summary(&samples::summary(), &mut recording);
    json.end(&samples::end(), &mut recording);
    let mut lines = Lines::new("drops", recording.as_slice()).unwrap();
    let (mut replay, mut heard) = (Replay::new(By::default(), Window::default()), Heard::default());
    for _run in 0..2 {
        while let Some((line, text)) = lines.next_with_text().unwrap() {
            replay.tell(&line, text, Some(&mut heard)).unwrap();
        }
        lines = Lines::new("drops", recording.as_slice()).unwrap();
    }
    assert_eq!(replay.hosts(), [host]);
    assert_eq!(
        heard.0[..3],
        [
            r#"7 ["udp_rcv+0x1", "ip_rcv+0x2 [ipv6]"] true"#,
            r#"489412 Some("__udp4_lib_rcv") Some(NoReceiver)"#,
            r#"12 Some("tcp_conn_request") Some(Congestion)"#,
        ]
    );
    assert_eq!((heard.0.len(), replay.into_summaries().len()), (6, 2));
}

/// What `watch --tcp --format json` writes, and what was in it.
fn recorded_with_tcp() -> (String, crate::model::tcp::TcpSummary) {
    let tcp = crate::tcp::samples::counted();
    let summary = Summary { interval: Duration::from_secs(1), ..crate::tcp::samples::summary(tcp.clone()) };
    let event = crate::tcp::samples::retransmit(crate::model::tcp::Retransmit::Rto);
    let mut json = Json::new();
    let mut lines = Vec::new();
    json.tcp(&event, &mut lines);
    json.summary(&summary, &mut lines);
    json.end(&summary, &mut lines);
    (String::from_utf8(lines).unwrap(), tcp)
}

fn replayed_all(lines: &str) -> Vec<Summary> {
    replayed(By::default(), Window::default(), lines.as_bytes()).unwrap()
}

/// Written, read, written again: the same.
#[test]
fn tcp_is_read_as_it_was_written() {
    let (lines, _) = recorded_with_tcp();
    let end = replayed_all(&lines).remove(0);
    let mut again = Vec::new();
    Json::new().end(&end, &mut again);
    let of_run = |line: &&str| line.contains(r#""of":"run""#);
    let expected: Vec<&str> = lines.lines().filter(of_run).collect();
    let again = String::from_utf8(again).unwrap();
    assert_eq!(again.lines().filter(of_run).collect::<Vec<_>>(), expected);
    let tcp = |lines: &str| {
        let end: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        end["tcp"].clone()
    };
    assert_eq!(tcp(&again), tcp(&lines));
}

/// Without an end, what its summaries say adds up.
#[test]
fn tcp_without_its_end_is_the_sum_of_its_intervals() {
    let (lines, tcp) = recorded_with_tcp();
    let is_of_interval =
        |line: &&str| line.contains(r#""kind":"summary""#) || line.contains(r#""of":"interval""#);
    let interval: Vec<&str> = lines.lines().filter(is_of_interval).collect();
    let twice = [interval.clone(), interval].concat().join("\n");
    let whole = replayed_all(&twice).remove(0).tcp.unwrap();
    assert_eq!(whole.accounts.seen, 2 * tcp.accounts.seen);
    assert_eq!(whole.events(|_| true), 2 * tcp.events(|_| true));
    assert_eq!(whole.closes.total(), 2 * tcp.closes.total());
    let times =
        |tcp: &crate::model::tcp::TcpSummary| tcp.rtt.iter().map(|row| row.total.count()).sum::<u64>();
    assert_eq!(times(&whole), 2 * times(&tcp));
}

/// Several runs add up by name; runs without TCP leave it as it is.
#[test]
fn tcp_of_several_runs_adds_up() {
    let (lines, tcp) = recorded_with_tcp();
    let mut runs = replayed_all(&(lines.clone() + &lines));
    assert_eq!(runs.len(), 2);
    runs.push(Summary::default());
    let all = super::sum(runs).tcp.unwrap();
    assert_eq!(all.events(|_| true), 2 * tcp.events(|_| true));
    assert_eq!(all.existed, Some(24));
}

#[rstest::rstest]
#[case(r#"{"v":1,"kind":"tcp.rtt","of":"run","what":"guessed","sum_us":1,"buckets":[]}"#)]
#[case(r#"{"v":1,"kind":"tcp.rtt","of":"run"}"#)]
#[case(r#"{"v":1,"kind":"tcp.rtt","of":"run","what":"sample","sum_us":1,"buckets":[[1,2]]}"#)]
#[case(r#"{"v":1,"kind":"end","time":"2026-11-22T00:43:45.123456789Z","interval_ms":1,"rows":[],"accounts":{"seen":0,"detailed":0,"sampled_out":0,"ring_full":0,"filtered":0,"table_full":0,"recursion_misses":0},"tcp":{"accounts":{"seen":1,"detailed":1,"sampled_out":0,"ring_full":0,"filtered":0,"untracked":0,"rtt_seen":0,"rtt_others":0,"recursion_misses":0},"counts":[{"event":"surprise","count":1}]}}"#)]
fn wrong_lines_of_tcp_are_refused(#[case] line: &str) {
    assert!(Line::parse(line.as_bytes()).is_err());
}
