//! TCP: floods of SYNs, SYNs that nobody answers, segments that get lost.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrStorage, bind, listen, socket,
};

use super::super::shape::ETHER_V4;
use super::PATIENCE;
use super::udp_refused::rise;
use crate::doctor::{Told, apply, examined};
use crate::lab::wire::{FAR, Fate, Segment, Wire};
use crate::lab::{Lab, RECEIVER, SENDER, until};
use crate::runner::Bench;
use crate::scenario::{Case, systems};
use crate::traffic::{CLIENT, Ipv4, PacketSocket, Tcp};

pub fn table() -> Vec<Case> {
    systems([
        ("doctor-syn-flood", syn_flood),
        ("doctor-syn-retransmits", syn_retransmits),
        ("doctor-tcp-retransmits", retransmits),
    ])
}

/// SYNs from an address that never answers, to a listener without cookies; by the printed setting none is dropped, and the cookies tell
/// of the flood.
fn syn_flood(bench: &Bench) -> Result<()> {
    const CHECK: &str = "tcp-syn-queue-full";
    const SYNS: u16 = 60;
    let lab = Lab::pair()?;
    lab.receiver.sysctl("net/ipv4/tcp_syncookies", "0")?;
    lab.receiver.ip(&["neigh replace 10.9.0.77 lladdr 02:00:00:00:00:01 dev r0"])?;
    let address = SockaddrIn::from(std::net::SocketAddrV4::new(RECEIVER.v4, 80));
    let _listener: OwnedFd = lab.receiver.enter(|| {
        let listener = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        bind(listener.as_raw_fd(), &address)?;
        listen(&listener, Backlog::new(8)?)?;
        Ok(listener)
    })?;
    let sender = PacketSocket::sender(lab.from(), SENDER.device)?;
    let flood = |first: u16| -> Result<()> {
        for port in first..first + SYNS {
            let ip =
                Ipv4 { source: CLIENT, destination: RECEIVER.v4, ttl: 64, identification: 0, fragment: 0 };
            let syn = Tcp { source: port, destination: 80, sequence: 1, acknowledgment: 0, flags: Tcp::SYN };
            sender.send(&ETHER_V4.wrap(&syn.packet(&ip, b"")))?;
        }
        Ok(())
    };
    let counter = |name| lab.receiver.counter("TcpExt", name);
    let least = u64::from(SYNS) - 10;
    let told = examined(bench, &lab.receiver, "tcp", || {
        flood(40_000)?;
        until("SYNs to be dropped", PATIENCE, || Ok((counter("ListenDrops")? >= least).then_some(())))
    })?;
    let finding = told.one(CHECK)?;
    let dropped = counter("ListenDrops")?;
    ensure!(
        finding["sentence"].as_str().is_some_and(|text| text.starts_with(&format!("{dropped} SYNs"))),
        "{dropped}: {finding}"
    );
    let subject = finding["subject"].as_str().unwrap_or_default();
    ensure!(subject.starts_with("listener 10.9.0.2:80 of netdrop-tests("), "{finding}");
    ensure!(finding["severity"] == "critical", "{finding}");
    apply(finding)?;
    let told = examined(bench, &lab.receiver, "tcp", || {
        flood(50_000)?;
        until("cookies to be sent", PATIENCE, || Ok((counter("SyncookiesSent")? >= least).then_some(())))
    })?;
    told.none(CHECK)?;
    let cookies = told.one("tcp-syn-cookies")?;
    ensure!(cookies["severity"] == "info", "{cookies}");
    ensure!(cookies["cause"].as_str().is_some_and(|cause| cause.contains("flood")), "{cookies}");
    Ok(())
}

/// A host that doesn't answer, and then does.
fn syn_retransmits(bench: &Bench) -> Result<()> {
    const CHECK: &str = "tcp-syn-retransmits";
    const CLIENTS: usize = 12;
    let is_lost = Arc::new(AtomicBool::new(true));
    let lost = Arc::clone(&is_lost);
    let wire =
        Wire::new(
            move |segment: &Segment| {
                if segment.is_syn() && lost.load(Ordering::Relaxed) { Fate::Lost } else { Fate::Passes }
            },
        )?;
    let near = &wire.lab.receiver;
    let server = wire.far.enter(|| Ok(TcpListener::bind((FAR[0], 7020))?))?;
    let to = SockaddrStorage::from(SocketAddr::new(FAR[0], 7020));
    let clients = || {
        near.enter(|| {
            let client = || -> Result<OwnedFd> {
                let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
                let client = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
                // It is under way.
                let _ = nix::sys::socket::connect(client.as_raw_fd(), &to);
                Ok(client)
            };
            (0..CLIENTS).map(|_| client()).collect::<Result<Vec<_>>>()
        })
    };
    let again = || near.counter("TcpExt", "TCPSynRetrans");
    let mut kept = Vec::new();
    let told = examined(bench, near, "tcp", || {
        kept = clients()?;
        until("SYNs to be sent again", PATIENCE, || Ok((again()? >= CLIENTS as u64).then_some(())))
    })?;
    let finding = told.one(CHECK)?;
    ensure!(finding["subject"] == "destination 10.9.3.2:7020", "{finding}");
    ensure!(finding["severity"] == "warning", "{finding}");
    drop(kept);
    is_lost.store(false, Ordering::Relaxed);
    let told = examined(bench, near, "tcp", || {
        let _clients = clients()?;
        (0..CLIENTS).try_for_each(|_| server.accept().map(drop))?;
        Ok(())
    })?;
    told.none(CHECK)
}

/// Each tenth segment gets lost on the wire, and then none.
fn retransmits(bench: &Bench) -> Result<()> {
    const CHECK: &str = "tcp-retransmits";
    const BYTES: usize = 600_000;
    let is_lossy = Arc::new(AtomicBool::new(true));
    let (lossy, count) = (Arc::clone(&is_lossy), AtomicU32::new(0));
    let wire = Wire::new(move |segment: &Segment| {
        let is_data = segment.is_ours && segment.payload.len() > 500;
        let is_tenth = is_data && count.fetch_add(1, Ordering::Relaxed) % 10 == 9;
        if is_tenth && lossy.load(Ordering::Relaxed) { Fate::Lost } else { Fate::Passes }
    })?;
    let near = &wire.lab.receiver;
    let server = wire.far.enter(|| Ok(TcpListener::bind((FAR[0], 7021))?))?;
    let again = || near.counter("Tcp", "RetransSegs");
    let mut open = Vec::new();
    let mut transfer = || -> Result<Told> {
        let mut client = near.enter(|| Ok(TcpStream::connect((FAR[0], 7021))?))?;
        let mut peer = server.accept()?.0;
        let told = examined(bench, near, "tcp", || {
            std::thread::scope(|scope| {
                let reader = scope.spawn(move || -> Result<TcpStream> {
                    peer.read_exact(&mut vec![0; BYTES])?;
                    Ok(peer)
                });
                client.write_all(&vec![0; BYTES])?;
                open.push(reader.join().expect("it only returns errors")?);
                Ok(())
            })
        })?;
        open.push(client);
        Ok(told)
    };
    let before = again()?;
    let told = transfer()?;
    let finding = told.one(CHECK)?;
    ensure!(finding["severity"] == "critical", "{finding}");
    ensure!(finding["subject"] == "connections to 10.9.3.2", "{finding}");
    let counted = rise(&finding["evidence"][0]).context("no counter")?;
    ensure!(counted >= 20 && before + counted <= again()?, "{counted} of {}: {finding}", again()?);
    is_lossy.store(false, Ordering::Relaxed);
    transfer()?.none(CHECK)
}
