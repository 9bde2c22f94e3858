//! Routing: which way packets come and go, and whether they fit.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use serde_json::Value;

use super::PATIENCE;
use crate::doctor::{Doctor, Told, apply, examined};
use crate::lab::{Lab, Namespace, SENDER, until};
use crate::runner::Bench;
use crate::scenario::{Case, KernelTypes, systems};
use crate::scenarios::shape::{BEHIND, ETHER_V4, UDP, V4, only_where_known};
use crate::traffic::{Ipv4, PacketSocket};

const COUNT: u64 = 50;
const NOWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

pub fn table() -> Vec<Case> {
    systems([
        ("doctor-reverse-path", reverse_path),
        ("doctor-martian", martian),
        ("doctor-no-route-on", no_route_on),
        ("doctor-no-route-out", no_route_out),
        ("doctor-forwarding-off", forwarding_off),
        ("doctor-fragments-lost", fragments_lost),
        ("doctor-fragments-memory", fragments_memory),
        ("doctor-ttl-loop", ttl_loop),
        ("doctor-path-mtu", path_mtu),
        ("doctor-packet-too-big", packet_too_big),
    ])
}

/// What the receiver's doctor says of frames with these packets.
fn judged(bench: &Bench, lab: &Lab, packets: &[Vec<u8>]) -> Result<Told> {
    let socket = PacketSocket::sender(lab.from(), SENDER.device)?;
    examined(bench, &lab.receiver, "routing", || {
        packets.iter().try_for_each(|packet| socket.send(&ETHER_V4.wrap(packet)))
    })
}

/// The same packet again and again.
fn repeated(ip: &Ipv4) -> Vec<Vec<u8>> {
    (0..COUNT).map(|_| UDP.packet(ip, b"hello")).collect()
}

/// The first counter rose by that many and, where the kernel knows the reason, netdrop counted as many drops.
fn is_exact(lab: &Lab, finding: &Value, reason: &str) -> Result<()> {
    let evidence = finding["evidence"].as_array().context("no evidence")?;
    if KernelTypes::read()?.has_reason(reason) {
        let drops: u64 = evidence.iter().filter_map(|one| one["drops"].as_u64()).sum();
        ensure!(drops == COUNT, "netdrop counted {drops} of {COUNT}: {finding}");
    }
    if let (Some(before), Some(after)) = (evidence[0]["before"].as_u64(), evidence[0]["after"].as_u64()) {
        ensure!(after - before == COUNT, "{finding}");
    }
    ensure!(finding["netns"] == lab.receiver.name(), "{finding}");
    Ok(())
}

/// Packets of a source that lies behind the other device; with the loose filter they come in.
fn reverse_path(bench: &Bench) -> Result<()> {
    const CHECK: &str = "routing-reverse-path";
    let lab = Lab::router()?;
    lab.receiver.sysctl("net/ipv4/conf/r0/rp_filter", "1")?;
    lab.receiver.ip(&["route add 203.0.113.0/24 via 10.9.1.2"])?;
    let packets = repeated(&Ipv4 { source: NOWHERE, ..V4 });
    let told = judged(bench, &lab, &packets)?;
    let finding = told.one(CHECK)?;
    is_exact(&lab, finding, "IP_RPFILTER")?;
    ensure!(finding["subject"] == "r0", "{finding}");
    apply(finding)?;
    judged(bench, &lab, &packets)?.none(CHECK)
}

/// The receiver's own address as the source.
fn martian(bench: &Bench) -> Result<()> {
    const CHECK: &str = "routing-martian";
    only_where_known("IP_LOCAL_SOURCE", "such drops aren't told apart from others")?;
    let lab = Lab::pair()?;
    let packets = repeated(&Ipv4 { source: V4.destination, ..V4 });
    let told = judged(bench, &lab, &packets)?;
    let finding = told.one(CHECK)?;
    is_exact(&lab, finding, "IP_LOCAL_SOURCE")?;
    ensure!(finding["subject"] == "r0" && finding["severity"] == "warning", "{finding}");
    apply(finding)?;
    judged(bench, &lab, &packets)?.none(CHECK)
}

/// A router without a route; with the one that its advice tells to add, they go on.
fn no_route_on(bench: &Bench) -> Result<()> {
    const CHECK: &str = "routing-no-route";
    let lab = Lab::router()?;
    let packets = repeated(&Ipv4 { destination: NOWHERE, ..V4 });
    let told = judged(bench, &lab, &packets)?;
    let finding = told.one(CHECK)?;
    let counter = &finding["evidence"][0];
    ensure!(counter["counter"] == "IpExtInNoRoutes" && counter["after"] == COUNT, "{finding}");
    lab.receiver.ip(&["route add 203.0.113.0/24 via 10.9.1.2"])?;
    judged(bench, &lab, &packets)?.none(CHECK)
}

/// A program that sends where no route leads.
fn no_route_out(bench: &Bench) -> Result<()> {
    const CHECK: &str = "routing-no-route";
    let lab = Lab::pair()?;
    let send = |is_refused: bool| {
        let socket = lab.from().enter(|| Ok(UdpSocket::bind("0.0.0.0:0")?))?;
        for _ in 0..COUNT {
            let sent = socket.send_to(b"hey", (NOWHERE, 9));
            let refused = sent.is_err_and(|error| error.kind() == ErrorKind::NetworkUnreachable);
            ensure!(refused == is_refused, "a datagram to nowhere: refused {refused}");
        }
        Ok(())
    };
    let told = examined(bench, lab.from(), "routing", || send(true))?;
    let finding = told.one(CHECK)?;
    ensure!(finding["evidence"][0]["after"] == COUNT && finding["severity"] == "warning", "{finding}");
    apply(finding)?;
    lab.from().ip(&["route add default via 10.9.0.2"])?;
    examined(bench, lab.from(), "routing", || send(false))?.none(CHECK)
}

/// A router that doesn't forward; with the printed setting it does.
fn forwarding_off(bench: &Bench) -> Result<()> {
    const CHECK: &str = "routing-forwarding-off";
    let lab = Lab::router()?;
    lab.receiver.sysctl("net/ipv4/ip_forward", "0")?;
    let packets = repeated(&Ipv4 { destination: BEHIND, ..V4 });
    let told = judged(bench, &lab, &packets)?;
    let finding = told.one(CHECK)?;
    let counter = &finding["evidence"][0];
    ensure!(counter["counter"] == "IpInAddrErrors" && counter["after"] == COUNT, "{finding}");
    apply(finding)?;
    judged(bench, &lab, &packets)?.none(CHECK)
}

/// First fragments of different datagrams.
fn lone_fragments(from: u16) -> Vec<Vec<u8>> {
    let fragment = |identification| {
        let ip = Ipv4 { identification, fragment: 0x2000, ..V4 };
        UDP.packet(&ip, &[0; 16])
    };
    (from..from + 200).map(fragment).collect()
}

/// The rest never comes. Datagrams that are whole are put together.
fn fragments_lost(bench: &Bench) -> Result<()> {
    const CHECK: &str = "routing-fragments-lost";
    let lab = Lab::pair()?;
    lab.receiver.sysctl("net/ipv4/ipfrag_time", "1")?;
    let socket = PacketSocket::sender(lab.from(), SENDER.device)?;
    let packets = lone_fragments(1);
    let doctor = Doctor::of(bench, &lab.receiver, "routing")?;
    packets.iter().try_for_each(|packet| socket.send(&ETHER_V4.wrap(packet)))?;
    until("reassembly to be given up", PATIENCE, || {
        Ok((lab.receiver.counter("Ip", "ReasmTimeout")? >= packets.len() as u64).then_some(()))
    })?;
    let told = doctor.end(bench)?;
    let finding = told.one(CHECK)?;
    ensure!(finding["cause"].as_str().is_some_and(|cause| cause.contains("never came")), "{finding}");
    ensure!(finding["evidence"][0]["after"] == packets.len(), "{finding}");
    let told = examined(bench, &lab.receiver, "routing", || {
        let sender = lab.from().enter(|| Ok(UdpSocket::bind("0.0.0.0:0")?))?;
        (0..COUNT).try_for_each(|_| {
            sender.send_to(&[0; 4000], (V4.destination, 9))?;
            Ok(())
        })
    })?;
    ensure!(lab.receiver.counter("Ip", "ReasmOKs")? >= COUNT, "nothing was put together");
    told.none(CHECK)
}

/// Little memory for what waits; with the printed limit there is room for the same again.
fn fragments_memory(bench: &Bench) -> Result<()> {
    const CHECK: &str = "routing-fragments-lost";
    let lab = Lab::pair()?;
    for (file, value) in
        [("ipfrag_low_thresh", "10000"), ("ipfrag_high_thresh", "20000"), ("ipfrag_time", "600")]
    {
        lab.receiver.sysctl(&format!("net/ipv4/{file}"), value)?;
    }
    let told = judged(bench, &lab, &lone_fragments(1))?;
    let finding = told.one(CHECK)?;
    ensure!(finding["cause"].as_str().is_some_and(|cause| cause.contains("used up the memory")), "{finding}");
    apply(finding)?;
    judged(bench, &lab, &lone_fragments(1000))?.none(CHECK)
}

/// Two routers that send packets of a network to each other. With the unreachable route of the advice they end at once.
fn ttl_loop(bench: &Bench) -> Result<()> {
    const CHECK: &str = "routing-ttl-expired";
    let lab = Lab::router()?;
    lab.from().sysctl("net/ipv4/ip_forward", "1")?;
    lab.from().ip(&["route add 198.51.100.0/24 via 10.9.0.2"])?;
    lab.receiver.ip(&["route add 198.51.100.0/24 via 10.9.0.1"])?;
    for namespace in [lab.from(), &lab.receiver] {
        namespace.sysctl("net/ipv4/conf/all/send_redirects", "0")?;
    }
    // It has one hop left when the receiver gets it for the last time.
    let ip = Ipv4 {
        source: Ipv4Addr::new(10, 9, 0, 77),
        destination: Ipv4Addr::new(198, 51, 100, 7),
        ttl: 63,
        ..V4
    };
    let packets = repeated(&ip);
    let socket = PacketSocket::sender(lab.from(), SENDER.device)?;
    let errors = || lab.receiver.counter("Ip", "InHdrErrors");
    let doctor = Doctor::of(bench, &lab.receiver, "routing")?;
    packets.iter().try_for_each(|packet| socket.send(&ETHER_V4.wrap(packet)))?;
    until("all to go round", PATIENCE, || Ok((errors()? >= COUNT).then_some(())))?;
    let told = doctor.end(bench)?;
    let finding = told.one(CHECK)?;
    is_exact(&lab, finding, "IP_INHDR")?;
    lab.receiver.ip(&["route replace unreachable 198.51.100.0/24"])?;
    judged(bench, &lab, &packets)?.none(CHECK)
}

/// A connection between two namespaces, and what is sent on it.
struct Upload {
    client: TcpStream,
    server: TcpStream,
}

impl Upload {
    const BYTES: usize = 20_000;

    fn start(from: &Namespace, to: &Namespace, address: Ipv4Addr) -> Result<Self> {
        let listener = to.enter(|| Ok(TcpListener::bind((address, 0))?))?;
        let at: SocketAddr = listener.local_addr()?;
        let mut client = from.enter(|| Ok(TcpStream::connect_timeout(&at, PATIENCE)?))?;
        let (server, _) = listener.accept()?;
        // What isn't acknowledged is thrown away at the end, and not sent for minutes.
        setsockopt(&client, sockopt::Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 })?;
        client.write_all(&vec![0; Self::BYTES])?;
        Ok(Self { client, server })
    }

    fn arrive(mut self) -> Result<()> {
        self.server.set_read_timeout(Some(Duration::from_mins(1)))?;
        self.server.read_exact(&mut vec![0; Self::BYTES]).context("it didn't arrive")?;
        drop(self.client);
        Ok(())
    }
}

/// A router whose way on is smaller, and whose ICMP messages a filter keeps from the sender: a black hole.
fn black_hole() -> Result<Lab> {
    let lab = Lab::router()?;
    lab.receiver.ip(&["link set r1 mtu 1280"])?;
    lab.from().ip(&["route add 10.9.1.0/24 via 10.9.0.2"])?;
    // A segment a packet: larger ones would be told by other numbers.
    lab.from().feature("a limit of segments", "ip link set s0 gso_max_segs 1", "")?;
    lab.behind().ip(&["route add default via 10.9.1.1"])?;
    let rules = "table ip t { chain c { type filter hook input priority 0; ip protocol icmp drop; }; }";
    lab.from().feature("nftables", "nft -f -", rules)?;
    Ok(lab)
}

/// The sender's view: its full segments vanish. With probing, data arrives all the same.
fn path_mtu(bench: &Bench) -> Result<()> {
    const CHECK: &str = "routing-path-mtu";
    let lab = black_hole()?;
    let timeouts = || lab.from().counter("TcpExt", "TCPTimeouts");
    let before = timeouts()?;
    let doctor = Doctor::of(bench, lab.from(), "routing")?;
    let stuck = Upload::start(lab.from(), lab.behind(), BEHIND)?;
    until("segments to vanish", PATIENCE, || Ok((timeouts()? >= before + 4).then_some(())))?;
    let told = doctor.end(bench)?;
    let finding = told.one(CHECK)?;
    let ours = format!("of netdrop-tests({})", std::process::id());
    ensure!(finding["subject"].as_str().is_some_and(|subject| subject.contains(&ours)), "{finding}");
    drop(stuck);
    apply(finding)?;
    let told =
        examined(bench, lab.from(), "routing", || Upload::start(lab.from(), lab.behind(), BEHIND)?.arrive())?;
    told.none(CHECK)
}

/// The router's view: with the printed rules, segments fit.
fn packet_too_big(bench: &Bench) -> Result<()> {
    const CHECK: &str = "routing-packet-too-big";
    let lab = black_hole()?;
    let fails = || lab.receiver.counter("Ip", "FragFails");
    let doctor = Doctor::of(bench, &lab.receiver, "routing")?;
    let stuck = Upload::start(lab.from(), lab.behind(), BEHIND)?;
    until("segments to vanish", PATIENCE, || Ok((fails()? >= 3).then_some(())))?;
    let told = doctor.end(bench)?;
    let finding = told.one(CHECK)?;
    ensure!(finding["evidence"][0]["counter"] == "IpFragFails", "{finding}");
    drop(stuck);
    apply(finding)?;
    let told = examined(bench, &lab.receiver, "routing", || {
        Upload::start(lab.from(), lab.behind(), BEHIND)?.arrive()
    })?;
    told.none(CHECK)
}
