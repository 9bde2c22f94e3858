//! Whose a connection is: of servers that fork, of clients that are gone, by socket, by connect and by close.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt::Linger};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};
use serde_json::Value;

use super::owner::Holder;
use crate::lab::{Lab, until};
use crate::runner::Bench;
use crate::scenario::System;
use crate::tcp::{Tcp, connected};
use crate::told::{self, Told};

const PATIENCE: Duration = Duration::from_mins(1);
/// What the children call themselves (`PR_SET_NAME`).
const CHILD: &str = "nd-child";

pub fn table() -> Vec<System> {
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    vec![
        System::new("tcp-owners-child-accepts-v4", |bench| child_accepts(bench, Ipv4Addr::LOCALHOST.into())),
        System::new("tcp-owners-child-accepts-v6", |bench| child_accepts(bench, Ipv6Addr::LOCALHOST.into())),
        System::new("tcp-owners-child-accepts-v4-mapped", move |bench| child_accepts(bench, mapped.into())),
        System::new("tcp-owners-forked-after-accept", forked_after_accept),
        System::new("tcp-owners-client-gone", client_gone),
        System::new("tcp-owners-reset-by-a-child", reset_by_a_child),
        System::new("tcp-owners-reset-received", reset_received),
        System::new("tcp-owners-rtt", rtt),
    ]
}

/// The calls of a child that serves; it may do nothing else.
fn read_to_end(fd: i32) {
    let mut buffer = [0_u8; 512];
    // SAFETY: the buffer has the length given.
    while unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) } > 0 {}
}

fn take_name() {
    // SAFETY: the name ends with a zero.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"nd-child".as_ptr()) };
}

fn close(fd: i32) {
    // SAFETY: nobody else uses it in this process.
    unsafe { libc::close(fd) };
}

fn accept(listener: i32) -> i32 {
    // SAFETY: no address is asked for.
    unsafe { libc::accept(listener, std::ptr::null_mut(), std::ptr::null_mut()) }
}

/// Waits for a byte, and takes it.
fn take_byte(connection: i32) {
    let mut byte = 0_u8;
    // SAFETY: there is room for the one that is asked for.
    unsafe { libc::recv(connection, (&raw mut byte).cast(), 1, 0) };
}

/// A child's connection: its pid, its name, and how that is known.
fn is_owned(event: &Value, pid: u32, command: &str, known_by: &[&str]) -> Result<()> {
    told::expect(event, &[("/owner/pid", &pid.to_string()), ("/owner/command", command)])?;
    let by = event["owner_known_by"].as_str().unwrap_or_default();
    ensure!(known_by.contains(&by), "known by {by:?} instead of {known_by:?}: {event}");
    Ok(())
}

fn own_command() -> String {
    std::fs::read_to_string("/proc/self/comm").unwrap_or_default().trim_end().to_owned()
}

/// Both sides of a connection of this process with a child's.
fn both_sides(told: &Told, child: u32) -> Result<()> {
    ensure!(told.events.len() == 2, "{:#?}", told.events);
    let client = told.one(&[("/connection/opened", "active")])?;
    is_owned(client, std::process::id(), &own_command(), &["connect", "socket"])?;
    let server = told.one(&[("/connection/opened", "passive")])?;
    is_owned(server, child, CHILD, &["close", "socket"])
}

/// The parent listens, the child accepts.
fn child_accepts(bench: &Bench, address: IpAddr) -> Result<()> {
    let lab = Lab::alone_v6()?;
    let mut child = 0;
    let told = told::told(bench, &lab, &["life"], 2, || {
        let listener = TcpListener::bind(SocketAddr::new(address, 0))?;
        let fd = listener.as_raw_fd();
        let holder = Holder::fork_and(|| {
            take_name();
            let connection = accept(fd);
            read_to_end(connection);
            close(connection);
        })?;
        child = holder.pid();
        let mut client = TcpStream::connect(listener.local_addr()?)?;
        client.write_all(b"hey")?;
        client.shutdown(Shutdown::Write)?;
        ensure!(client.read(&mut [0; 1])? == 0, "nothing comes back");
        Ok((listener, holder))
    })?;
    both_sides(&told, child)?;
    let mapped = if address == address.to_canonical() { "" } else { "true" };
    for event in &told.events {
        told::expect(event, &[("/v4_mapped", mapped)])?;
        told::expect(event, &[("/local/address", &address.to_canonical().to_string())])?;
    }
    Ok(())
}

/// The parent accepts, forks, and closes its own; it is the child's then.
fn forked_after_accept(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let mut child = 0;
    let told = told::told(bench, &lab, &["life"], 2, || {
        let (mut client, server) = connected(Ipv4Addr::LOCALHOST.into())?;
        let (ours, theirs) = (client.as_raw_fd(), server.as_raw_fd());
        let holder = Holder::fork_and(|| {
            take_name();
            close(ours);
            read_to_end(theirs);
            close(theirs);
        })?;
        child = holder.pid();
        drop(server);
        client.write_all(b"hey")?;
        client.shutdown(Shutdown::Write)?;
        ensure!(client.read(&mut [0; 1])? == 0, "nothing comes back");
        Ok(holder)
    })?;
    both_sides(&told, child)
}

/// Its process has ended, and is waited for, when the connection's end comes.
fn client_gone(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let mut child = 0;
    let told = told::told(bench, &lab, &["life"], 2, || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = libc::sockaddr_in {
            sin_family: libc::AF_INET.cast_unsigned().try_into()?,
            sin_port: listener.local_addr()?.port().to_be(),
            sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) },
            sin_zero: [0; 8],
        };
        let length = libc::socklen_t::try_from(size_of_val(&address))?;
        // SAFETY: the child only makes system calls.
        let client = match unsafe { fork() }? {
            ForkResult::Parent { child } => child,
            ForkResult::Child => {
                take_name();
                // SAFETY: address and data have the lengths given.
                unsafe {
                    let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
                    libc::connect(fd, (&raw const address).cast(), length);
                    libc::write(fd, c"hey".as_ptr().cast(), 3);
                    libc::_exit(0);
                }
            }
        };
        child = client.as_raw().cast_unsigned();
        let mut server = listener.accept()?.0;
        ensure!(server.read_to_end(&mut Vec::new())? == 3, "not all came");
        waitpid(client, None)?;
        Ok(())
    })?;
    let client = told.one(&[("/connection/opened", "active")])?;
    // A search may have met it in the milliseconds that it lived.
    is_owned(client, child, CHILD, &["connect", "socket"])?;
    told::expect(client, &[("/owner/gone", "true"), ("/tcp/payload_sent", "3")])?;
    let server = told.one(&[("/connection/opened", "passive")])?;
    is_owned(server, std::process::id(), &own_command(), &["close", "socket"])
}

/// `--by owner`: whoever aborts has the row with its resets, whether or not its sockets were ever seen.
fn reset_by_a_child(bench: &Bench) -> Result<()> {
    const RESETS: usize = 3;
    let lab = Lab::alone()?;
    let rows = Tcp::start(bench, &lab, &["resets", "--by", "owner", "--format", "text"])?;
    let mut child = 0;
    let told = told::told(bench, &lab, &["resets"], 2 * RESETS, || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let fd = listener.as_raw_fd();
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        let length = libc::socklen_t::try_from(size_of_val(&linger))?;
        let holder = Holder::fork_and(|| {
            take_name();
            for _ in 0..RESETS {
                let connection = accept(fd);
                // SAFETY: the option has the length given.
                unsafe {
                    let option = (&raw const linger).cast();
                    libc::setsockopt(connection, libc::SOL_SOCKET, libc::SO_LINGER, option, length);
                }
                // A reset before the client has woken up from connecting would be the error of that.
                take_byte(connection);
                close(connection);
            }
        })?;
        child = holder.pid();
        let clients = (0..RESETS).map(|_| {
            let mut client = TcpStream::connect(listener.local_addr()?)?;
            client.write_all(b"x")?;
            ensure!(client.read(&mut [0; 1]).is_err(), "it is reset");
            Ok(client)
        });
        Ok((clients.collect::<Result<Vec<_>>>()?, holder))
    })?;
    let sent = told.with(&[("/direction", "sent")]);
    ensure!(sent.len() == RESETS, "{:#?}", told.events);
    sent.iter().try_for_each(|event| is_owned(event, child, CHILD, &["close", "socket"]))?;
    let is_whole = || rows.so_far().iter().filter(|line| !line.starts_with('#')).count() >= 2 * RESETS;
    until("the lines", PATIENCE, || Ok(is_whole().then_some(())))?;
    let lines = rows.end()?;
    let name = format!("{CHILD}({child}");
    let row = lines.iter().find(|line| line.starts_with("# ") && line.contains(&name));
    let row = row.with_context(|| format!("no row of {name}: {lines:#?}"))?;
    let numbers: Vec<&str> = row.split_whitespace().skip(1).take(2).collect();
    let wanted = RESETS.to_string();
    ensure!(numbers == [&wanted, &wanted], "{numbers:?} of {RESETS} resets, all sent: {lines:#?}");
    Ok(())
}

/// Who gets a reset still holds the socket: the first ones may come before a search has found it, and none is another's.
fn reset_received(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let netdrop = told::start(bench, &lab, &["resets"])?;
    let mut kept = Vec::new();
    until("an owner", PATIENCE, || {
        let (mut client, server) = lab.receiver.enter(|| connected(Ipv4Addr::LOCALHOST.into()))?;
        setsockopt(&server, Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 })?;
        drop(server);
        ensure!(client.read(&mut [0; 1]).is_err(), "it is reset");
        kept.push(client);
        told::wait_for(&netdrop, 2 * kept.len())?;
        let is_known = |line: &&String| line.contains(r#""received""#) && line.contains(r#""owner""#);
        Ok(netdrop.so_far().iter().find(is_known).map(|_| ()))
    })?;
    let told = told::end(bench, netdrop)?;
    ensure!(told.count("reset-received", Some("ESTABLISHED")) == kept.len() as u64, "{}", told.end);
    for event in told.with(&[("/direction", "received")]) {
        if event.get("owner").is_some() {
            is_owned(event, std::process::id(), &own_command(), &["socket"])?;
        }
    }
    Ok(())
}

/// Round-trip times of a socket that is closed meanwhile are its owner's too: the last acknowledgements come for nobody's socket.
fn rtt(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let netdrop = told::start(bench, &lab, &["rtt", "--by", "owner", "--sample", "--srtt"])?;
    let (mut client, mut server) = lab.receiver.enter(|| connected(Ipv4Addr::LOCALHOST.into()))?;
    // Both sides' times, each of them with its owner: who closes a socket that nobody has asked for yet has never been seen with it.
    until("both owners", PATIENCE, || {
        client.write_all(b"hey")?;
        server.read_exact(&mut [0; 3])?;
        server.write_all(b"you")?;
        client.read_exact(&mut [0; 3])?;
        let lines = netdrop.so_far();
        let times: Vec<_> = lines.iter().filter(|line| line.contains(r#""tcp.rtt""#)).collect();
        // Two lines an interval, samples and smoothed times, once all have the one owner: so it was in two intervals.
        let last = times.iter().rev().take(4);
        Ok((times.len() >= 4 && last.clone().all(|line| line.contains(r#""owner""#))).then_some(()))
    })?;
    // Closed with data on its way: it is acknowledged when no process has it any more.
    client.write_all(b"hey")?;
    drop(client);
    server.read_to_end(&mut Vec::new())?;
    drop(server);
    let lines = told::checked(bench, &netdrop.end()?)?;
    let rows: Vec<&Value> =
        lines.iter().filter(|line| line["kind"] == "tcp.rtt" && line["of"] == "run").collect();
    let pid = std::process::id().to_string();
    for what in ["smoothed", "sample"] {
        let of: Vec<_> = rows.iter().filter(|row| row["what"] == what).collect();
        ensure!(of.len() == 1, "one row of {what}: {rows:#?}");
        told::expect(of[0], &[("/owner/pid", &pid)])?;
    }
    let counted: u64 = rows.iter().filter_map(|row| row["count"].as_u64()).sum();
    let end = lines.last().context("an end")?;
    ensure!(end["tcp"]["accounts"]["rtt_seen"] == counted, "{counted} in rows: {end}");
    Ok(())
}
