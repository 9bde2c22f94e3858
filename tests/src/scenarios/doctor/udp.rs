//! UDP's sockets.

use std::net::{SocketAddr, UdpSocket};

use anyhow::{Context, Result, bail, ensure};

use crate::doctor::{Doctor, Kept, Told, apply, examined};
use crate::lab::{Lab, Namespace};
use crate::runner::Bench;
use crate::scenario::{Case, systems};

pub fn table() -> Vec<Case> {
    systems([("doctor-udp-not-read", udp_not_read), ("doctor-udp-burst", udp_burst)])
}

/// Fills a socket that nobody reads until so many datagrams were dropped in the namespace.
pub(super) fn overfill(namespace: &Namespace, to: SocketAddr, drops: u64) -> Result<()> {
    let errors = || namespace.counter("Udp", "RcvbufErrors");
    let before = errors()?;
    let sender = namespace.enter(|| Ok(UdpSocket::bind("127.0.0.1:0")?))?;
    for _ in 0..100_000 {
        sender.send_to(&[0; 1000], to)?;
        if errors()? >= before + drops {
            return Ok(());
        }
    }
    bail!("100,000 datagrams found room")
}

/// The very socket is named, with the process, its queue and its limit. Once it is read, nothing is found any more.
fn udp_not_read(bench: &Bench) -> Result<()> {
    const CHECK: &str = "udp-receive-queue-full";
    let lab = Lab::alone()?;
    let (unread, read) =
        lab.receiver.enter(|| Ok((UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?)))?;
    let address = unread.local_addr()?;
    let told = examined(bench, &lab.receiver, "udp", || overfill(&lab.receiver, address, 50))?;
    let finding = told.one(CHECK)?;
    let subject = finding["subject"].as_str().unwrap_or_default();
    let ours = format!("socket {address} of netdrop-tests({})", std::process::id());
    ensure!(subject.starts_with(&ours), "{subject} and not {ours}");
    ensure!(finding["severity"] == "critical" && finding["netns"] == lab.receiver.name(), "{finding}");
    ensure!(finding["cause"].as_str().is_some_and(|cause| cause.contains("read empty")), "{finding}");
    let evidence = finding["evidence"].as_array().context("no evidence")?;
    let of_socket =
        evidence.iter().find(|one| one["counter"] == "drops").context("no drops of the socket")?;
    ensure!(of_socket["after"] == 50 && of_socket["before"] == 0, "{of_socket}");
    let counted: u64 = evidence.iter().filter_map(|one| one["drops"].as_u64()).sum();
    ensure!(counted == 50, "netdrop counted {counted} of 50: {evidence:?}");
    // Its advice: read.
    unread.set_nonblocking(true)?;
    while unread.recv(&mut [0; 1]).is_ok() {}
    unread.set_nonblocking(false)?;
    let told = examined(bench, &lab.receiver, "udp", || {
        let sender = lab.receiver.enter(|| Ok(UdpSocket::bind("127.0.0.1:0")?))?;
        for socket in [&unread, &read] {
            sender.send_to(b"hey", socket.local_addr()?)?;
            socket.recv(&mut [0; 8])?;
        }
        Ok(())
    })?;
    told.none(CHECK)
}

/// A burst larger than the queue: the printed setting holds the same burst.
fn udp_burst(bench: &Bench) -> Result<()> {
    const CHECK: &str = "udp-receive-queue-full";
    const BURST: usize = 1000;
    let _kept = Kept::of_guest(&["net/core/rmem_default", "net/core/rmem_max"])?;
    let lab = Lab::alone()?;
    let burst = || {
        let receiver = UdpSocket::bind("127.0.0.1:0")?;
        let sender = UdpSocket::bind("127.0.0.1:0")?;
        for _ in 0..BURST {
            sender.send_to(&[0; 1000], receiver.local_addr()?)?;
        }
        receiver.set_nonblocking(true)?;
        while receiver.recv(&mut [0; 1]).is_ok() {}
        Ok(receiver)
    };
    let once = || -> Result<Told> {
        let doctor = Doctor::of(bench, &lab.receiver, "udp")?;
        // The socket is open until the end.
        let _receiver: UdpSocket = lab.receiver.enter(burst)?;
        doctor.end(bench)
    };
    let told = once()?;
    let finding = told.one(CHECK)?;
    ensure!(finding["cause"].as_str().is_some_and(|cause| cause.contains("bursts")), "{finding}");
    apply(finding)?;
    once()?.none(CHECK)
}
