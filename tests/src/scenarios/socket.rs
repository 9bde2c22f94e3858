//! What a drop line says beside the packet: its socket, whose that is, the call chain, the task on the CPU.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::owner::{Holder, find, holders, inode};
use super::tcp::{SERVER_PORT, listen_overflow};
use crate::lab::{Lab, Namespace, RECEIVER, Skip, set_option, until};
use crate::netdrop::Netdrop;
use crate::report::Watcher;
use crate::runner::Bench;
use crate::scenario::{KernelTypes, System};

pub(super) const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const PACKETS: u64 = 5;
const CLOSED_PORT: u16 = 9;
/// Called through pointers, so that no compiler inlines them: every packet over the loopback comes this way.
const CALLERS: [&str; 2] = ["process_backlog", "net_rx_action"];
/// How names of frames begin that are of the observer and not of the drop.
const OBSERVERS: [&str; 5] = ["bpf_", "__bpf_", "__traceiter_", "netdrop", "trace_call_bpf"];

pub fn table() -> Vec<System> {
    vec![
        System::new("socket-udp-not-read", not_read),
        System::new("socket-owner-in-another-namespace", another_namespace),
        System::new("socket-shared-by-workers", workers),
        System::new("socket-tcp-listener", listener),
        System::new("socket-left-out", left_out),
        System::new("stack-of-a-drop", stack),
        System::new("cpu-task-only-when-asked", cpu_task),
    ]
}

/// The queue stays as it is while datagrams are refused: the kernel's own answer (`SO_MEMINFO`, what `ss -m` shows) holds
/// for the moment of each drop. Kernels whose event has no socket find it by the addresses: then without queues.
fn not_read(bench: &Bench) -> Result<()> {
    let lab = with_udp_socket()?;
    let in_event = tells_receiver()?;
    let server = FullServer::bind(&lab.receiver, 0)?;
    let before = server.memory()?;
    let drops = watched(bench, &lab.receiver, &[], || server.refuse())?;
    let after = server.memory()?;
    ensure!(before.receive_queue == after.receive_queue, "the queue moved: {before:?}, {after:?}");
    for drop in &drops {
        expect(
            drop,
            "/socket",
            &[
                ("of", json!("receiver")),
                ("family", json!("ipv4")),
                ("state", json!("UNCONNECTED")),
                ("local", json!(server.address.to_string())),
                ("inode", json!(inode(&server.socket)?)),
            ],
        )?;
        expect_owner(drop, &[std::process::id()])?;
        let queue =
            [("receive_queue", json!(before.receive_queue)), ("receive_limit", json!(before.receive_limit))];
        let by_address = [("known_by", json!("address"))];
        expect(drop, "/socket", if in_event { &queue[..] } else { &by_address })?;
        let has_both = drop["socket"].get("known_by").is_some() && drop["socket"].get("drops").is_some();
        ensure!(!has_both, "queues of another moment: {drop}");
    }
    // The socket counts a drop before it frees the packet.
    let last = drops.iter().filter_map(|drop| drop["socket"]["drops"].as_u64()).max();
    ensure!(
        !in_event || last == Some(after.drops.into()),
        "the socket counts {}, the lines {last:?}",
        after.drops
    );
    Ok(())
}

/// Two servers at the same address and port, each in its own namespace and of its own process.
fn another_namespace(bench: &Bench) -> Result<()> {
    let lab = with_udp_socket()?;
    let other = Namespace::create("other")?;
    let theirs = FullServer::bind(&other, 0)?;
    let ours = FullServer::bind(&lab.receiver, theirs.address.port())?;
    let (our_inode, their_inode) = (inode(&ours.socket)?, inode(&theirs.socket)?);
    // It inherits both, and this process gives up one: that one is its alone.
    let holder = Holder::fork()?;
    let FullServer { socket, sender, address } = theirs;
    drop(socket);
    let drops = watched(bench, &other, &[], || send(&sender, address))?;
    for drop in &drops {
        expect(drop, "/socket", &[("inode", json!(their_inode))])?;
        expect_owner(drop, &[holder.pid()])?;
    }
    let both = [std::process::id(), holder.pid()];
    for drop in watched(bench, &lab.receiver, &[], || ours.refuse())? {
        expect(&drop, "/socket", &[("inode", json!(our_inode))])?;
        expect_owner(&drop, &both)?;
    }
    Ok(())
}

/// A server that forked and left its socket to three workers.
fn workers(bench: &Bench) -> Result<()> {
    let lab = with_udp_socket()?;
    let FullServer { socket, sender, address } = FullServer::bind(&lab.receiver, 0)?;
    let workers = holders(3)?;
    drop(socket);
    let pids: Vec<u32> = workers.iter().map(Holder::pid).collect();
    let drops = watched(bench, &lab.receiver, &[], || send(&sender, address))?;
    drops.iter().try_for_each(|drop| expect_owner(drop, &pids))
}

/// The last acknowledgment of a handshake finds the accept queue full: the listener refuses it.
fn listener(bench: &Bench) -> Result<()> {
    drop(with_receiving_socket()?);
    let mut stage = listen_overflow(PACKETS)?;
    let receiver = stage.lab.receiver.inode().to_string();
    let mut netdrop = Netdrop::start(&bench.netdrop, &["--netns", &receiver])?;
    stage.send()?;
    for drop in finish(&mut netdrop)? {
        expect(
            &drop,
            "/socket",
            &[
                ("of", json!("receiver")),
                ("state", json!("LISTEN")),
                ("local", json!(SocketAddr::from((RECEIVER.v4, SERVER_PORT)).to_string())),
            ],
        )?;
        let number = |name: &str| drop["socket"][name].as_u64().with_context(|| format!("no {name}: {drop}"));
        let (waiting, limit) = (number("accept_queue")?, number("accept_limit")?);
        ensure!(waiting == 1 && limit == 0, "{waiting} of {limit} in the accept queue: {drop}");
        expect_owner(&drop, &[std::process::id()])?;
    }
    Ok(())
}

fn left_out(bench: &Bench) -> Result<()> {
    let lab = with_udp_socket()?;
    let server = FullServer::bind(&lab.receiver, 0)?;
    for (flags, wanted) in [
        (&[][..], true),
        (&["--socket"], true),
        (&["--no-socket"], false),
        (&["--all"], false),
        (&["--all", "--socket"], true),
    ] {
        for drop in watched(bench, &lab.receiver, flags, || server.refuse())? {
            ensure!(drop.get("socket").is_some() == wanted, "{flags:?}: {drop}");
        }
    }
    Ok(())
}

fn stack(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    for drop in watched(bench, &lab.receiver, &["--stack"], || closed_port(&lab.receiver))? {
        let frames: Vec<&str> =
            drop["stack"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let functions: Vec<&str> = frames.iter().map(|frame| plain(frame)).collect();
        let site = plain(drop["function"].as_str().with_context(|| format!("no function: {drop}"))?);
        ensure!(functions.first() == Some(&site), "the first frame is not {site}: {frames:?}");
        for caller in CALLERS {
            ensure!(functions[1..].contains(&caller), "{caller} is not among the callers: {frames:?}");
        }
        let own = functions.iter().find(|name| OBSERVERS.iter().any(|observer| name.starts_with(observer)));
        ensure!(own.is_none(), "a frame of the observer: {own:?} in {frames:?}");
    }
    for drop in watched(bench, &lab.receiver, &[], || closed_port(&lab.receiver))? {
        ensure!(drop.get("stack").is_none(), "nobody asked for the stack: {drop}");
    }
    Ok(())
}

fn cpu_task(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    for (flags, wanted) in [(&[][..], false), (&["--cpu-task"], true)] {
        for drop in watched(bench, &lab.receiver, flags, || closed_port(&lab.receiver))? {
            ensure!(drop.get("cpu_task").is_some() == wanted, "{flags:?}: {drop}");
            // Nobody listens, and the loopback parts a packet from its sender: it is nobody's.
            ensure!(drop.get("socket").is_none(), "a socket at a closed port: {drop}");
        }
    }
    Ok(())
}

/// A loopback of its own, on a kernel that tells which socket refused a packet.
pub(super) fn with_receiving_socket() -> Result<Lab> {
    if !tells_receiver()? {
        return Err(Skip("this kernel's tracepoint doesn't tell the receiving socket (rx_sk)".into()).into());
    }
    Lab::alone()
}

/// A loopback of its own, on a kernel that tells a datagram's socket, or can be asked for it.
pub(super) fn with_udp_socket() -> Result<Lab> {
    let listed = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    if !tells_receiver()? {
        find(None, &listed)?;
    }
    Lab::alone()
}

fn tells_receiver() -> Result<bool> {
    Ok(KernelTypes::read()?.has("rx_sk"))
}

/// A server that never reads, its receive buffer full; and a client of it.
pub(super) struct FullServer {
    pub socket: UdpSocket,
    pub sender: UdpSocket,
    pub address: SocketAddr,
}

impl FullServer {
    /// Port 0 is any.
    pub fn bind(namespace: &Namespace, port: u16) -> Result<Self> {
        let bind = |port| namespace.enter(|| Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?));
        let (socket, sender) = (bind(port)?, bind(0)?);
        let address = socket.local_addr()?;
        set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, &4096i32)?;
        let server = Self { socket, sender, address };
        // Full once two were refused: the first can be larger than what is left. None is on its way when the next is sent.
        let mut before = server.memory()?;
        while before.drops < 2 {
            server.sender.send_to(b"hey", address)?;
            before = until("the datagram to arrive", PATIENCE, || {
                let now = server.memory()?;
                Ok((now != before).then_some(now))
            })?;
        }
        Ok(server)
    }

    /// In this namespace, not filled yet.
    pub fn here() -> Result<Self> {
        let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        let (socket, sender) = (bind()?, bind()?);
        let address = socket.local_addr()?;
        set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, &4096i32)?;
        Ok(Self { socket, sender, address })
    }

    /// How many datagrams it refused so far.
    pub fn refused(&self) -> Result<u32> {
        Ok(self.memory()?.drops)
    }

    fn refuse(&self) -> Result<()> {
        send(&self.sender, self.address)
    }

    /// `SO_MEMINFO` of socket(7); the order is that of `SK_MEMINFO_*` in `linux/sock_diag.h`.
    fn memory(&self) -> Result<Memory> {
        let mut numbers = [0u32; 9];
        let mut length = u32::try_from(size_of_val(&numbers))?;
        // SAFETY: the kernel writes at most `length` bytes into `numbers`.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                numbers.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        ensure!(result == 0, "getsockopt(SO_MEMINFO): {}", std::io::Error::last_os_error());
        let [receive_queue, receive_limit, .., drops] = numbers;
        Ok(Memory { receive_queue, receive_limit, drops })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Memory {
    receive_queue: u32,
    receive_limit: u32,
    drops: u32,
}

pub(super) fn send(sender: &UdpSocket, to: SocketAddr) -> Result<()> {
    for _ in 0..PACKETS {
        sender.send_to(b"hey", to)?;
    }
    Ok(())
}

pub(super) fn closed_port(namespace: &Namespace) -> Result<()> {
    let sender = namespace.enter(|| Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?))?;
    send(&sender, (Ipv4Addr::LOCALHOST, CLOSED_PORT).into())
}

/// The drop lines of a netdrop that watched the namespace while `send` sent.
pub(super) fn watched(
    bench: &Bench,
    namespace: &Namespace,
    flags: &[&str],
    send: impl FnOnce() -> Result<()>,
) -> Result<Vec<Value>> {
    let mut netdrop = watching(bench, namespace, flags)?;
    send()?;
    finish(&mut netdrop)
}

/// A netdrop that watches the namespace alone.
pub(super) fn watching(bench: &Bench, namespace: &Namespace, flags: &[&str]) -> Result<Netdrop> {
    let netns = namespace.inode().to_string();
    Netdrop::start(&bench.netdrop, &[&["--netns", &netns], flags].concat())
}

/// Waits for all drops: each has a line of its own.
fn finish(netdrop: &mut Netdrop) -> Result<Vec<Value>> {
    finish_after(netdrop, PACKETS)
}

pub(super) fn finish_after(netdrop: &mut Netdrop, count: u64) -> Result<Vec<Value>> {
    counted(netdrop, count)?;
    netdrop.signal(Signal::SIGINT)?;
    let drops = netdrop.report()?.drops;
    ensure!(drops.len() as u64 == count, "{} drop lines, not {count}: {drops:?}", drops.len());
    Ok(drops)
}

/// Waits until so many drops are in summaries.
pub(super) fn counted(netdrop: &Netdrop, count: u64) -> Result<()> {
    until("the drops", PATIENCE, || Ok((netdrop.so_far().count(|_| true) >= count).then_some(())))
}

/// Members of the object that the pointer leads to.
pub(super) fn expect(drop: &Value, pointer: &str, members: &[(&str, Value)]) -> Result<()> {
    let object = drop.pointer(pointer).with_context(|| format!("no {pointer}: {drop}"))?;
    for (name, wanted) in members {
        ensure!(object.get(name) == Some(wanted), "{pointer}/{name} is not {wanted}: {drop}");
    }
    Ok(())
}

/// The processes that hold the socket, who began first before the others; all have the name of this one, as none runs another program.
pub(super) fn expect_owner(drop: &Value, pids: &[u32]) -> Result<()> {
    let command = fs::read_to_string("/proc/self/comm")?;
    let processes: Vec<Value> =
        pids.iter().map(|pid| json!({"pid": pid, "command": command.trim_end()})).collect();
    let (first, others) = processes.split_first().context("somebody holds it")?;
    expect(drop, "/socket/owner", &[("pid", first["pid"].clone()), ("command", first["command"].clone())])?;
    let owner = &drop["socket"]["owner"];
    let found = owner["others"].as_array().map_or(&[][..], Vec::as_slice);
    ensure!(found == others, "the others are not {others:?}: {drop}");
    for state in ["gone", "closed", "nobody", "more"] {
        ensure!(owner.get(state).is_none(), "{state}, though {pids:?} hold it: {drop}");
    }
    Ok(())
}

/// The function of a frame, without its offset and the compiler's suffix (`.isra.0`).
fn plain(frame: &str) -> &str {
    frame.split(['+', '.', ' ']).next().unwrap_or(frame)
}
