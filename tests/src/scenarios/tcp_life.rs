//! `netdrop tcp life` and `netdrop tcp states`: every connection has its line, with every byte; what waits at a listener is seen.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt::Linger};
use nix::unistd::Pid;

use crate::lab::{Lab, Skip, until};
use crate::runner::Bench;
use crate::scenario::System;

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
        System::new("tcp-states-listener", listener),
    ]
}

/// `netdrop tcp …` as a child process.
struct Tcp {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: std::thread::JoinHandle<()>,
}

impl Tcp {
    /// Starts it for the lab's namespace and waits until it is attached.
    fn start(bench: &Bench, lab: &Lab, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(&bench.netdrop);
        command.arg("tcp").args(arguments).args(["--netns", &lab.receiver.inode().to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("can't run netdrop")?;
        let stdout = child.stdout.take().context("it is piped")?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let read = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                read.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let mut stderr = BufReader::new(child.stderr.take().context("it is piped")?);
        let mut said = String::new();
        while !said.contains("attached") {
            if stderr.read_line(&mut said)? == 0 {
                bail!("netdrop ended before it attached: {}", said.trim());
            }
        }
        // Nobody shall find the pipe full.
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Ok(Self { child, lines, reader })
    }

    fn so_far(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it; all its lines.
    fn end(mut self) -> Result<Vec<String>> {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT)?;
        let status = until("netdrop to end", PATIENCE, || Ok(self.child.try_wait()?))?;
        self.reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?;
        ensure!(status.success(), "netdrop ended with {status}");
        Ok(std::mem::take(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// A connection's line: what each column holds.
type Row = HashMap<String, String>;

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
    until("a line for each connection", PATIENCE, || Ok((netdrop.so_far().len() > count).then_some(())))?;
    let lines = netdrop.end()?;
    let (header, rows) = lines.split_first().context("there is a header")?;
    ensure!(rows.len() == count, "{} lines instead of {count}: {rows:#?}", rows.len());
    let names = || header.split(',').map(str::to_owned);
    Ok(rows.iter().map(|row| names().zip(row.split(',').map(str::to_owned)).collect()).collect())
}

/// What a line must hold.
fn expect(row: &Row, expected: &[(&str, &str)]) -> Result<()> {
    for (name, value) in expected {
        let is = row.get(*name).map(String::as_str);
        ensure!(is == Some(*value), "{name} is {is:?} instead of {value:?}: {row:?}");
    }
    Ok(())
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

/// A listener on that address, and a connection to it: client and server.
fn connected(address: IpAddr) -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(SocketAddr::new(address, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((client, listener.accept()?.0))
}

/// The client sends so much and the server answers so much; each then closes.
fn exchange(mut client: TcpStream, mut server: TcpStream, there: usize, back: usize) -> Result<()> {
    let sender = std::thread::spawn(move || -> Result<usize> {
        client.write_all(&vec![1; there])?;
        client.shutdown(Shutdown::Write)?;
        Ok(client.read_to_end(&mut Vec::new())?)
    });
    ensure!(server.read_to_end(&mut Vec::new())? == there, "not all came");
    server.write_all(&vec![2; back])?;
    drop(server);
    let received = sender.join().map_err(|_| anyhow::anyhow!("the client panicked"))??;
    ensure!(received == back, "not all came back");
    Ok(())
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
