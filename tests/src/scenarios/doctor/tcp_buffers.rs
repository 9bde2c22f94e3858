//! TCP: a receiver without room, timestamps that go back.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;

use anyhow::{Result, ensure};

use super::PATIENCE;
use crate::doctor::{Told, apply, examined};
use crate::lab::{Held, Lab, RECEIVER, until};
use crate::runner::Bench;
use crate::scenario::{Case, systems};
use crate::traffic::{RawTcp, Tcp};

/// Two no-operations and a timestamp (RFC 7323) of 2000000, and one of 1000000; nothing echoed.
const NOW: [u8; 12] = [1, 1, 8, 10, 0, 0x1e, 0x84, 0x80, 0, 0, 0, 0];
const PAST: [u8; 12] = [1, 1, 8, 10, 0, 0x0f, 0x42, 0x40, 0, 0, 0, 0];

pub fn table() -> Vec<Case> {
    systems([
        ("doctor-tcp-receive-buffer", receive_buffer),
        ("doctor-tcp-zero-window", zero_window),
        ("doctor-tcp-paws", paws),
        ("doctor-tcp-backlog", backlog),
    ])
}

/// A connection to a new listener of the receiver, by hand.
fn connection(lab: &Lab, ports: (u16, u16), options: &[u8]) -> Result<(RawTcp, TcpStream)> {
    let listener = lab.receiver.enter(|| Ok(TcpListener::bind((RECEIVER.v4, ports.1))?))?;
    let tcp = RawTcp::half_open_with(lab, ports.0, ports.1, options, b"")?;
    tcp.send_with(options, tcp.sequence, tcp.acknowledgment, Tcp::ACK, b"")?;
    Ok((tcp, listener.accept()?.0))
}

/// Single bytes out of order, more than a small buffer holds; with the printed sizes there is room.
fn receive_buffer(bench: &Bench) -> Result<()> {
    const CHECK: &str = "tcp-receive-buffer-full";
    let lab = Lab::pair()?;
    lab.receiver.sysctl("net/ipv4/tcp_rmem", "4096 4096 4096")?;
    let searched = || lab.receiver.counter("TcpExt", "PruneCalled");
    let once = |port: u16, is_short: bool| -> Result<Told> {
        let (tcp, server) = connection(&lab, (50_000, port), &[])?;
        let before = searched()?;
        let told = examined(bench, &lab.receiver, "tcp", || {
            for number in 0..60 {
                tcp.send(tcp.sequence + 100 + 10 * number, tcp.acknowledgment, Tcp::ACK, b"x")?;
            }
            if is_short {
                until("the buffer to be full", PATIENCE, || Ok((searched()? >= before + 10).then_some(())))?;
            }
            Ok(())
        })?;
        drop(server);
        Ok(told)
    };
    let told = once(80, true)?;
    let finding = told.one(CHECK)?;
    let subject = finding["subject"].as_str().unwrap_or_default();
    ensure!(subject.starts_with("connection 10.9.0.2:80 – 10.9.0.77:50000 of netdrop-tests("), "{finding}");
    apply(finding)?;
    once(81, false)?.none(CHECK)
}

/// Data beyond a window that is closed as nobody reads; once it is read, the same data is taken.
fn zero_window(bench: &Bench) -> Result<()> {
    const CHECK: &str = "tcp-zero-window";
    const COUNT: u32 = 20;
    let lab = Lab::pair()?;
    let (mut tcp, mut server) = connection(&lab, (50_000, 80), &[])?;
    let mut is_closed = false;
    for _ in 0..200 {
        tcp.send(tcp.sequence, tcp.acknowledgment, Tcp::ACK, &[b'x'; 1400])?;
        let answer = tcp.receive(|segment| segment.flags & Tcp::SYN == 0)?;
        tcp.sequence = answer.acknowledgment;
        is_closed = answer.window == 0;
        if is_closed {
            break;
        }
    }
    ensure!(is_closed, "the window never closed");
    let refused = || -> Result<u64> {
        let beyond = lab.receiver.counter("TcpExt", "BeyondWindow").unwrap_or(0);
        Ok(beyond + lab.receiver.counter("TcpExt", "TCPZeroWindowDrop")?)
    };
    let before = refused()?;
    let told = examined(bench, &lab.receiver, "tcp", || {
        (0..COUNT).try_for_each(|_| tcp.send(tcp.sequence, tcp.acknowledgment, Tcp::ACK, b"x"))?;
        until("the data to be refused", PATIENCE, || {
            Ok((refused()? >= before + u64::from(COUNT)).then_some(()))
        })
    })?;
    let finding = told.one(CHECK)?;
    ensure!(finding["sentence"].as_str().is_some_and(|text| text.starts_with("20 segments")), "{finding}");
    let subject = finding["subject"].as_str().unwrap_or_default();
    ensure!(subject.starts_with("connection 10.9.0.2:80 – 10.9.0.77:50000 of netdrop-tests("), "{finding}");
    // Its advice: read.
    server.set_nonblocking(true)?;
    let mut buffer = vec![0; 65_536];
    while server.read(&mut buffer).is_ok() {}
    let told = examined(bench, &lab.receiver, "tcp", || {
        (0..COUNT)
            .try_for_each(|number| tcp.send(tcp.sequence + number, tcp.acknowledgment, Tcp::ACK, b"x"))?;
        let mut got = 0;
        until("the data to be taken", PATIENCE, || {
            got += server.read(&mut buffer).unwrap_or(0);
            Ok((got >= COUNT as usize).then_some(()))
        })
    })?;
    told.none(CHECK)
}

/// Timestamps that go back, as behind a NAT; without timestamps nobody minds.
fn paws(bench: &Bench) -> Result<()> {
    const CHECK: &str = "tcp-paws";
    const COUNT: u64 = 20;
    let lab = Lab::pair()?;
    let rejected = || lab.receiver.counter("TcpExt", "PAWSEstab");
    let once = |port: u16, is_rejected: bool| -> Result<Told> {
        let (tcp, server) = connection(&lab, (50_000, port), &NOW)?;
        let told = examined(bench, &lab.receiver, "tcp", || {
            (0..COUNT)
                .try_for_each(|_| tcp.send_with(&PAST, tcp.sequence, tcp.acknowledgment, Tcp::ACK, b"x"))?;
            if is_rejected {
                until("segments to be rejected", PATIENCE, || Ok((rejected()? >= COUNT).then_some(())))?;
            }
            Ok(())
        })?;
        drop(server);
        Ok(told)
    };
    let told = once(80, true)?;
    let finding = told.one(CHECK)?;
    ensure!(finding["sentence"].as_str().is_some_and(|text| text.starts_with("20 segments")), "{finding}");
    apply(finding)?;
    once(81, false)?.none(CHECK)
}

/// A process holds its socket while segments pour in: the very connection is named, and larger buffers hold the same.
fn backlog(bench: &Bench) -> Result<()> {
    const CHECK: &str = "tcp-backlog-full";
    const SEGMENTS: u32 = 100;
    let lab = Lab::pair()?;
    lab.receiver.sysctl("net/ipv4/tcp_rmem", "4096 4096 4096")?;
    let drops = || lab.receiver.counter("TcpExt", "TCPBacklogDrop");
    let once = |port: u16, is_short: bool| -> Result<Told> {
        let (tcp, server) = connection(&lab, (50_000, port), &[])?;
        let held = Held::page()?;
        let (socket, address) = (server.as_raw_fd(), held.address());
        let told = examined(bench, &lab.receiver, "tcp", || {
            // SAFETY: the page stays mapped; the socket is open until this thread has ended.
            let writer =
                std::thread::spawn(move || unsafe { libc::write(socket, address as *const _, 4096) });
            let pour = || -> Result<()> {
                until("the socket to be held", PATIENCE, || Ok(held.is_waited_for()?.then_some(())))?;
                // None beside another: those would become one.
                for number in 0..SEGMENTS {
                    let place = tcp.sequence + 10 + 2000 * number;
                    tcp.send(place, tcp.acknowledgment, Tcp::ACK, &[b'x'; 1400])?;
                }
                if is_short {
                    until("the backlog to be full", PATIENCE, || Ok((drops()? >= 20).then_some(())))?;
                }
                Ok(())
            };
            let poured = pour();
            held.let_go();
            ensure!(writer.join().is_ok_and(|sent| sent == 4096), "the page wasn't sent");
            poured
        })?;
        drop(server);
        Ok(told)
    };
    let told = once(80, true)?;
    let finding = told.one(CHECK)?;
    let subject = finding["subject"].as_str().unwrap_or_default();
    ensure!(subject.starts_with("connection 10.9.0.2:80 – 10.9.0.77:50000 of netdrop-tests("), "{finding}");
    let evidence = finding["evidence"].as_array().map_or(&[][..], Vec::as_slice);
    let counted: u64 = evidence
        .iter()
        .filter(|one| one["reason"] == "SOCKET_BACKLOG")
        .filter_map(|one| one["drops"].as_u64())
        .sum();
    ensure!(counted == 0 || counted == drops()?, "netdrop counted {counted} of {}: {finding}", drops()?);
    apply(finding)?;
    once(81, false)?.none(CHECK)
}
