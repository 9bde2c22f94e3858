//! UDP: what is refused, damaged or sent to nobody.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt};

use super::super::shape::{ETHER_V4, UDP, V4};
use super::PATIENCE;
use crate::doctor::{Doctor, Kept, Told, apply, examined};
use crate::lab::{Lab, RECEIVER, SENDER, Skip, until};
use crate::runner::Bench;
use crate::scenario::{Case, systems};
use crate::traffic::{Ip, PacketSocket, corrupt};

pub fn table() -> Vec<Case> {
    systems([
        ("doctor-udp-send-buffer", send_buffer),
        ("doctor-udp-checksum", checksum),
        ("doctor-udp-no-port", no_port),
        ("doctor-udp-input-errors", input_errors),
        ("doctor-udp-memory", memory),
    ])
}

/// A device that is slower than what is sent, and a small buffer: one that is large enough holds the same burst.
fn send_buffer(bench: &Bench) -> Result<()> {
    const CHECK: &str = "udp-send-buffer-full";
    const BURST: usize = 60;
    let lab = Lab::pair()?;
    lab.from().feature("tbf", "tc qdisc add dev s0 root tbf rate 8kbit burst 2000 limit 10mb", "")?;
    // The datagrams that were refused, and the socket, which is open until the end.
    let burst = |buffer: usize| -> Result<(u64, SocketAddr, Told)> {
        let doctor = Doctor::of(bench, lab.from(), "udp")?;
        let (refused, socket) = lab.from().enter(|| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            setsockopt(&socket, sockopt::SndBuf, &buffer)?;
            socket.set_nonblocking(true)?;
            let mut refused = 0;
            for _ in 0..BURST {
                match socket.send_to(&[0; 1000], (RECEIVER.v4, 9)) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => refused += 1,
                    sent => ensure!(sent? == 1000),
                }
            }
            Ok((refused, socket))
        })?;
        Ok((refused, socket.local_addr()?, doctor.end(bench)?))
    };
    let (refused, address, told) = burst(4096)?;
    let finding = told.one(CHECK)?;
    ensure!(refused > 10, "{refused} are refused");
    ensure!(finding["evidence"][0]["counter"] == "UdpSndbufErrors", "{finding}");
    ensure!(rise(&finding["evidence"][0]) == Some(refused), "{refused} were refused: {finding}");
    let subject = finding["subject"].as_str().unwrap_or_default();
    let ours = format!("socket {address} of netdrop-tests({})", std::process::id());
    ensure!(subject == ours, "{subject} and not {ours}");
    // As it says: the process asks for more, as much as this host allows.
    ensure!(
        finding["remedies"][1]["what"].as_str().is_some_and(|what| what.contains("SO_SNDBUF")),
        "{finding}"
    );
    let (refused, _, told) = burst(212_992)?;
    ensure!(refused == 0, "{refused} are refused still");
    told.none(CHECK)
}

/// By how much a counter of the evidence rose.
pub(super) fn rise(evidence: &serde_json::Value) -> Option<u64> {
    Some(evidence["after"].as_u64()? - evidence["before"].as_u64()?)
}

/// Damaged datagrams, and then whole ones.
fn checksum(bench: &Bench) -> Result<()> {
    const CHECK: &str = "udp-checksum";
    let lab = Lab::pair()?;
    let receiver = lab.receiver.enter(|| Ok(UdpSocket::bind((RECEIVER.v4, UDP.destination))?))?;
    let sender = PacketSocket::sender(lab.from(), SENDER.device)?;
    let good = UDP.packet(&V4, b"hello");
    let told = examined(bench, &lab.receiver, "udp", || {
        sender.repeat(&ETHER_V4.wrap(&corrupt(good.clone(), -1)), 30)?;
        let errors = || lab.receiver.counter("Udp", "InCsumErrors");
        // Without receive offload, they are found out when they are read.
        receiver.set_nonblocking(true)?;
        until("the checksums to be looked at", PATIENCE, || {
            let _ = receiver.recv(&mut [0; 8]);
            Ok((errors()? == 30).then_some(()))
        })
    })?;
    let finding = told.one(CHECK)?;
    ensure!(finding["sentence"].as_str().is_some_and(|text| text.starts_with("30 datagrams")), "{finding}");
    ensure!(finding["severity"] == "critical", "{finding}");
    told.none("udp-input-errors")?;
    receiver.set_nonblocking(false)?;
    let told = examined(bench, &lab.receiver, "udp", || {
        sender.repeat(&ETHER_V4.wrap(&good), 30)?;
        (0..30).try_for_each(|_| receiver.recv(&mut [0; 8]).map(drop))?;
        Ok(())
    })?;
    told.none(CHECK)
}

/// A port that nobody has, IPv4 and IPv6; once somebody has it, nothing is found.
fn no_port(bench: &Bench) -> Result<()> {
    const CHECK: &str = "udp-no-port";
    let lab = Lab::alone_v6()?;
    let bound = || {
        lab.receiver.enter(|| {
            let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
            Ok((socket.local_addr()?.port(), socket))
        })
    };
    let (port, open) = bound()?;
    let send = |to: u16| {
        lab.receiver.enter(|| {
            let (four, six) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("[::1]:0")?);
            for _ in 0..20 {
                four.send_to(b"hey", (Ipv4Addr::LOCALHOST, to))?;
                six.send_to(b"hey", (Ipv6Addr::LOCALHOST, to))?;
            }
            Ok(())
        })
    };
    let closed = bound()?.0;
    let told = examined(bench, &lab.receiver, "udp", || send(closed))?;
    let finding = told.one(CHECK)?;
    ensure!(finding["sentence"].as_str().is_some_and(|text| text.starts_with("40 datagrams")), "{finding}");
    ensure!(finding["severity"] == "warning", "{finding}");
    let evidence = finding["evidence"].as_array().context("no evidence")?;
    let counted: u64 = evidence.iter().filter_map(|one| one["drops"].as_u64()).sum();
    ensure!(counted == 40, "netdrop counted {counted} of 40: {finding}");
    for address in ["127.0.0.1", "[::1]"] {
        let to = format!("{address}:{closed}");
        let is_named = evidence.iter().any(|one| one["example"]["destination"] == to);
        ensure!(is_named, "{to} is no example: {finding}");
    }
    let told = examined(bench, &lab.receiver, "udp", || send(port))?;
    drop(open);
    told.none(CHECK)
}

/// Datagrams whose length is more than there is.
fn input_errors(bench: &Bench) -> Result<()> {
    const CHECK: &str = "udp-input-errors";
    let lab = Lab::pair()?;
    let receiver = lab.receiver.enter(|| Ok(UdpSocket::bind((RECEIVER.v4, UDP.destination))?))?;
    let sender = PacketSocket::sender(lab.from(), SENDER.device)?;
    let errors = || lab.receiver.counter("Udp", "InErrors");
    let told = examined(bench, &lab.receiver, "udp", || {
        sender.repeat(&ETHER_V4.wrap(&V4.wrap(17, &[0, 1, 0, 2, 0, 100, 0, 0])), 20)?;
        until("the datagrams to be refused", PATIENCE, || Ok((errors()? == 20).then_some(())))
    })?;
    let finding = told.one(CHECK)?;
    ensure!(finding["sentence"].as_str().is_some_and(|text| text.starts_with("20 datagrams")), "{finding}");
    ensure!(finding["cause"].as_str().is_some_and(|cause| cause.contains("length")), "{finding}");
    let told = examined(bench, &lab.receiver, "udp", || {
        sender.repeat(&ETHER_V4.wrap(&UDP.packet(&V4, b"hello")), 20)?;
        (0..20).try_for_each(|_| receiver.recv(&mut [0; 8]).map(drop))?;
        Ok(())
    })?;
    told.none(CHECK)
}

/// All sockets together have more than `udp_mem`; with what is printed there is room. The kernel keeps up to a MiB a CPU for itself
/// before it looks at the limit (`SK_MEMORY_PCPU_RESERVE`, `include/net/sock.h`): so many sockets.
fn memory(bench: &Bench) -> Result<()> {
    const CHECK: &str = "udp-memory-full";
    const SOCKETS: usize = 40;
    let _kept = Kept::of_guest(&["net/ipv4/udp_mem"])?;
    Kept::set("net/ipv4/udp_mem", "64 64 64")?;
    loopback_up()?;
    // In the guest's own namespace: no other shows the limit.
    let fill = || -> Result<Told> {
        let doctor = Doctor::start(bench, &["--only", "udp"])?;
        let sender = UdpSocket::bind("127.0.0.1:0")?;
        let mut open = Vec::new();
        for _ in 0..SOCKETS {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            for _ in 0..80 {
                sender.send_to(&[0; 1000], socket.local_addr()?)?;
            }
            open.push(socket);
        }
        let told = doctor.end(bench)?;
        drop(open);
        Ok(told)
    };
    let told = fill()?;
    if let Some(unchecked) = told.unchecked.iter().find(|one| one["check"] == CHECK) {
        return Err(Skip(format!("this kernel doesn't count it: {unchecked}")).into());
    }
    apply(told.one(CHECK)?)?;
    fill()?.none(CHECK)
}

/// A guest's loopback may be down.
pub(super) fn loopback_up() -> Result<()> {
    let status = Command::new("ip").args(["link", "set", "lo", "up"]).status()?;
    ensure!(status.success(), "ip link set lo up: {status}");
    Ok(())
}
