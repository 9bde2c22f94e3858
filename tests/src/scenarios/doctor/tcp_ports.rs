//! TCP: ports, `TIME_WAIT`, the options of connections, keepalive, memory.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt};

use super::PATIENCE;
use super::tcp::{connect, listener};
use super::udp_refused::{loopback_up, rise};
use crate::doctor::{Doctor, Kept, Told, apply, examined};
use crate::lab::{Lab, Namespace, RECEIVER, until};
use crate::runner::Bench;
use crate::scenario::{Case, systems};

pub fn table() -> Vec<Case> {
    systems([
        ("doctor-tcp-ports", ports),
        ("doctor-tcp-time-wait", time_wait),
        ("doctor-tcp-options", options),
        ("doctor-tcp-keepalive", keepalive),
        ("doctor-tcp-orphans", orphans),
        ("doctor-tcp-memory", memory),
    ])
}

/// So many connections to that port, each closed by the client first.
fn closed(namespace: &Namespace, listener: &TcpListener, count: usize) -> Result<()> {
    namespace.enter(|| {
        for _ in 0..count {
            let client = TcpStream::connect(listener.local_addr()?)?;
            let mut server = listener.accept()?.0;
            drop(client);
            ensure!(server.read(&mut [0; 1])? == 0, "there is no data");
        }
        Ok(())
    })
}

/// Twenty ports, of which seventeen are in `TIME_WAIT`: they may be taken again, and there are more.
fn ports(bench: &Bench) -> Result<()> {
    const CHECK: &str = "tcp-ports-exhausted";
    let lab = Lab::alone()?;
    lab.receiver.sysctl("net/ipv4/ip_local_port_range", "30000 30019")?;
    lab.receiver.sysctl("net/ipv4/tcp_tw_reuse", "0")?;
    let (server, _other) = lab.receiver.enter(|| {
        let bound = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        Ok((bound(7017)?, bound(20_000)?))
    })?;
    closed(&lab.receiver, &server, 17)?;
    let waiting = || {
        lab.receiver.enter(|| {
            let text = std::fs::read_to_string("/proc/thread-self/net/sockstat")?;
            Ok(text.contains(" tw 17 ").then_some(()))
        })
    };
    until("connections in TIME_WAIT", PATIENCE, waiting)?;
    let told = examined(bench, &lab.receiver, "tcp", || Ok(()))?;
    let finding = told.one(CHECK)?;
    ensure!(finding["severity"] == "warning", "{finding}");
    ensure!(
        finding["sentence"]
            .as_str()
            .is_some_and(|text| text.starts_with("17 of 20 local ports towards 127.0.0.1:7017")),
        "{finding}"
    );
    // The other listener's port is kept for it.
    ensure!(finding["remedies"].to_string().contains("ip_local_reserved_ports=20000"), "{finding}");
    apply(finding)?;
    let told = examined(bench, &lab.receiver, "tcp", || closed(&lab.receiver, &server, 17))?;
    told.none(CHECK)
}

/// More connections are closed than may be in `TIME_WAIT`.
fn time_wait(bench: &Bench) -> Result<()> {
    const CHECK: &str = "tcp-time-wait-overflow";
    let lab = Lab::alone()?;
    lab.receiver.sysctl("net/ipv4/tcp_max_tw_buckets", "4")?;
    let server = lab.receiver.enter(|| Ok(TcpListener::bind("127.0.0.1:0")?))?;
    let overflows = || lab.receiver.counter("TcpExt", "TCPTimeWaitOverflow");
    let once = |least: u64| {
        examined(bench, &lab.receiver, "tcp", || {
            closed(&lab.receiver, &server, 30)?;
            until("connections to be closed", PATIENCE, || Ok((overflows()? >= least).then_some(())))
        })
    };
    let told = once(25)?;
    let finding = told.one(CHECK)?;
    ensure!(rise(&finding["evidence"][0]) == Some(overflows()?), "{finding}");
    apply(finding)?;
    once(0)?.none(CHECK)
}

/// Window scaling is off, and a connection lacks it.
fn options(bench: &Bench) -> Result<()> {
    const CHECK: &str = "tcp-option-off";
    let lab = Lab::pair()?;
    lab.receiver.sysctl("net/ipv4/tcp_window_scaling", "0")?;
    let server = lab.receiver.enter(|| Ok(TcpListener::bind((RECEIVER.v4, 80))?))?;
    let connected = || -> Result<(TcpStream, TcpStream)> {
        let client = lab.from().enter(|| Ok(TcpStream::connect(server.local_addr()?)?))?;
        Ok((client, server.accept()?.0))
    };
    let _old = connected()?;
    let told = examined(bench, &lab.receiver, "tcp", || Ok(()))?;
    let finding = told.one(CHECK)?;
    ensure!(finding["severity"] == "warning", "{finding}");
    let lacking = finding["evidence"][1]["value"].as_str().context("no connections")?;
    ensure!(lacking == "1 of 1", "{finding}");
    apply(finding)?;
    let _new = connected()?;
    examined(bench, &lab.receiver, "tcp", || Ok(()))?.none(CHECK)
}

/// Idle connections that all ask at the same moment; with the printed time they do no more.
fn keepalive(bench: &Bench) -> Result<()> {
    const CHECK: &str = "tcp-keepalive-storm";
    const CONNECTIONS: usize = 1100;
    let lab = Lab::alone()?;
    lab.receiver.sysctl("net/ipv4/tcp_keepalive_time", "20")?;
    let once = || -> Result<Told> {
        let (server, address) = listener(&lab.receiver, 2000)?;
        let clients = connect(&lab.receiver, address, CONNECTIONS)?;
        until("connections to be open", PATIENCE, || open(&lab.receiver, address, &clients))?;
        clients.iter().try_for_each(|client| setsockopt(client, sockopt::KeepAlive, &true))?;
        let told = examined(bench, &lab.receiver, "tcp", || Ok(()))?;
        drop((server, clients));
        Ok(told)
    };
    let told = once()?;
    let finding = told.one(CHECK)?;
    let sentence = finding["sentence"].as_str().unwrap_or_default();
    let together: usize = sentence.split(' ').next().unwrap_or_default().parse()?;
    ensure!((1000..=CONNECTIONS).contains(&together), "{finding}");
    apply(finding)?;
    once()?.none(CHECK)
}

/// Whether all clients are connected.
fn open(namespace: &Namespace, to: SocketAddrV4, clients: &[OwnedFd]) -> Result<Option<()>> {
    namespace.enter(|| {
        let text = std::fs::read_to_string("/proc/thread-self/net/tcp")?;
        let remote = format!(":{:04X} 01 ", to.port());
        Ok((text.lines().filter(|line| line.contains(&remote)).count() >= clients.len()).then_some(()))
    })
}

/// Connections are closed whose peers take nothing: more than `tcp_max_orphans`. The kernel counts them each 100 ms (5.16).
fn orphans(bench: &Bench) -> Result<()> {
    const CHECK: &str = "tcp-memory-pressure";
    let _kept = Kept::of_guest(&["net/ipv4/tcp_max_orphans"])?;
    Kept::set("net/ipv4/tcp_max_orphans", "4")?;
    loopback_up()?;
    // In the guest's own namespace: no other shows the limit.
    let once = |is_short: bool| -> Result<Told> {
        let doctor = Doctor::start(bench, &["--only", "tcp"])?;
        let server = TcpListener::bind("127.0.0.1:0")?;
        let mut unread = Vec::new();
        let mut abandon = || -> Result<()> {
            let mut client = TcpStream::connect(server.local_addr()?)?;
            unread.push(server.accept()?.0);
            client.set_nonblocking(true)?;
            while std::io::Write::write(&mut client, &[0; 16_384]).is_ok() {}
            Ok(())
        };
        if is_short {
            let before = counted("TCPAbortOnMemory")?;
            until("connections to be reset", PATIENCE, || {
                abandon()?;
                Ok((counted("TCPAbortOnMemory")? >= before + 10).then_some(()))
            })?;
        } else {
            (0..20).try_for_each(|_| abandon())?;
        }
        doctor.end(bench)
    };
    let told = once(true)?;
    apply(told.one(CHECK)?)?;
    once(false)?.none(CHECK)
}

/// Connections hold more that isn't read than `tcp_mem` allows without pressure; twice as much, as is printed, holds the same.
fn memory(bench: &Bench) -> Result<()> {
    const CHECK: &str = "tcp-memory-pressure";
    const MEMORY: &str = "net/ipv4/tcp_mem";
    const CONNECTIONS: usize = 64;
    const BYTES: usize = 256 << 10;
    let _kept = Kept::of_guest(&[MEMORY])?;
    // All of it are 4096 pages, up to a quarter more where buffers keep what they had, and a MiB a CPU that isn't counted yet
    // (`SK_MEMORY_PCPU_RESERVE`, `include/net/sock.h`).
    Kept::set(MEMORY, "3200 3200 100000")?;
    loopback_up()?;
    // In the guest's own namespace: no other shows the limit.
    let fill = || -> Result<Told> {
        let doctor = Doctor::start(bench, &["--only", "tcp"])?;
        let server = TcpListener::bind("127.0.0.1:0")?;
        let mut open = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut client = TcpStream::connect(server.local_addr()?)?;
            client.set_nonblocking(true)?;
            // Under pressure, less is taken.
            let _ = std::io::Write::write_all(&mut client, &vec![0; BYTES]);
            open.push((client, server.accept()?.0));
        }
        let told = doctor.end(bench)?;
        drop(open);
        Ok(told)
    };
    let before = counted("TCPMemoryPressures")?;
    let told = fill()?;
    ensure!(counted("TCPMemoryPressures")? > before, "there is no pressure");
    let finding = told.one(CHECK)?;
    ensure!(
        finding["remedies"][1]["now"][0].as_str().is_some_and(|now| now.contains("tcp_mem")),
        "{finding}"
    );
    apply(finding)?;
    fill()?.none(CHECK)
}

/// A counter of TCP's of the caller's own namespace.
fn counted(name: &str) -> Result<u64> {
    let text = std::fs::read_to_string("/proc/net/netstat")?;
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, numbers) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let mut both = names.split_whitespace().zip(numbers.split_whitespace());
    let (_, number) = both.find(|(one, _)| *one == name).context("no such counter")?;
    Ok(number.parse()?)
}
