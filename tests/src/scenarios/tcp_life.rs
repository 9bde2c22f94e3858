//! `netdrop tcp life`: every connection has its line, with every byte.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt::Linger};

use crate::lab::{Lab, until};
use crate::runner::Bench;
use crate::scenario::System;
use crate::tcp::{Row, Tcp, connected, exchange, expect, rows};

const PATIENCE: Duration = Duration::from_mins(1);
/// Connections of the flood.
const MANY: usize = 1000;

pub fn table() -> Vec<System> {
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    vec![
        System::new("tcp-life-bytes-v4", |bench| bytes(bench, Ipv4Addr::LOCALHOST.into())),
        System::new("tcp-life-bytes-v6", |bench| bytes(bench, Ipv6Addr::LOCALHOST.into())),
        System::new("tcp-life-bytes-v4-mapped", move |bench| bytes(bench, mapped.into())),
        System::new("tcp-life-refused", refused),
        System::new("tcp-life-unread-data", unread),
        System::new("tcp-life-linger-0", linger_0),
        System::new("tcp-life-existed", existed),
        System::new("tcp-life-a-thousand", thousand),
        System::new("tcp-life-by-port", by_port),
    ]
}

/// The lines of the connections that end while `work` runs in the namespace: as many as `count`, no more.
fn lines_of(
    bench: &Bench,
    lab: &Lab,
    flags: &[&str],
    count: usize,
    work: impl FnOnce() -> Result<()> + Send,
) -> Result<Vec<Row>> {
    let arguments: Vec<&str> = ["life", "--csv"].iter().chain(flags).copied().collect();
    let netdrop = Tcp::start(bench, lab, &arguments)?;
    lab.receiver.enter(work)?;
    let netdrop = netdrop.wait_for_more_than(count)?;
    let lines = netdrop.end()?;
    let rows = rows(&lines)?;
    ensure!(rows.len() == count, "{} lines instead of {count}: {lines:#?}", rows.len());
    Ok(rows)
}

/// The side that opened the connection, and the other.
fn sides(rows: &[Row]) -> Result<(&Row, &Row)> {
    let side = |opened: &str| {
        rows.iter()
            .find(|row| row.get("opened").is_some_and(|is| is == opened))
            .context("both sides have a line")
    };
    Ok((side("active")?, side("passive")?))
}

fn bytes(bench: &Bench, address: IpAddr) -> Result<()> {
    const THERE: usize = 1_234_567;
    const BACK: usize = 7777;
    let lab = Lab::alone_v6()?;
    let rows = lines_of(bench, &lab, &[], 2, || {
        let (client, server) = connected(address)?;
        exchange(client, server, THERE, BACK)
    })?;
    let (client, server) = sides(&rows)?;
    let (there, back) = (THERE.to_string(), BACK.to_string());
    let told = address.to_canonical().to_string();
    let pid = std::process::id().to_string();
    for row in [client, server] {
        let mapped = (address != address.to_canonical()).to_string();
        expect(row, &[("close", "fin"), ("known_since_birth", "true"), ("error", ""), ("weight", "1")])?;
        expect(row, &[("local_address", &told), ("remote_address", &told), ("v4_mapped", &mapped)])?;
        expect(row, &[("owner_pid", &pid)])?;
    }
    expect(client, &[("sent_bytes", &there), ("acked_bytes", &there), ("received_bytes", &back)])?;
    expect(server, &[("sent_bytes", &back), ("acked_bytes", &back), ("received_bytes", &there)])
}

fn refused(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let rows = lines_of(bench, &lab, &[], 1, || {
        ensure!(TcpStream::connect((Ipv4Addr::LOCALHOST, 9)).is_err(), "somebody listens");
        Ok(())
    })?;
    expect(&rows[0], &[("close", "refused"), ("error", "ECONNREFUSED"), ("from_state", "SYN_SENT")])?;
    expect(
        &rows[0],
        &[("opened", "active"), ("sent_bytes", "0"), ("received_bytes", "0"), ("established_us", "")],
    )
}

/// Who is reset is told so, and who resets.
fn reset(bench: &Bench, abort: impl FnOnce(TcpStream) -> Result<()> + Send) -> Result<()> {
    const THERE: usize = 5000;
    let lab = Lab::alone()?;
    let rows = lines_of(bench, &lab, &[], 2, || {
        let (mut client, server) = connected(Ipv4Addr::LOCALHOST.into())?;
        client.write_all(&[1; THERE])?;
        until("all to come", PATIENCE, || Ok((server.peek(&mut [0; THERE])? == THERE).then_some(())))?;
        abort(server)?;
        until("the reset", PATIENCE, || Ok(client.read(&mut [0; 1]).is_err().then_some(())))
    })?;
    let (client, server) = sides(&rows)?;
    let there = THERE.to_string();
    expect(client, &[("close", "reset-received"), ("error", "ECONNRESET"), ("sent_bytes", &there)])?;
    expect(server, &[("close", "reset-sent"), ("error", ""), ("received_bytes", &there), ("sent_bytes", "0")])
}

fn unread(bench: &Bench) -> Result<()> {
    reset(bench, |server| {
        drop(server);
        Ok(())
    })
}

fn linger_0(bench: &Bench) -> Result<()> {
    reset(bench, |mut server| {
        server.read_exact(&mut [0; 5000])?;
        setsockopt(&server, Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 })?;
        Ok(())
    })
}

/// A connection that was there before has its bytes all the same.
fn existed(bench: &Bench) -> Result<()> {
    const THERE: usize = 4242;
    let lab = Lab::alone()?;
    let (client, server) = lab.receiver.enter(|| connected(Ipv4Addr::LOCALHOST.into()))?;
    let rows = lines_of(bench, &lab, &[], 2, || exchange(client, server, THERE, 1))?;
    let there = THERE.to_string();
    for row in &rows {
        expect(row, &[("close", "fin"), ("known_since_birth", "false"), ("opened", ""), ("lasted_us", "")])?;
    }
    let one = |name: &str| rows.iter().filter(|row| row.get(name) == Some(&there)).count();
    ensure!((one("sent_bytes"), one("received_bytes")) == (1, 1), "{rows:?}");
    Ok(())
}

fn thousand(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let rows = lines_of(bench, &lab, &["--all"], 2 * MANY, || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        for size in 1..=MANY {
            let client = TcpStream::connect(listener.local_addr()?)?;
            exchange(client, listener.accept()?.0, size, 1)?;
        }
        Ok(())
    })?;
    let mut sizes: Vec<usize> = rows
        .iter()
        .filter(|row| row.get("opened").is_some_and(|opened| opened == "active"))
        .filter_map(|row| row.get("sent_bytes")?.parse().ok())
        .collect();
    sizes.sort_unstable();
    ensure!(sizes.into_iter().eq(1..=MANY), "not each has its line with its bytes");
    Ok(())
}

/// `-D` is the other side's port: the client's line alone.
fn by_port(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    for (flag, opened) in [("-D", "active"), ("-L", "passive")] {
        let rows = lines_of(bench, &lab, &[flag, "7007"], 1, || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 7007))?;
            let client = TcpStream::connect(listener.local_addr()?)?;
            // The client closes first: the port is free again at once.
            exchange(client, listener.accept()?.0, 10, 10)
        })?;
        expect(&rows[0], &[("opened", opened)])?;
    }
    Ok(())
}
