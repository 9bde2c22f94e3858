//! TCP: the beginning and the end of connections.

use std::io::Write;
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};

use super::shape::{ETHER_V4, V4, only_where_known};
use super::tcp::{AT_SOCKET, SERVER_PORT, SYN, TCP, connections_are_traced};
use crate::lab::{Lab, RECEIVER, SENDER, set_option};
use crate::scenario::{At, Expect, Scenario, Stage};
use crate::traffic::{CLIENT, PacketSocket, RawTcp, Tcp};

/// Two no-operations and a timestamp (RFC 7323) of 2000000, nothing echoed.
const NOW: [u8; 12] = [1, 1, 8, 10, 0, 0x1e, 0x84, 0x80, 0, 0, 0, 0];
/// As [`NOW`], echoing what was never sent.
const ECHO: [u8; 12] = [1, 1, 8, 10, 0, 0x1e, 0x84, 0x80, 0x12, 0x34, 0x56, 0x78];
/// A timestamp of 1000000.
const PAST: [u8; 12] = [1, 1, 8, 10, 0, 0x0f, 0x42, 0x40, 0, 0, 0, 0];

pub fn table() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "tcp-hop-limit-below-minimum",
            prepare: minimum_ttl,
            expect: Expect { reasons: &["TCP_MINTTL", "NOT_SPECIFIED"], ..TCP },
        },
        Scenario {
            name: "tcp-handshake-beyond-window",
            prepare: |count| handshake(count, &[], 100_000_000, &[]),
            expect: Expect {
                reasons: &["TCP_OVERWINDOW", "NOT_SPECIFIED"],
                since: "TCP_RFC7323_TSECR",
                ..TCP
            },
        },
        Scenario {
            name: "tcp-handshake-echoes-a-wrong-timestamp",
            prepare: |count| {
                only_where_known("TCP_RFC7323_TSECR", "it accepts the segment")?;
                handshake(count, &NOW, 0, &ECHO)
            },
            expect: Expect { reasons: &["TCP_RFC7323_TSECR"], ..TCP },
        },
        Scenario {
            name: "tcp-reset-of-a-fast-open",
            prepare: fast_open,
            expect: Expect {
                reasons: &["TCP_FASTOPEN"],
                functions: &["tcp_rcv_state_process", "tcp_drop", "tcp_drop_reason"],
                ..AT_SOCKET
            },
        },
        Scenario {
            name: "tcp-answer-to-another-syn",
            prepare: answer_to_another,
            expect: Expect { reasons: &["TCP_INVALID_ACK_SEQUENCE", "NOT_SPECIFIED"], ..AT_SOCKET },
        },
        Scenario {
            name: "tcp-time-wait-timestamp-of-the-past",
            prepare: time_wait,
            expect: Expect { reasons: &["TCP_RFC7323_TW_PAWS", "NOT_SPECIFIED"], ..TCP },
        },
        Scenario {
            name: "tcp-route-is-gone",
            prepare: route_gone,
            expect: Expect {
                reasons: &["IP_OUTNOROUTES", "NOT_SPECIFIED"],
                functions: &["__ip_queue_xmit", "ip_queue_xmit"],
                at: At::Sender,
                device: "",
                protocol: "",
                ..TCP
            },
        },
    ]
}

fn listen(lab: &Lab) -> Result<TcpListener> {
    lab.receiver.enter(|| Ok(TcpListener::bind((RECEIVER.v4, SERVER_PORT))?))
}

/// `IP_MINTTL` of ip(7): only neighbours may connect.
fn minimum_ttl(count: u64) -> Result<Stage> {
    let lab = Lab::pair()?;
    let listener = listen(&lab)?;
    set_option(&listener, libc::IPPROTO_IP, libc::IP_MINTTL, &255_i32)?;
    let packet = Tcp { destination: SERVER_PORT, ..SYN }.packet(&V4, b"");
    let socket = PacketSocket::sender(lab.from(), SENDER.device)?;
    Stage::new(lab, move |_| {
        let _open = &listener;
        socket.repeat(&ETHER_V4.wrap(&packet), count)
    })
}

/// A SYN and its answer, then last acknowledgments that are `ahead` of what the server expects.
fn handshake(count: u64, syn: &[u8], ahead: u32, acknowledgment: &'static [u8]) -> Result<Stage> {
    let lab = Lab::pair()?;
    let listener = listen(&lab)?;
    let tcp = RawTcp::half_open_with(&lab, 50_000, SERVER_PORT, syn, b"")?;
    Stage::new(lab, move |_| {
        let _open = &listener;
        (0..count).try_for_each(|_| {
            tcp.send_with(acknowledgment, tcp.sequence + ahead, tcp.acknowledgment, Tcp::ACK, b"")
        })
    })
}

/// Connections that carried data in their SYN (RFC 7413, no cookie asked for) are reset before they are established.
fn fast_open(count: u64) -> Result<Stage> {
    connections_are_traced()?;
    let lab = Lab::pair()?;
    // 2: servers may; 0x200: without a cookie; 0x400: on all listeners (ip-sysctl.rst).
    lab.receiver.sysctl("net/ipv4/tcp_fastopen", "1538")?;
    let listener = listen(&lab)?;
    let clients = (0..u16::try_from(count)?)
        .map(|number| RawTcp::half_open_with(&lab, 50_000 + number, SERVER_PORT, &[], b"data"))
        .collect::<Result<Vec<_>>>()?;
    Stage::new(lab, move |_| {
        let _open = &listener;
        clients.iter().try_for_each(|tcp| tcp.send(tcp.sequence, 0, Tcp::RST, b""))
    })
}

/// Clients of the receiver get SYN-ACKs that acknowledge something else.
fn answer_to_another(count: u64) -> Result<Stage> {
    let lab = Lab::pair()?;
    let mut waiting = Vec::new();
    for server_port in (8000..).take(usize::try_from(count)?) {
        let client = lab.receiver.enter(|| connecting(SocketAddrV4::new(CLIENT, server_port)))?;
        let SocketAddr::V4(local) = client.local_addr()? else { unreachable!("bound to IPv4") };
        let tcp = RawTcp::closed(&lab, server_port, local.port())?;
        waiting.push((client, tcp));
    }
    Stage::new(lab, move |_| {
        waiting.iter().try_for_each(|(_, tcp)| tcp.send(tcp.sequence, 1, Tcp::SYN | Tcp::ACK, b""))
    })
}

/// A socket in `SYN_SENT`.
fn connecting(to: SocketAddrV4) -> Result<TcpStream> {
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: socket(2) has no memory arguments; the result is checked before it is owned.
    let socket = unsafe {
        let raw = libc::socket(libc::AF_INET, kind, 0);
        ensure!(raw >= 0, "socket(2): {}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(raw)
    };
    // SAFETY: an all-zero sockaddr_in is valid.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = u16::try_from(libc::AF_INET)?;
    address.sin_port = to.port().to_be();
    address.sin_addr.s_addr = u32::from_ne_bytes(to.ip().octets());
    let length = u32::try_from(size_of_val(&address))?;
    // SAFETY: the address lives through the call and `length` is its size.
    let result = unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) };
    let error = std::io::Error::last_os_error();
    ensure!(result == 0 || error.raw_os_error() == Some(libc::EINPROGRESS), "connect(2): {error}");
    Ok(socket.into())
}

/// The server has closed first and waits; segments from before come in.
fn time_wait(count: u64) -> Result<Stage> {
    let lab = Lab::pair()?;
    let listener = listen(&lab)?;
    let mut tcp = RawTcp::half_open_with(&lab, 50_000, SERVER_PORT, &NOW, b"")?;
    tcp.send_with(&NOW, tcp.sequence, tcp.acknowledgment, Tcp::ACK, b"")?;
    drop(listener.accept()?);
    tcp.receive(|segment| segment.flags & Tcp::FIN != 0).context("no FIN")?;
    tcp.acknowledgment = tcp.acknowledgment.wrapping_add(1);
    tcp.send_with(&NOW, tcp.sequence, tcp.acknowledgment, Tcp::FIN | Tcp::ACK, b"")?;
    tcp.sequence += 1;
    tcp.receive(|segment| segment.acknowledgment == tcp.sequence).context("no last acknowledgment")?;
    Stage::new(lab, move |_| {
        let _open = &listener;
        (0..count).try_for_each(|_| tcp.send_with(&PAST, tcp.sequence, tcp.acknowledgment, Tcp::ACK, b"x"))
    })
}

/// A connection whose way goes. The route's `rto_min` keeps the kernel's own attempts out of the count.
fn route_gone(count: u64) -> Result<Stage> {
    let lab = Lab::pair()?;
    let listener = listen(&lab)?;
    let route = "10.9.0.0/24 dev s0 proto kernel scope link src 10.9.0.1";
    lab.from().ip(&[&format!("route change {route} rto_min 60s")])?;
    let mut client = lab.from().enter(|| Ok(TcpStream::connect((RECEIVER.v4, SERVER_PORT))?))?;
    client.set_nodelay(true)?;
    lab.from().ip(&[&format!("route del {route}")])?;
    Stage::new(lab, move |_| {
        let _open = &listener;
        (0..count).try_for_each(|_| Ok(client.write_all(b"x")?))
    })
}
