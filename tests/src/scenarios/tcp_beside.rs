//! Beside bpftrace's scripts (those of the bench, on the same tracepoints): the same connections with the same numbers. Where the two
//! differ, a third witness says who is right: the wire, the kernel's counters, or who wrote the bytes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::tcp_retransmits::{LOST, across, counted, flight, losing, refusing, steady};
use crate::lab::wire::{FAR, Fate, NEAR, Wire};
use crate::lab::{Lab, until};
use crate::observer::{Script, tracepoint};
use crate::runner::Bench;
use crate::scenario::System;
use crate::tcp::{Row, Tcp, acknowledged, exchange, rows};

const PATIENCE: Duration = Duration::from_mins(1);
const RETRANSMITS: &str = include_str!("../../../xtask/src/bench/tcp/tcpretrans.bt");
const LIFE: &str = include_str!("../../../xtask/src/bench/tcp/tcplife.bt");

pub fn table() -> Vec<System> {
    vec![
        System::new("tcp-beside-bpftrace-retransmits", retransmits),
        System::new("tcp-beside-bpftrace-syn-ack", syn_ack),
        System::new("tcp-beside-bpftrace-send-failed", send_failed),
        System::new("tcp-beside-bpftrace-life", life),
    ]
}

/// `address:port` and `address:port` of each end, state: as a line of `tcpretrans.bt` has it after time and process.
fn told_by_script(line: &str) -> Option<[String; 3]> {
    let words: Vec<&str> = line.split_whitespace().collect();
    // A port is padded behind the colon.
    let [_, _, local, remote, state] = words[..] else { return None };
    Some([local.into(), remote.into(), state.into()])
}

/// The same of a row.
fn told_by_netdrop(row: &Row) -> Result<[String; 3]> {
    let of = |name: &str| row.get(name).map(String::as_str).context("the column is there");
    // The script has no place for an address of IPv6: it prints what the tracepoint's field for IPv4 holds, which is nothing.
    let address = |name: &str| {
        let address: IpAddr = of(name)?.parse()?;
        anyhow::Ok(if address.is_ipv4() { address } else { Ipv4Addr::UNSPECIFIED.into() })
    };
    let end = |side: &str| {
        let (address, port) = (address(&format!("{side}_address"))?, of(&format!("{side}_port"))?);
        anyhow::Ok(format!("{address}:{port}"))
    };
    let state = match of("state")? {
        "ESTABLISHED" => "1",
        "SYN_SENT" => "2",
        "NEW_SYN_RECV" => "12",
        other => other,
    };
    Ok([end("local")?, end("remote")?, state.into()])
}

/// What both tell while `work` runs, of connections of the wire: netdrop so many rows, the script so many lines.
fn both(
    bench: &Bench,
    wire: &Wire,
    counts: [usize; 2],
    work: impl FnOnce() -> Result<()>,
) -> Result<(Vec<Row>, Vec<[String; 3]>)> {
    let netdrop = Tcp::start(bench, &wire.lab, &["retransmits", "--format", "csv"])?;
    let script = Script::start(RETRANSMITS)?;
    work()?;
    // The script sees the whole machine's, and tells those of IPv6 by their ports alone.
    let ours = |line: &[String; 3]| {
        let port = |end: &String| end.rsplit(':').next().and_then(|port| port.parse().ok());
        let ports = [port(&line[0]), port(&line[1])];
        let is_here = |end: &String| NEAR.iter().any(|near| end.starts_with(&format!("{near}:")));
        wire.seen()
            .iter()
            .any(|(segment, _)| ports == [Some(segment.source.port()), Some(segment.destination.port())])
            && (is_here(&line[0]) || line[0].starts_with("0.0.0.0:"))
    };
    let lines = || -> Vec<[String; 3]> {
        script.so_far().iter().filter_map(|line| told_by_script(line)).filter(ours).collect()
    };
    until("both to tell all", PATIENCE, || {
        Ok((netdrop.so_far().len() > counts[0] && lines().len() >= counts[1]).then_some(()))
    })?;
    let (mut told, rows) = (lines(), rows(&netdrop.end()?)?);
    told.sort_unstable();
    ensure!([rows.len(), told.len()] == counts, "{rows:#?} beside {told:#?}");
    Ok((rows, told))
}

/// Flights of both families: line for line the same, but for addresses of IPv6, which the script can't tell.
fn retransmits(bench: &Bench) -> Result<()> {
    let wire = Wire::new(losing(1, |number| usize::from(number) < LOST))?;
    steady(&wire.lab.receiver)?;
    let mut open = Vec::new();
    for address in FAR {
        open.push(across(&wire.lab.receiver, &wire.far, address)?);
    }
    let (rows, script) = both(bench, &wire, [2 * LOST; 2], || {
        open.iter().try_for_each(|(client, _)| {
            flight(client, 10)?;
            acknowledged(client).map(drop)
        })
    })?;
    let mut told: Vec<_> = rows.iter().map(told_by_netdrop).collect::<Result<_>>()?;
    told.sort_unstable();
    ensure!(told == script, "{told:#?} beside {script:#?}");
    // The wire knows them as netdrop tells them, addresses of IPv6 too.
    for (segment, _) in wire.sent_again() {
        let address = segment.source.ip().to_string();
        let sequence = segment.sequence.to_string();
        let is_told =
            |row: &Row| row.get("local_address") == Some(&address) && row.get("sequence") == Some(&sequence);
        ensure!(rows.iter().any(is_told), "{segment:?} isn't among {rows:#?}");
    }
    Ok(())
}

/// A listener's answer sent again has a tracepoint of its own, which the script doesn't look at: the kernel counts it, and netdrop.
fn syn_ack(bench: &Bench) -> Result<()> {
    let (mut syns, mut answers) = (0, 0);
    let wire = Wire::new(move |segment| {
        syns += usize::from(segment.is_syn());
        answers += usize::from(segment.is_syn_ack());
        let is_lost = segment.is_syn() && syns > 1 || segment.is_syn_ack() && answers == 1;
        if is_lost { Fate::Lost } else { Fate::Passes }
    })?;
    let (rows, _) = both(bench, &wire, [1, 0], || across(&wire.far, &wire.lab.receiver, NEAR[0]).map(drop))?;
    ensure!(rows[0].get("type").is_some_and(|is| is == "syn-ack"), "{rows:#?}");
    ensure!(counted(&wire.lab.receiver)? == [1, 0], "{:?}", counted(&wire.lab.receiver));
    Ok(())
}

/// From 6.16 on the tracepoint tells of attempts that failed too, with the error, which the script doesn't look at: it shows a
/// retransmission that the wire never saw.
fn send_failed(bench: &Bench) -> Result<()> {
    let wire = Wire::new(losing(1, |_| true))?;
    steady(&wire.lab.receiver)?;
    refusing(&wire.lab.receiver)?;
    let (client, _server) = across(&wire.lab.receiver, &wire.far, FAR[0])?;
    let attempts = 1 + usize::from(tracepoint("tcp/tcp_retransmit_skb")?.contains(" err;"));
    let (rows, _) = both(bench, &wire, [attempts; 2], || {
        flight(&client, 1)?;
        acknowledged(&client).map(drop)
    })?;
    let went_out = rows.iter().filter(|row| row.get("failed_errno").is_some_and(String::is_empty)).count();
    ensure!(went_out == 1 && wire.sent_again().len() == 1, "{rows:#?} beside {:#?}", wire.seen());
    Ok(())
}

/// A line of `tcplife.bt`: process, both ports, KiB sent and received, milliseconds.
struct Line {
    pid: u32,
    command: String,
    ends: [String; 2],
    ports: [u16; 2],
    kib: [u64; 2],
    milliseconds: u64,
}

impl Line {
    fn of(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [pid, command, local, port, remote, their_port, sent, received, lasted] = words[..] else {
            return None;
        };
        Some(Self {
            pid: pid.parse().ok()?,
            command: command.into(),
            ends: [local.into(), remote.into()],
            ports: [port.parse().ok()?, their_port.parse().ok()?],
            kib: [sent.parse().ok()?, received.parse().ok()?],
            milliseconds: lasted.parse().ok()?,
        })
    }
}

/// Bytes each way. The last are one less than two KiB: a byte that isn't payload shows.
const SIZES: [[usize; 2]; 4] = [[100, 100], [5000, 1], [300_000, 70_000], [2047, 1023]];

/// The same connections, processes, times, and bytes to the KiB. The script's numbers are the kernel's, who counts SYN and FIN as
/// a byte each (`bytes_acked`, `bytes_received`; RFC 4898): where that makes a KiB more, who wrote the bytes says that netdrop is right.
/// And the script says nothing of a connection that was there before it.
fn life(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    // An address that nobody else's connections have: the script sees the whole machine's.
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 77, high, low);
    let listener = lab.receiver.enter(|| Ok(TcpListener::bind((address, 0))?))?;
    let to = listener.local_addr()?;
    let open = || lab.receiver.enter(|| Ok((TcpStream::connect(to)?, listener.accept()?.0)));
    let (old_client, old_server) = open()?;
    let old_port = old_client.local_addr()?.port();
    let netdrop = Tcp::start(bench, &lab, &["life", "--csv"])?;
    let script = Script::start(LIFE)?;
    let mut sizes = BTreeMap::new();
    for [there, back] in SIZES {
        let (client, server) = open()?;
        sizes.insert(client.local_addr()?.port(), [there, back]);
        exchange(client, server, there, back)?;
    }
    sizes.insert(old_port, [10, 20]);
    exchange(old_client, old_server, 10, 20)?;
    let lines = || -> Vec<Line> {
        let lines = script.so_far().iter().filter_map(|line| Line::of(line)).collect::<Vec<_>>();
        lines.into_iter().filter(|line| line.ends.contains(&address.to_string())).collect()
    };
    let expected = 2 * SIZES.len();
    until("both to tell all", PATIENCE, || {
        Ok((netdrop.so_far().len() > expected + 2 && lines().len() >= expected).then_some(()))
    })?;
    let rows = rows(&netdrop.end()?)?;
    let lines = lines();
    ensure!(
        [rows.len(), lines.len()] == [expected + 2, expected],
        "{} rows, {} lines",
        rows.len(),
        lines.len()
    );
    ensure!(lines.iter().all(|line| !line.ports.contains(&old_port)), "the script knows what was before it");
    for row in &rows {
        let of =
            |name: &str| row.get(name).map(String::as_str).with_context(|| format!("no {name}: {row:?}"));
        let ports: [u16; 2] = [of("local_port")?.parse()?, of("remote_port")?.parse()?];
        let [there, back] = sizes[ports.iter().find(|port| sizes.contains_key(port)).context("ours")?];
        let written = if ports[1] == to.port() { [there, back] } else { [back, there] };
        let told: [usize; 2] = [of("sent_bytes")?.parse()?, of("received_bytes")?.parse()?];
        ensure!(told == written, "{told:?} bytes instead of {written:?}: {row:?}");
        if ports.contains(&old_port) {
            continue;
        }
        let line =
            lines.iter().find(|line| line.ports == ports).with_context(|| format!("no line: {row:?}"))?;
        ensure!(line.ends == [of("local_address")?, of("remote_address")?], "{:?} beside {row:?}", line.ends);
        ensure!(line.pid.to_string() == of("owner_pid")?, "{} beside {row:?}", line.pid);
        ensure!(of("owner_command")?.starts_with(&line.command), "{} beside {row:?}", line.command);
        let milliseconds = of("lasted_us")?.parse::<u64>()? / 1000;
        ensure!(milliseconds.abs_diff(line.milliseconds) <= 1, "{} ms beside {row:?}", line.milliseconds);
        for (kib, bytes) in line.kib.into_iter().zip(written) {
            let (least, most) = (bytes as u64 / 1024, (bytes as u64 + 2) / 1024);
            ensure!((least..=most).contains(&kib), "{kib} KiB beside {row:?}");
        }
    }
    // 2047 and 1023 bytes are 1 and 0 whole KiB.
    let too_much =
        lines.iter().any(|line| sizes.get(&line.ports[0]) == Some(&[2047, 1023]) && line.kib[0] == 2);
    ensure!(too_much, "the kernel no longer counts a SYN as a byte: the comment above is out of date");
    Ok(())
}
