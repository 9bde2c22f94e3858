//! `netdrop tcp resets`: each way to a reset, on the side that sends it and on the one that gets it; why, as far as the kernel says.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{
    KeepAlive, Linger, TcpKeepCount, TcpKeepIdle, TcpKeepInterval, TcpUserTimeout,
};

use super::tcp::connect;
use crate::lab::{Lab, RECEIVER, Skip, until};
use crate::netdrop::Netdrop;
use crate::runner::Bench;
use crate::scenario::{KernelTypes, System};
use crate::tcp::{Tcp, connected, expect, rows};
use crate::told::{self, Told};
use crate::traffic::{RawTcp, Tcp as Segment};

const PATIENCE: Duration = Duration::from_mins(1);
/// Nobody listens there.
const CLOSED: u16 = 9;

pub fn table() -> Vec<System> {
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    vec![
        System::new("tcp-resets-closed-port-v4", |bench| closed_port(bench, Ipv4Addr::LOCALHOST.into())),
        System::new("tcp-resets-closed-port-v6", |bench| closed_port(bench, Ipv6Addr::LOCALHOST.into())),
        System::new("tcp-resets-closed-port-v4-mapped", move |bench| closed_port(bench, mapped.into())),
        System::new("tcp-resets-closed-port-device", closed_port_device),
        System::new("tcp-resets-linger-0", linger_0),
        System::new("tcp-resets-unread-data", unread),
        System::new("tcp-resets-data-after-close", after_close),
        System::new("tcp-resets-keep-alive", keep_alive),
        System::new("tcp-resets-user-timeout-sends-none", user_timeout),
        System::new("tcp-resets-late-segment", late),
        System::new("tcp-resets-listener", listener),
        System::new("tcp-resets-watch", watch),
        System::new("tcp-resets-run-fails-on", |bench| fails_on(bench, true)),
        System::new("tcp-resets-run-fails-not", |bench| fails_on(bench, false)),
    ]
}

/// A reset that must be told.
struct Reset {
    sent: bool,
    /// The socket's state; `""` without a socket.
    state: &'static str,
    /// What kernels with reasons say, the newest first.
    reasons: &'static [&'static str],
    /// What is derived without, and some words of what it means.
    derived: &'static str,
    means: &'static str,
    /// JSON pointers beside.
    holds: Vec<(&'static str, String)>,
}

impl Reset {
    fn sent(
        state: &'static str,
        reasons: &'static [&'static str],
        derived: &'static str,
        means: &'static str,
    ) -> Self {
        Self { sent: true, state, reasons, derived, means, holds: Vec::new() }
    }

    fn received(state: &'static str, means: &'static str) -> Self {
        Self { sent: false, state, reasons: &[], derived: "", means, holds: Vec::new() }
    }

    fn holding(self, pointer: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        let mut holds = self.holds;
        holds.push((pointer, value.to_string()));
        Self { holds, ..self }
    }

    /// The running kernel's reason; `""` where it gives none.
    fn reason(&self, kernel: &KernelTypes) -> &'static str {
        let knows = |reason: &&&str| kernel.has(&format!("SK_RST_REASON_{reason}"));
        self.reasons.iter().find(knows).copied().unwrap_or_default()
    }

    /// Before reasons came, the tracepoint told whole sockets' alone (`tcp_v4_send_reset`).
    fn is_told(&self, kernel: &KernelTypes) -> bool {
        gives_reasons(kernel) || !self.sent || !matches!(self.state, "" | "TIME_WAIT" | "NEW_SYN_RECV")
    }

    fn check(&self, kernel: &KernelTypes, told: &Told, csv: &[crate::tcp::Row]) -> Result<()> {
        let direction = if self.sent { "sent" } else { "received" };
        let event = told.one(&[("/direction", direction), ("/state", self.state)])?;
        let reason = self.reason(kernel);
        told::expect(event, &[("/reason", reason), ("/weight", "1")])?;
        for (pointer, value) in &self.holds {
            told::expect(event, &[(pointer, value)])?;
        }
        let row = csv.iter().find(|row| {
            let is = |name: &str, value: &str| row.get(name).is_some_and(|is| is == value);
            is("direction", direction) && is("state", self.state)
        });
        let row = row.with_context(|| format!("no line {direction} in {}: {csv:?}", self.state))?;
        let derived = if reason.is_empty() { self.derived } else { "" };
        expect(row, &[("reason", reason), ("derived_reason", derived)])?;
        let meaning = row.get("meaning").map_or("", String::as_str);
        let means = match netdrop::knowledge::reset(reason) {
            // A field of CSV that holds a comma is cut by `rows`; quotes are not taken off.
            Some(entry) => entry.meaning().split(',').next().unwrap_or_default(),
            None => self.means,
        };
        ensure!(!means.is_empty() && meaning.contains(means), "{meaning:?} instead of {means:?}");
        Ok(())
    }
}

fn gives_reasons(kernel: &KernelTypes) -> bool {
    kernel.has("sk_rst_reason")
}

/// These resets are told while `work` runs in the receiver's namespace, and no other; in JSON, in CSV, and in the exact totals.
fn resets<T: Send>(
    bench: &Bench,
    lab: &Lab,
    flags: &[&str],
    expected: &[Reset],
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<Told> {
    let kernel = KernelTypes::read()?;
    let expected: Vec<&Reset> = expected.iter().filter(|reset| reset.is_told(&kernel)).collect();
    if expected.is_empty() {
        return Err(Skip("this kernel tells no resets without a whole socket".into()).into());
    }
    let arguments: Vec<&str> = ["resets"].iter().chain(flags).copied().collect();
    let csv: Vec<&str> = arguments.iter().copied().chain(["--format", "csv"]).collect();
    let csv = Tcp::start(bench, lab, &csv)?;
    let json = told::start(bench, lab, &arguments)?;
    let _kept = lab.receiver.enter(work)?;
    told::wait_for(&json, expected.len())?;
    let csv = csv.wait_for_more_than(expected.len())?;
    let (told, csv) = (told::end(bench, json)?, rows(&csv.end()?)?);
    ensure!(told.events.len() == expected.len(), "{} resets: {:#?}", told.events.len(), told.events);
    ensure!(csv.len() == expected.len(), "{csv:?}");
    for reset in &expected {
        reset.check(&kernel, &told, &csv)?;
    }
    let of = |sent| expected.iter().filter(|reset| reset.sent == sent).count() as u64;
    let counted = (told.count("reset-sent", None), told.count("reset-received", None));
    ensure!(counted == (of(true), of(false)), "{counted:?} counted: {}", told.end);
    Ok(told)
}

fn closed_port(bench: &Bench, address: IpAddr) -> Result<()> {
    let lab = Lab::alone_v6()?;
    let on_the_wire = address.to_canonical();
    let sent = Reset::sent("", &["NO_SOCKET"], "", "")
        .holding("/answers/flags", "SYN")
        .holding("/local/port", &CLOSED)
        .holding("/local/address", &on_the_wire);
    let received = Reset::received("SYN_SENT", "nobody listens")
        .holding("/remote/port", &CLOSED)
        .holding("/remote/address", &on_the_wire);
    resets(bench, &lab, &[], &[sent, received], || {
        ensure!(TcpStream::connect((address, CLOSED)).is_err(), "somebody listens");
        Ok(())
    })?;
    Ok(())
}

/// The device is the one that the SYN came in by, not the route's to this host itself.
fn closed_port_device(bench: &Bench) -> Result<()> {
    let lab = Lab::pair()?;
    let client = RawTcp::closed(&lab, 50_000, CLOSED)?;
    let sent = Reset::sent("", &["NO_SOCKET"], "", "")
        .holding("/device/name", &RECEIVER.device)
        .holding("/remote/port", &50_000)
        .holding("/netns/inode", &lab.receiver.inode());
    resets(bench, &lab, &["--device", RECEIVER.device], &[sent], || {
        client.send(client.sequence, 0, Segment::SYN, b"")
    })?;
    Ok(())
}

/// Whoever aborts is its reset's owner, though the socket is closed by then.
fn owned(told: &Told) -> Result<()> {
    let sent = told.one(&[("/direction", "sent")])?;
    told::expect(sent, &[("/owner/pid", &std::process::id().to_string())])?;
    let by = sent["owner_known_by"].as_str().unwrap_or_default();
    ensure!(["close", "socket"].contains(&by), "known by {by:?}: {sent}");
    Ok(())
}

/// A connection of which the server's end is given up with `abort`.
fn aborted(
    bench: &Bench,
    reasons: &'static [&'static str],
    abort: fn(TcpStream) -> Result<()>,
) -> Result<()> {
    const THERE: usize = 5000;
    let lab = Lab::alone()?;
    let expected = [
        Reset::sent("CLOSE", reasons, "aborted", "closed it with unread data"),
        Reset::received("ESTABLISHED", "The peer aborted"),
    ];
    let told = resets(bench, &lab, &[], &expected, || {
        let (mut client, server) = connected(Ipv4Addr::LOCALHOST.into())?;
        client.write_all(&[1; THERE])?;
        until("all to come", PATIENCE, || Ok((server.peek(&mut [0; THERE])? == THERE).then_some(())))?;
        abort(server)?;
        Ok(client)
    })?;
    owned(&told)
}

fn linger_0(bench: &Bench) -> Result<()> {
    aborted(bench, &["TCP_STATE"], |mut server| {
        server.read_exact(&mut [0; 5000])?;
        setsockopt(&server, Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 })?;
        Ok(())
    })
}

fn unread(bench: &Bench) -> Result<()> {
    aborted(bench, &["TCP_ABORT_ON_CLOSE"], |server| {
        drop(server);
        Ok(())
    })
}

/// The server has closed; what the client sends then, nobody will read.
fn after_close(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let expected = [
        Reset::sent("TIME_WAIT", &["TCP_TIMEWAIT_SOCKET", "NOT_SPECIFIED"], "", ""),
        Reset::received("CLOSE_WAIT", "The peer had closed before"),
    ];
    resets(bench, &lab, &[], &expected, || {
        let (mut client, server) = connected(Ipv4Addr::LOCALHOST.into())?;
        drop(server);
        ensure!(client.read(&mut [0; 1])? == 0, "there is no data");
        // Its FIN is acknowledged: nothing but what is left of a socket stands there.
        until("the server's socket to be gone", PATIENCE, || {
            let left = fs::read_to_string("/proc/thread-self/net/sockstat")?;
            Ok(left.contains(" tw 1 ").then_some(()))
        })?;
        client.write_all(b"more")?;
        Ok(client)
    })?;
    Ok(())
}

/// An established connection whose other side's host answers no more.
fn deserted(lab: &Lab) -> Result<(TcpStream, TcpStream)> {
    let listener = lab.from().enter(|| Ok(TcpListener::bind((Ipv4Addr::new(10, 9, 0, 1), 0))?))?;
    let client = lab.receiver.enter(|| Ok(TcpStream::connect(listener.local_addr()?)?))?;
    let server = listener.accept()?.0;
    lab.from().ip(&["addr del 10.9.0.1/24 dev s0"])?;
    Ok((client, server))
}

/// Its end in `life`, after which the given number of resets is told.
fn times_out(bench: &Bench, reset_sent: bool, prepare: fn(&mut TcpStream) -> Result<()>) -> Result<()> {
    let lab = Lab::pair()?;
    let (mut client, _server) = deserted(&lab)?;
    let own_pid = std::process::id().to_string();
    let lives = Tcp::start(bench, &lab, &["life", "--csv"])?;
    let expected = [Reset::sent("ESTABLISHED", &["TCP_KEEPALIVE_TIMEOUT"], "keep-alive", "keep-alive probe")
        .holding("/owner/pid", &own_pid)
        .holding("/owner_known_by", "socket")
        .holding("/device/name", &RECEIVER.device)];
    let wait = |lives: &Tcp| until("the timeout", PATIENCE, || Ok((lives.so_far().len() > 1).then_some(())));
    if reset_sent {
        resets(bench, &lab, &[], &expected, || {
            prepare(&mut client)?;
            wait(&lives)
        })?;
    } else {
        let resets = told::start(bench, &lab, &["resets"])?;
        prepare(&mut client)?;
        wait(&lives)?;
        let told = told::end(bench, resets)?;
        ensure!(told.events.is_empty() && told.count("reset-sent", None) == 0, "{:#?}", told.events);
    }
    let lives = rows(&lives.end()?)?;
    ensure!(lives.len() == 1, "{lives:?}");
    let sent = reset_sent.to_string();
    expect(&lives[0], &[("close", "timeout"), ("error", "ETIMEDOUT"), ("from_state", "ESTABLISHED")])?;
    expect(&lives[0], &[("reset_sent", &sent), ("reset_received", "false"), ("owner_pid", &own_pid)])
}

fn keep_alive(bench: &Bench) -> Result<()> {
    times_out(bench, true, |client| {
        setsockopt(client, TcpKeepIdle, &1)?;
        setsockopt(client, TcpKeepInterval, &1)?;
        setsockopt(client, TcpKeepCount, &1)?;
        Ok(setsockopt(client, KeepAlive, &true)?)
    })
}

fn user_timeout(bench: &Bench) -> Result<()> {
    times_out(bench, false, |client| {
        setsockopt(client, TcpUserTimeout, &500)?;
        Ok(client.write_all(b"are you there?")?)
    })
}

/// A segment of a connection that is gone, and so is its listener.
fn late(bench: &Bench) -> Result<()> {
    let lab = Lab::pair()?;
    let (client, server) = connect(&lab)?;
    let expected = [
        Reset::sent("CLOSE", &["TCP_STATE"], "aborted", "closed it with unread data"),
        Reset::sent("", &["NO_SOCKET"], "", "")
            .holding("/answers/flags", "ACK")
            .holding("/answers/sequence", &client.sequence),
    ];
    resets(bench, &lab, &[], &expected, || {
        setsockopt(&server, Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 })?;
        drop(server);
        client.send(client.sequence, client.acknowledgment, Segment::ACK, b"late")
    })?;
    Ok(())
}

/// What belongs to no connection comes to the listener of its port.
fn listener(bench: &Bench) -> Result<()> {
    const PORT: u16 = 7012;
    let lab = Lab::pair()?;
    let client = RawTcp::closed(&lab, 50_000, PORT)?;
    let sent = Reset::sent("LISTEN", &["TCP_FLAGS"], "listener", "belongs to no connection")
        .holding("/answers/flags", "ACK")
        .holding("/local/port", &PORT)
        .holding("/remote/port", &50_000)
        .holding("/device/name", &RECEIVER.device);
    resets(bench, &lab, &[], &[sent], || {
        let listener = TcpListener::bind((RECEIVER.v4, PORT))?;
        client.send(client.sequence, 77, Segment::ACK, b"")?;
        Ok(listener)
    })?;
    Ok(())
}

fn refused(lab: &Lab) -> Result<()> {
    lab.receiver.enter(|| {
        ensure!(TcpStream::connect((Ipv4Addr::LOCALHOST, CLOSED)).is_err(), "somebody listens");
        Ok(())
    })
}

fn watch(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let mut netdrop =
        Netdrop::start(&bench.netdrop, &["--tcp", "--netns", &lab.receiver.inode().to_string()])?;
    refused(&lab)?;
    netdrop.signal(Signal::SIGINT)?;
    let (status, lines, stderr) = netdrop.wait()?;
    ensure!(status.success(), "{stderr}");
    let wanted = [("/kind", "tcp.reset"), ("/direction", "received"), ("/state", "SYN_SENT")];
    let found = lines.iter().filter(|line| told::holds(line, &wanted)).count();
    let counted = lines.last().map(|end| told::counted(end, "reset-received", Some("SYN_SENT")));
    ensure!((found, counted) == (1, Some(1)), "{found} lines, {counted:?} counted: {lines:#?}");
    Ok(())
}

/// `run --fail-on resets`: exit code 3 when there is one while the command runs in its namespace.
fn fails_on(bench: &Bench, with_reset: bool) -> Result<()> {
    let lab = Lab::alone()?;
    let mut command = lab.receiver.command(&bench.netdrop.to_string_lossy());
    command.args([
        "run",
        "--scope",
        "netns",
        "--tcp",
        "--fail-on",
        "resets",
        "--",
        "sh",
        "-c",
        "echo ready; cat",
    ]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut line = String::new();
    // It stays open: the command would be ended by a broken pipe.
    let mut stdout = BufReader::new(child.stdout.take().context("it is piped")?);
    stdout.read_line(&mut line)?;
    if with_reset && line == "ready\n" {
        refused(&lab)?;
    }
    drop(child.stdin.take());
    let status = until("netdrop to end", PATIENCE, || Ok(child.try_wait()?))?;
    drop(stdout);
    let mut said = String::new();
    child.stderr.take().context("it is piped")?.read_to_string(&mut said)?;
    ensure!(line == "ready\n", "the command didn't start: {said}");
    let code = if with_reset { 3 } else { 0 };
    ensure!(status.code() == Some(code), "ended with {status}: {said}");
    ensure!(said.contains("--fail-on resets: ") == with_reset, "{said}");
    // The report tells of it too.
    ensure!(said.contains("reset") || !with_reset, "{said}");
    Ok(())
}
