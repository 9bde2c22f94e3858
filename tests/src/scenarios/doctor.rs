//! `netdrop doctor`: what is provoked is found, the printed remedy makes it go away, and where nothing is wrong it is silent.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, setsockopt, socket,
    sockopt,
};
use nix::unistd::Pid;
use serde_json::Value;

use crate::lab::guest::in_guest;
use crate::lab::{Lab, Namespace, Skip, until};
use crate::netdrop::schema;
use crate::runner::Bench;
use crate::scenario::{Case, systems};

const PATIENCE: Duration = Duration::from_mins(1);
/// A signal ends it long before.
const WINDOW: &str = "10m";

pub fn table() -> Vec<Case> {
    systems([
        ("doctor-silence", silence),
        ("doctor-without-privileges", without_privileges),
        ("doctor-wall-time", wall_time),
        ("doctor-udp-not-read", udp_not_read),
        ("doctor-udp-burst", udp_burst),
        ("doctor-listen-overflow", listen_overflow),
        ("doctor-two-causes", two_causes),
        ("doctor-neighbour-table", neighbour_table),
        ("doctor-conntrack-full", conntrack_full),
        ("doctor-backlog", backlog),
    ])
}

/// What one examination printed.
struct Told {
    findings: Vec<Value>,
    unchecked: Vec<Value>,
    summary: Value,
}

impl Told {
    /// Reads the lines, each within the schema.
    fn read(bench: &Bench, text: &str) -> Result<Self> {
        let schema = schema(&bench.netdrop)?;
        let (mut findings, mut unchecked, mut summary) = (Vec::new(), Vec::new(), None);
        for line in text.lines() {
            let value: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
            if let Some(error) = schema.iter_errors(&value).next() {
                bail!("{line} isn't within the schema: {error}");
            }
            match value["kind"].as_str() {
                Some("doctor.finding") => findings.push(value),
                Some("doctor.unchecked") => unchecked.push(value),
                Some("doctor.summary") => summary = Some(value),
                other => bail!("a line of kind {other:?}"),
            }
        }
        Ok(Self { findings, unchecked, summary: summary.context("there is no summary")? })
    }

    /// The one finding of a check.
    fn one(&self, check: &str) -> Result<&Value> {
        let found: Vec<_> = self.findings.iter().filter(|finding| finding["check"] == check).collect();
        match found[..] {
            [one] => Ok(one),
            _ => bail!(
                "{} findings of {check} among {:?}, unchecked {:?}",
                found.len(),
                self.findings,
                self.unchecked
            ),
        }
    }

    /// Fails where a check found something.
    fn none(&self, check: &str) -> Result<()> {
        let found = self.findings.iter().find(|finding| finding["check"] == check);
        ensure!(found.is_none(), "{check} finds after the remedy: {found:?}");
        let unchecked = self.unchecked.iter().find(|one| one["check"] == check);
        ensure!(unchecked.is_none(), "{check} couldn't look: {unchecked:?}");
        Ok(())
    }
}

/// `netdrop doctor` whose window has begun.
struct Doctor {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Doctor {
    /// Starts it and waits until it has read the counters.
    fn start(bench: &Bench, arguments: &[&str]) -> Result<Self> {
        Self::start_as(Command::new(&bench.netdrop), arguments)
    }

    /// For a namespace alone.
    fn of(bench: &Bench, namespace: &Namespace, only: &str) -> Result<Self> {
        Self::start(bench, &["--netns", namespace.name(), "--only", only])
    }

    fn start_as(mut command: Command, arguments: &[&str]) -> Result<Self> {
        command.args(["doctor", "--format", "json", "--window", WINDOW]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("can't run netdrop")?;
        let mut stderr = BufReader::new(child.stderr.take().context("it is piped")?);
        let mut said = String::new();
        while !said.contains("counters are read") {
            if stderr.read_line(&mut said)? == 0 {
                bail!("netdrop ended before it began: {}", said.trim());
            }
        }
        Ok(Self { child, stderr })
    }

    /// Ends the window.
    fn end(mut self, bench: &Bench) -> Result<Told> {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT)?;
        let (mut text, mut said) = (String::new(), String::new());
        self.child.stdout.take().context("it is piped")?.read_to_string(&mut text)?;
        self.stderr.read_to_string(&mut said)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "netdrop ended with {status}: {said}");
        Told::read(bench, &text)
    }
}

/// What happens while `work` runs, as the doctor of that namespace sees it.
fn examined(
    bench: &Bench,
    namespace: &Namespace,
    only: &str,
    work: impl FnOnce() -> Result<()>,
) -> Result<Told> {
    let doctor = Doctor::of(bench, namespace, only)?;
    work()?;
    doctor.end(bench)
}

/// Runs each command of a finding's remedies in a shell, as a person would who copies it. There must be one.
fn apply(finding: &Value) -> Result<()> {
    let remedies = finding["remedies"].as_array().context("no remedies")?;
    let commands: Vec<&str> = remedies
        .iter()
        .filter_map(|remedy| remedy["now"].as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    ensure!(!commands.is_empty(), "no command among {remedies:?}");
    for command in commands {
        let output = Command::new("sh").args(["-c", command]).output().context("no shell")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`{command}`: {said}");
    }
    Ok(())
}

/// A setting of the whole host, as it was at the end.
struct Kept(Vec<(&'static str, String)>);

impl Kept {
    /// Guests alone may be put through it.
    fn of_guest(files: &[&'static str]) -> Result<Self> {
        in_guest("settings of the whole host are changed")?;
        let kept = files.iter().map(|file| {
            let text = std::fs::read_to_string(format!("/proc/sys/{file}"))
                .map_err(|error| Skip(format!("no {file} here: {error}")))?;
            Ok((*file, text))
        });
        Ok(Self(kept.collect::<Result<_>>()?))
    }

    fn set(file: &str, value: &str) -> Result<()> {
        std::fs::write(format!("/proc/sys/{file}"), value).with_context(|| format!("can't set {file}"))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for (file, value) in &self.0 {
            // What remains is told by the cases to come.
            let _ = Self::set(file, value.trim());
        }
    }
}

/// A namespace in which datagrams are received and connections accepted: nothing is wrong, and nothing is said.
fn silence(bench: &Bench) -> Result<()> {
    let lab = Lab::pair()?;
    let told = examined(bench, &lab.receiver, "udp,tcp,conntrack", || {
        lab.receiver.enter(|| {
            let server = TcpListener::bind("127.0.0.1:0")?;
            let receiver = UdpSocket::bind("127.0.0.1:0")?;
            let sender = UdpSocket::bind("127.0.0.1:0")?;
            for _ in 0..200 {
                let _client = TcpStream::connect(server.local_addr()?)?;
                server.accept()?;
                sender.send_to(&[0; 1000], receiver.local_addr()?)?;
                receiver.recv_from(&mut [0; 1000])?;
            }
            Ok(())
        })
    })?;
    ensure!(told.findings.is_empty(), "{:?}", told.findings);
    ensure!(told.summary["checked"].as_u64() > Some(2), "{}", told.summary);
    ensure!(told.summary["drops"].is_u64(), "drops aren't counted: {}", told.summary);
    Ok(())
}

/// Nobody's capabilities: counters alone, and it says so.
fn without_privileges(bench: &Bench) -> Result<()> {
    const NOBODY: u32 = 65534;
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(&bench.netdrop);
    command.uid(NOBODY).gid(NOBODY);
    let told = Doctor::start_as(command, &["--only", "softirq,udp,tcp"])?.end(bench)?;
    let why = told.summary["without_drops"].as_str().context("it says nothing of drops")?;
    ensure!(why.contains("CAP_BPF"), "{why}");
    ensure!(told.summary["checked"].as_u64() >= Some(5), "{} {:?}", told.summary, told.unchecked);
    Ok(())
}

/// The window and 150 ms; a debug build and a machine that emulates take longer.
fn wall_time(bench: &Bench) -> Result<()> {
    const WINDOW: Duration = Duration::from_secs(1);
    let start = Instant::now();
    let arguments = ["doctor", "--format", "json", "--window", "1s"];
    let output = Command::new(&bench.netdrop).args(arguments).output()?;
    let took = start.elapsed();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Told::read(bench, &String::from_utf8(output.stdout)?)?;
    ensure!(took >= WINDOW, "it ended after {took:?}");
    println!("doctor: the window and {} ms", (took - WINDOW).as_millis());
    Ok(())
}

/// Fills a socket that nobody reads until so many datagrams were dropped in the namespace.
fn overfill(namespace: &Namespace, to: SocketAddr, drops: u64) -> Result<()> {
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
    ensure!(finding["cause"].as_str().is_some_and(|cause| cause.contains("full now")), "{finding}");
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

/// A listener that asks for this backlog, at a port of the kernel's choice.
fn listener(namespace: &Namespace, backlog: i32) -> Result<(OwnedFd, SocketAddrV4)> {
    namespace.enter(|| {
        let listener = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&listener, sockopt::ReuseAddr, &true)?;
        bind(listener.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)))?;
        listen(&listener, Backlog::new(backlog)?)?;
        let address: SockaddrIn = getsockname(listener.as_raw_fd())?;
        Ok((listener, SocketAddrV4::new(address.ip(), address.port())))
    })
}

/// So many connections at once, none of which is accepted.
fn connect(namespace: &Namespace, to: SocketAddrV4, count: usize) -> Result<Vec<OwnedFd>> {
    namespace.enter(|| {
        let client = || -> Result<OwnedFd> {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let client = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
            // It is under way, or waits for an answer that doesn't come.
            let _ = nix::sys::socket::connect(client.as_raw_fd(), &SockaddrIn::from(to));
            Ok(client)
        };
        (0..count).map(|_| client()).collect()
    })
}

/// somaxconn cuts the backlog: the very listener is named, and after the printed setting and a restart it overflows no more.
fn listen_overflow(bench: &Bench) -> Result<()> {
    const CHECK: &str = "tcp-listen-overflow";
    const CONNECTIONS: usize = 40;
    let lab = Lab::alone()?;
    lab.receiver.sysctl("net/core/somaxconn", "8")?;
    let overflows = || lab.receiver.counter("TcpExt", "ListenOverflows");
    let once = |is_cut: bool| -> Result<(Told, SocketAddrV4)> {
        let (_listener, address) = listener(&lab.receiver, 1024)?;
        let before = overflows()?;
        let doctor = Doctor::of(bench, &lab.receiver, "tcp")?;
        let _clients = connect(&lab.receiver, address, CONNECTIONS)?;
        if is_cut {
            until("connections to be refused a place", PATIENCE, || {
                Ok((overflows()? >= before + 20).then_some(()))
            })?;
        }
        Ok((doctor.end(bench)?, address))
    };
    let (told, address) = once(true)?;
    let finding = told.one(CHECK)?;
    let subject = finding["subject"].as_str().unwrap_or_default();
    let ours = format!("listener {address} of netdrop-tests({})", std::process::id());
    ensure!(subject.starts_with(&ours), "{subject} and not {ours}");
    ensure!(
        finding["cause"].as_str().is_some_and(|cause| cause.contains("somaxconn allows no more than 8")),
        "{finding}"
    );
    apply(finding)?;
    let (told, _) = once(false)?;
    told.none(CHECK)
}

/// Both are found in one window, the worse first, each with its own socket.
fn two_causes(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let unread = lab.receiver.enter(|| Ok(UdpSocket::bind("127.0.0.1:0")?))?;
    let (_listener, address) = listener(&lab.receiver, 4)?;
    let overflows = || lab.receiver.counter("TcpExt", "ListenOverflows");
    let told = examined(bench, &lab.receiver, "udp,tcp", || {
        overfill(&lab.receiver, unread.local_addr()?, 5000)?;
        let _clients = connect(&lab.receiver, address, 40)?;
        until("connections to be refused a place", PATIENCE, || Ok((overflows()? >= 20).then_some(())))
    })?;
    let checks: Vec<_> = told.findings.iter().filter_map(|finding| finding["check"].as_str()).collect();
    ensure!(checks == ["udp-receive-queue-full", "tcp-listen-overflow"], "{checks:?}");
    let of_tcp = told.one("tcp-listen-overflow")?;
    ensure!(of_tcp["certainty"] == "certain", "4 is less than somaxconn: {of_tcp}");
    ensure!(
        of_tcp["remedies"][0]["what"].as_str().is_some_and(|what| what.contains("backlog of")),
        "{of_tcp}"
    );
    Ok(())
}

/// More neighbours than the table holds; with the printed limits there is room.
fn neighbour_table(bench: &Bench) -> Result<()> {
    const CHECK: &str = "neighbour-table-full";
    const FOLDER: &str = "net/ipv4/neigh/default";
    let _kept = Kept::of_guest(&[
        "net/ipv4/neigh/default/gc_thresh1",
        "net/ipv4/neigh/default/gc_thresh2",
        "net/ipv4/neigh/default/gc_thresh3",
    ])?;
    for (file, value) in [("gc_thresh1", "8"), ("gc_thresh2", "16"), ("gc_thresh3", "32")] {
        Kept::set(&format!("{FOLDER}/{file}"), value)?;
    }
    let lab = Lab::pair()?;
    let send = || {
        lab.from().enter(|| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            for host in 100..200 {
                // One that finds no place is refused.
                let _ = socket.send_to(b"hey", (Ipv4Addr::new(10, 9, 0, host), 9));
            }
            Ok(())
        })
    };
    let told = examined(bench, lab.from(), "neighbour", send)?;
    let finding = told.one(CHECK)?;
    ensure!(finding["severity"] == "critical" && finding["netns"].is_null(), "{finding}");
    apply(finding)?;
    examined(bench, lab.from(), "neighbour", send)?.none(CHECK)
}

/// More connections than may be tracked; with the printed limit there is room.
fn conntrack_full(bench: &Bench) -> Result<()> {
    const CHECK: &str = "conntrack-table-full";
    const RULES: &str = "add table ip t\nadd chain ip t c { type filter hook output priority 0; }\nadd rule ip t c ct state new accept\n";
    let _kept = Kept::of_guest(&["net/netfilter/nf_conntrack_max", "net/netfilter/nf_conntrack_buckets"])?;
    let lab = Lab::alone()?;
    lab.receiver.feature("connection tracking by nftables", "nft -f -", RULES)?;
    Kept::set("net/netfilter/nf_conntrack_max", "64")?;
    let send = || {
        lab.receiver.enter(|| {
            let receiver = UdpSocket::bind("127.0.0.1:0")?;
            for _ in 0..200 {
                // Each has a port of its own, and so a connection.
                let _ = UdpSocket::bind("127.0.0.1:0")?.send_to(b"hey", receiver.local_addr()?);
            }
            Ok(())
        })
    };
    let told = examined(bench, &lab.receiver, "conntrack", send)?;
    let finding = told.one(CHECK)?;
    ensure!(finding["evidence"][0]["rate"].as_f64() > Some(0.0), "{finding}");
    apply(finding)?;
    let told = examined(bench, &lab.receiver, "conntrack", send)?;
    told.none(CHECK)
}

/// A backlog that is short for a burst; with the printed length it carries the same burst.
fn backlog(bench: &Bench) -> Result<()> {
    const CHECK: &str = "softirq-backlog-full";
    let _kept = Kept::of_guest(&["net/core/netdev_max_backlog"])?;
    Kept::set("net/core/netdev_max_backlog", "2")?;
    let lab = Lab::pair()?;
    // One packet for a group becomes as many as it has members in the backlog at once: sent with the software interrupt held up.
    let flood = || {
        lab.from().enter(|| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            let payload = vec![0; 60_000];
            for _ in 0..50 {
                // Forty fragments each, queued one after the other.
                let _ = socket.send_to(&payload, (Ipv4Addr::new(10, 9, 0, 2), 9));
            }
            Ok(())
        })
    };
    let examine = || -> Result<Told> {
        let doctor = Doctor::start(bench, &["--only", "softirq"])?;
        flood()?;
        doctor.end(bench)
    };
    let told = examine()?;
    let Ok(finding) = told.one(CHECK) else {
        return Err(Skip("this machine's software interrupt is never behind".into()).into());
    };
    apply(finding)?;
    examine()?.none(CHECK)
}
