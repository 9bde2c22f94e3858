//! `netdrop tcp states`: changes of state are counted exactly, with the time spent; what waits at a listener and what takes ports is seen.

use std::io::Read as _;
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, listen, socket};
use serde_json::Value;

use crate::lab::{Lab, RECEIVER, Skip, tcp_info, until};
use crate::runner::Bench;
use crate::scenario::System;
use crate::tcp::{Tcp, connected};
use crate::told;
use crate::traffic::{RawTcp, Tcp as Segment};

const PATIENCE: Duration = Duration::from_mins(1);
/// `TCP_FIN_WAIT2` (`include/net/tcp_states.h`).
const FIN_WAIT2: u8 = 5;

pub fn table() -> Vec<System> {
    vec![
        System::new("tcp-states-transitions", transitions),
        System::new("tcp-states-time-spent", time_spent),
        System::new("tcp-states-events", events),
        System::new("tcp-states-listener", listener),
        System::new("tcp-states-accept-queue", accept_queue),
        System::new("tcp-states-syn-queue", syn_queue),
        System::new("tcp-states-ports", ports),
    ]
}

/// A connection that both sides close with a FIN, the client first, each step after the one before has come.
fn closed_in_turn(client: &mut TcpStream, mut server: TcpStream) -> Result<()> {
    client.shutdown(Shutdown::Write)?;
    ensure!(server.read(&mut [0; 1])? == 0, "there is no data");
    // Its FIN is acknowledged a while later, or together with the server's: that would be another way.
    wait_for_fin_wait2(client)?;
    drop(server);
    ensure!(client.read(&mut [0; 1])? == 0, "there is no data");
    Ok(())
}

/// Waits until its FIN is acknowledged.
pub(super) fn wait_for_fin_wait2(stream: &TcpStream) -> Result<()> {
    until("FIN_WAIT2", PATIENCE, || Ok((state(stream)? == FIN_WAIT2).then_some(())))
}

/// `TCP_INFO` of tcp(7).
fn state(stream: &TcpStream) -> Result<u8> {
    Ok(tcp_info(stream)?.tcpi_state)
}

/// The row of a change of state.
fn transition<'a>(end: &'a Value, from: &str, to: &str) -> Option<&'a Value> {
    let rows = end["tcp"]["transitions"].as_array()?;
    rows.iter().find(|row| row["from"] == from && row["to"] == to)
}

fn transitions(bench: &Bench) -> Result<()> {
    const CONNECTIONS: u64 = 3;
    const EACH: [(&str, &str); 10] = [
        ("CLOSE", "SYN_SENT"),
        ("SYN_SENT", "ESTABLISHED"),
        ("ESTABLISHED", "FIN_WAIT1"),
        ("FIN_WAIT1", "FIN_WAIT2"),
        ("FIN_WAIT2", "CLOSE"),
        ("LISTEN", "SYN_RECV"),
        ("SYN_RECV", "ESTABLISHED"),
        ("ESTABLISHED", "CLOSE_WAIT"),
        ("CLOSE_WAIT", "LAST_ACK"),
        ("LAST_ACK", "CLOSE"),
    ];
    let lab = Lab::alone()?;
    // Two more a connection are its listener's.
    let count = usize::try_from(CONNECTIONS)? * (EACH.len() + 2);
    let told = told::told(bench, &lab, &["states"], count, || {
        for _ in 0..CONNECTIONS {
            let (mut client, server) = connected(Ipv4Addr::LOCALHOST.into())?;
            closed_in_turn(&mut client, server)?;
        }
        Ok(())
    })?;
    let mut expected = EACH.to_vec();
    expected.extend([("CLOSE", "LISTEN"), ("LISTEN", "CLOSE")]);
    for (from, to) in &expected {
        let row =
            transition(&told.end, from, to).with_context(|| format!("no {from} → {to}: {}", told.end))?;
        ensure!(row["count"] == CONNECTIONS, "{row}");
        // A listener is no connection: when it began isn't known.
        let is_timed = *from != "CLOSE" && *from != "LISTEN";
        ensure!(times(row) == if is_timed { CONNECTIONS } else { 0 }, "not each has its time: {row}");
    }
    let rows = told.end["tcp"]["transitions"].as_array().map_or(0, Vec::len);
    ensure!(rows == expected.len(), "more than these: {}", told.end);
    ensure!(told.events.len() == count, "{} events", told.events.len());
    Ok(())
}

/// How many times a row's histogram holds.
fn times(row: &Value) -> u64 {
    buckets(row, "spent").map(|(_, _, count)| count).sum()
}

/// `[[from, to, count], …]`.
fn buckets<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = (u64, u64, u64)> + 'a {
    let number = |bucket: &Value, place: usize| bucket[place].as_u64().unwrap_or(u64::MAX);
    of[name]
        .as_array()
        .into_iter()
        .flatten()
        .map(move |bucket| (number(bucket, 0), number(bucket, 1), number(bucket, 2)))
}

/// A connection held open for a while lies in the bucket of that while.
fn time_spent(bench: &Bench) -> Result<()> {
    const HELD: Duration = Duration::from_millis(300);
    let lab = Lab::alone()?;
    let netdrop = told::start(bench, &lab, &["states"])?;
    let (least, most) = lab.receiver.enter(|| {
        let before = Instant::now();
        let (mut client, server) = connected(Ipv4Addr::LOCALHOST.into())?;
        let opened = Instant::now();
        // The time is what is tested.
        std::thread::sleep(HELD);
        let least = opened.elapsed();
        client.shutdown(Shutdown::Write)?;
        let most = before.elapsed();
        closed_in_turn(&mut client, server)?;
        Ok((least, most))
    })?;
    told::wait_for(&netdrop, 12)?;
    let told = told::end(bench, netdrop)?;
    let row = transition(&told.end, "ESTABLISHED", "FIN_WAIT1").context("it was closed")?;
    let spent = u128::from(row["spent_us"].as_u64().context("a time")?);
    let range = least.as_micros()..=most.as_micros() + 1;
    ensure!(range.contains(&spent), "{spent} µs are not in {range:?}: {row}");
    let held: Vec<_> = buckets(row, "spent").collect();
    let lies = |&(from, to, count): &(u64, u64, u64)| {
        count == 1 && (u128::from(from)..u128::from(to)).contains(&spent)
    };
    ensure!(held.len() == 1 && held.iter().all(lies), "{spent} µs: {row}");
    Ok(())
}

/// Each change has its line: in order, with the time in the state before, from the one side to the other.
fn events(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let told = told::told(bench, &lab, &["states", "--dport", "7013"], 5, || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 7013))?;
        let mut client = TcpStream::connect(listener.local_addr()?)?;
        let server = listener.accept()?.0;
        closed_in_turn(&mut client, server)
    })?;
    let way = ["CLOSE", "SYN_SENT", "ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "CLOSE"];
    let pid = std::process::id().to_string();
    ensure!(told.events.len() == way.len() - 1, "{:#?}", told.events);
    for (event, step) in told.events.iter().zip(way.windows(2)) {
        told::expect(event, &[("/from", step[0]), ("/remote/port", "7013"), ("/weight", "1")])?;
        told::expect(event, &[("/connection/opened", "active"), ("/owner/pid", &pid)])?;
        let is_end = step[1] == "CLOSE";
        let (kind, to) = if is_end { ("tcp.close", "") } else { ("tcp.state", step[1]) };
        told::expect(event, &[("/kind", kind), ("/to", to)])?;
        let is_timed = event["spent_us"].is_u64() || is_end;
        ensure!(is_timed == (step[0] != "CLOSE"), "{event}");
    }
    Ok(())
}

/// Connections that nobody accepts wait in the listener's queue, and changes of state are counted exactly.
fn listener(bench: &Bench) -> Result<()> {
    const WAITING: usize = 5;
    let lab = Lab::alone()?;
    let netdrop = Tcp::start(bench, &lab, &["states", "--format", "text", "--interval", "200ms"])?;
    let (_listener, _clients) = lab.receiver.enter(|| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 7008))?;
        let clients = (0..WAITING).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, 7008)));
        let clients = clients.collect::<Result<Vec<_>, _>>()?;
        Ok((listener, clients))
    })?;
    let waits = format!("listener 127.0.0.1:7008 accept {WAITING}/");
    until("what waits to be seen", PATIENCE, || {
        let lines = netdrop.so_far();
        // A module that isn't there can't be loaded from within a small guest.
        if lines.iter().any(|line| line.contains("can't list TCP's sockets")) {
            return Err(Skip("this kernel can't list TCP's sockets (tcp_diag)".into()).into());
        }
        Ok(lines.iter().any(|line| line.contains(&waits)).then_some(()))
    })?;
    let lines = netdrop.end()?;
    let counted = |change: &str| {
        let row = lines.iter().find(|line| line.starts_with('#') && line.contains(change))?;
        row.split_whitespace().nth(2)?.parse::<usize>().ok()
    };
    for change in ["SYN_SENT → ESTABLISHED", "SYN_RECV → ESTABLISHED"] {
        ensure!(counted(change) == Some(WAITING), "{change}: {:?} in {lines:#?}", counted(change));
    }
    Ok(())
}

/// A listener with this backlog (listen(2)).
fn bound(address: Ipv4Addr, port: u16, backlog: i32) -> Result<OwnedFd> {
    let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(address, port)))?;
    listen(&fd, Backlog::new(backlog)?)?;
    Ok(fd)
}

/// Looks for half a second, again and again until `seen` finds what it looks for at the end's queues.
fn look<T>(bench: &Bench, lab: &Lab, what: &str, seen: impl Fn(&Value) -> Result<Option<T>>) -> Result<T> {
    until(what, PATIENCE, || {
        let told = told::of_a_while(bench, lab, &["states", "--duration", "500ms"])?;
        let queues = &told.end["tcp"]["queues"];
        let failed = queues["namespaces"][0]["failed"].as_str();
        if let Some(why) = failed {
            // A module that isn't there can't be loaded from within a small guest.
            ensure!(why.contains("can't list TCP's sockets"), "{why}");
            return Err(Skip(format!("this kernel can't list TCP's sockets (tcp_diag): {why}")).into());
        }
        seen(queues)
    })
}

/// The queues of the listener at that port.
fn listener_at(queues: &Value, port: u16) -> Option<&Value> {
    queues["listeners"].as_array()?.iter().find(|row| row["local"]["port"] == port)
}

/// What was seen at every look: so many, in the bucket that holds them.
fn always(depth: &Value, waiting: u64, full: bool) -> Result<()> {
    let samples = depth["samples"].as_u64().context("samples")?;
    ensure!(depth["now"] == waiting && depth["most"] == waiting, "{depth}");
    ensure!(depth["sum"] == waiting * samples, "{depth}");
    ensure!(depth["full"] == if full { samples } else { 0 }, "{depth}");
    let buckets: Vec<_> = buckets(depth, "depths").collect();
    let holds = |&(from, to, count): &(u64, u64, u64)| count == samples && (from..to).contains(&waiting);
    ensure!(buckets.len() == 1 && buckets.iter().all(holds), "{depth}");
    Ok(())
}

/// A queue is full with one more than its limit (`sk_acceptq_is_full`).
fn accept_queue(bench: &Bench) -> Result<()> {
    const BACKLOG: i32 = 2;
    let lab = Lab::alone()?;
    let _kept = lab.receiver.enter(|| {
        let full = bound(Ipv4Addr::LOCALHOST, 7014, BACKLOG)?;
        let other = bound(Ipv4Addr::LOCALHOST, 7015, 10)?;
        let connect = |port| TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        let clients = [connect(7014)?, connect(7014)?, connect(7014)?, connect(7015)?];
        Ok((full, other, clients))
    })?;
    look(bench, &lab, "the listeners", |queues| {
        let (Some(full), Some(other)) = (listener_at(queues, 7014), listener_at(queues, 7015)) else {
            return Ok(None);
        };
        told::expect(full, &[("/limit", "2"), ("/sockets", "1"), ("/local/address", "127.0.0.1")])?;
        // A search may still have to find it.
        if full["owner"].is_null() {
            return Ok(None);
        }
        told::expect(full, &[("/owner/pid", &std::process::id().to_string())])?;
        always(&full["accept"], 3, true)?;
        told::expect(other, &[("/limit", "10")])?;
        always(&other["accept"], 1, false)?;
        Ok(Some(()))
    })
}

/// Requests whose SYN-ACK nobody answers.
fn syn_queue(bench: &Bench) -> Result<()> {
    const PORT: u16 = 7016;
    const WAITING: u16 = 4;
    let lab = Lab::pair()?;
    let _listener = lab.receiver.enter(|| bound(RECEIVER.v4, PORT, 10))?;
    let _clients: Vec<RawTcp> = (0..WAITING)
        .map(|number| {
            let client = RawTcp::closed(&lab, 50_000 + number, PORT)?;
            client.send(client.sequence, 0, Segment::SYN, b"")?;
            client.receive(|segment| segment.flags == Segment::SYN | Segment::ACK).context("no SYN-ACK")?;
            Ok(client)
        })
        .collect::<Result<_>>()?;
    look(bench, &lab, "the requests", |queues| {
        let Some(row) = listener_at(queues, PORT).filter(|row| row["syn"]["samples"] != 0) else {
            return Ok(None);
        };
        always(&row["syn"], WAITING.into(), false)?;
        always(&row["accept"], 0, false)?;
        Ok(Some(()))
    })
}

/// Twenty ports, of which twelve are in `TIME_WAIT` and three are connected.
fn ports(bench: &Bench) -> Result<()> {
    const PORT: u16 = 7017;
    let lab = Lab::alone()?;
    lab.receiver.sysctl("net/ipv4/ip_local_port_range", "30000 30019")?;
    // Else a port may be taken again after a second.
    lab.receiver.sysctl("net/ipv4/tcp_tw_reuse", "0")?;
    let _kept = lab.receiver.enter(|| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))?;
        let connect = || -> Result<(TcpStream, TcpStream)> {
            let client = TcpStream::connect(listener.local_addr()?)?;
            Ok((client, listener.accept()?.0))
        };
        for _ in 0..12 {
            let (client, mut server) = connect()?;
            drop(client);
            ensure!(server.read(&mut [0; 1])? == 0, "there is no data");
        }
        let open = (0..3).map(|_| connect()).collect::<Result<Vec<_>>>()?;
        Ok((listener, open))
    })?;
    look(bench, &lab, "the ports", |queues| {
        let Some(pair) = queues["ports"].as_array().and_then(|rows| rows.first()) else { return Ok(None) };
        told::expect(pair, &[("/local/address", "127.0.0.1"), ("/remote/port", &PORT.to_string())])?;
        // What the server has closed is in TIME_WAIT a moment later.
        if pair["time_wait"] != 12 {
            return Ok(None);
        }
        told::expect(pair, &[("/used", "15"), ("/available", "20")])?;
        let namespace = &queues["namespaces"][0];
        told::expect(namespace, &[("/time_wait", "12"), ("/ports_available", "20")])?;
        Ok(Some(()))
    })
}
