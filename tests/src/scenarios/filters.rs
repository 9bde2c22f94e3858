//! Every filter flag of the kernel side, and its negation: the same traffic each time, the filter decides what is left.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::exactness::judge_accounts;
use super::shape::{ETHER_V4, UDP, V4};
use crate::lab::{Lab, Namespace, SENDER, Skip, until};
use crate::netdrop::Netdrop;
use crate::report::Row;
use crate::runner::Bench;
use crate::scenario::{KernelTypes, System};
use crate::traffic::{Icmp, Ipv4, PacketSocket, Tcp, Udp, corrupt};

/// One kind of the traffic that each filter meets, and how it is reported.
struct Kind {
    count: u64,
    reason: &'static str,
    function: &'static str,
    device: &'static str,
    in_sender: bool,
    protocol: &'static str,
    source: Ipv4Addr,
    /// Source and destination port; none for what has none.
    ports: Option<(u16, u16)>,
}

const STRANGER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const CLOSED: Kind = Kind {
    count: 7,
    reason: "NO_SOCKET",
    function: "__udp4_lib_rcv",
    device: "r0",
    in_sender: false,
    protocol: "udp",
    source: V4.source,
    ports: Some((UDP.source, UDP.destination)),
};
const LOCALHOST: Kind =
    Kind { count: 4, device: "lo", source: Ipv4Addr::LOCALHOST, ports: Some((40_001, 9)), ..CLOSED };

/// Counts are powers of two or primes apart, so that a wrong selection can't sum to a right one by luck.
const TRAFFIC: [Kind; 7] = [
    CLOSED,
    Kind { count: 16, function: "tcp_v4_rcv", protocol: "tcp", ports: Some((40_000, 81)), ..CLOSED },
    Kind { count: 32, reason: "IP_CSUM", function: "ip_rcv_core", ..CLOSED },
    Kind { count: 64, source: STRANGER, ports: Some((1234, 53)), ..CLOSED },
    Kind { count: 128, reason: "ICMP_CSUM", function: "icmp_rcv", protocol: "icmp", ports: None, ..CLOSED },
    LOCALHOST,
    Kind { count: 256, in_sender: true, ..LOCALHOST },
];

type Matches = fn(&Kind) -> bool;

/// Flag, value, and which kinds it selects; `--not-<flag>` selects the others.
const FILTERS: [(&str, &str, Matches); 19] = [
    ("reason", "NO_SOCKET", |kind| kind.reason == "NO_SOCKET"),
    ("reason", "NO_SOCKET,IP_CSUM", |kind| kind.reason != "ICMP_CSUM"),
    ("class", "no-receiver", |kind| kind.reason == "NO_SOCKET"),
    ("function", "tcp_v4_rcv", |kind| kind.function == "tcp_v4_rcv"),
    ("function", "tcp_v4_rcv,icmp_rcv", |kind| ["tcp_v4_rcv", "icmp_rcv"].contains(&kind.function)),
    ("device", "lo", |kind| kind.device == "lo"),
    ("netns", "INODE", |kind| !kind.in_sender),
    ("netns", "NAME", |kind| !kind.in_sender),
    ("proto", "tcp", |kind| kind.protocol == "tcp"),
    ("proto", "tcp,icmp", |kind| kind.protocol != "udp"),
    ("host", "203.0.113.7", |kind| kind.source == STRANGER),
    ("host", "10.9.0.0/24", |kind| kind.device == "r0"),
    ("src", "10.9.0.1", |kind| kind.source == V4.source),
    ("dst", "127.0.0.0/8", |kind| kind.device == "lo"),
    ("port", "1234", |kind| kind.ports == Some((1234, 53))),
    ("port", "50-90", |kind| kind.ports.is_some_and(|(_, to)| to == 53 || to == 81)),
    ("sport", "40001", |kind| kind.ports.is_some_and(|(from, _)| from == 40_001)),
    ("dport", "9", |kind| kind.ports.is_some_and(|(_, to)| to == 9)),
    ("dport", "80-81", |kind| kind.ports.is_some_and(|(_, to)| to == 81)),
];

pub fn table() -> Vec<System> {
    let case = |flag: &'static str, value: &'static str, matches: Matches, negated: bool| {
        let not = if negated { "not-" } else { "" };
        System::new(&format!("filter-{not}{flag}={value}"), move |bench| {
            let flag = format!("--{not}{flag}");
            run(bench, &flag, value, &|kind| matches(kind) != negated)
        })
    };
    FILTERS
        .into_iter()
        .flat_map(|(flag, value, matches)| [false, true].map(|negated| case(flag, value, matches, negated)))
        .collect()
}

fn run(bench: &Bench, flag: &str, value: &str, matches: &dyn Fn(&Kind) -> bool) -> Result<()> {
    if flag.ends_with("reason") && !kernel_has_reasons()? {
        return Err(Skip("this kernel gives no drop reasons".into()).into());
    }
    let lab = Lab::pair()?;
    // The stranger's packets must pass the reverse path, whatever this machine's default is.
    for device in ["all", "r0"] {
        lab.receiver.sysctl(&format!("net/ipv4/conf/{device}/rp_filter"), "0")?;
    }
    lab.receiver.ip(&["route add 203.0.113.7 via 10.9.0.1 dev r0"])?;
    let inode = lab.receiver.inode().to_string();
    let value = match value {
        "INODE" => &inode,
        "NAME" => lab.receiver.name(),
        other => other,
    };
    let mut netdrop = Netdrop::start(&bench.netdrop, &[flag, value, "--all"])?;
    send(&lab)?;
    netdrop.signal(Signal::SIGINT)?;
    let report = netdrop.report()?;
    judge_accounts(&report)?;

    let inodes = [lab.receiver.inode(), lab.from().inode()];
    let mut wanted = BTreeMap::new();
    for kind in TRAFFIC.iter().filter(|kind| matches(kind)) {
        let inode = inodes[usize::from(kind.in_sender)];
        *wanted.entry((inode, kind.function.to_owned(), kind.device.to_owned())).or_insert(0) += kind.count;
    }
    let mut seen = BTreeMap::new();
    // What the sender drops of the answers (resets, unreachables) depends on rate limits, and is nobody's claim.
    let here = |row: &&Row| {
        row.inode() == Some(inodes[0]) || row.inode() == Some(inodes[1]) && row.device_name() == Some("lo")
    };
    for row in report.rows.iter().filter(here) {
        let device = row.device_name().unwrap_or("").to_owned();
        // From 7.x on, the compiler has it inside its caller.
        let function = if row.plain_function() == "udp_rcv" { CLOSED.function } else { row.plain_function() };
        let key = (row.inode().context("only rows here")?, function.to_owned(), device);
        *seen.entry(key).or_insert(0) += row.count;
    }
    ensure!(seen == wanted, "\n          want {wanted:?}\n          seen {seen:?}");
    let all: u64 = TRAFFIC.iter().map(|kind| kind.count).sum();
    let filtered = report.accounts.unwrap_or_default().filtered;
    let rest = all - wanted.values().sum::<u64>();
    ensure!(filtered >= rest, "{filtered} filtered, but {rest} of ours should have been");
    Ok(())
}

/// Sends all kinds, and waits until the kernel's own counters have each.
fn send(lab: &Lab) -> Result<()> {
    let [closed, tcp, checksum, stranger, icmp, localhost, in_sender] = &TRAFFIC;
    let socket = PacketSocket::sender(lab.from(), SENDER.device)?;
    let syn = Tcp { source: 40_000, destination: 81, sequence: 1, acknowledgment: 0, flags: Tcp::SYN };
    let foreign = Udp { source: 1234, destination: 53 }.packet(&Ipv4 { source: STRANGER, ..V4 }, b"hey");
    for (packet, kind) in [
        (UDP.packet(&V4, b"hey"), closed),
        (syn.packet(&V4, b""), tcp),
        (corrupt(UDP.packet(&V4, b"hey"), 10), checksum),
        (foreign, stranger),
        (corrupt(Icmp::echo_v4(&V4), -1), icmp),
    ] {
        socket.repeat(&ETHER_V4.wrap(&packet), kind.count)?;
    }
    on_loopback(&lab.receiver, localhost.count)?;
    on_loopback(lab.from(), in_sender.count)?;
    for (namespace, group, name, wanted) in [
        (&lab.receiver, "Udp", "NoPorts", closed.count + stranger.count + localhost.count),
        (&lab.receiver, "IpExt", "InCsumErrors", checksum.count),
        (&lab.receiver, "Icmp", "InCsumErrors", icmp.count),
        (&lab.receiver, "Tcp", "OutRsts", tcp.count),
        (lab.from(), "Udp", "NoPorts", in_sender.count),
    ] {
        until(&format!("{group}.{name} to reach {wanted}"), Duration::from_secs(10), || {
            Ok((namespace.counter(group, name)? >= wanted).then_some(()))
        })?;
    }
    Ok(())
}

fn on_loopback(namespace: &Namespace, count: u64) -> Result<()> {
    let socket = namespace.enter(|| Ok(UdpSocket::bind("127.0.0.1:40001")?))?;
    (0..count).try_for_each(|_| Ok(socket.send_to(b"hey", "127.0.0.1:9").map(drop)?))
}

/// Whether drops come with reasons.
pub fn kernel_has_reasons() -> Result<bool> {
    Ok(KernelTypes::read()?.has_reason("NO_SOCKET"))
}
