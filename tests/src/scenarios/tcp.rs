//! TCP: no listener, a full listener, segments that don't belong.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::filters::kernel_has_reasons;
use super::shape::{ETHER_V4, EXPECT, V4, V6, inject_v4, inject_v6};
use crate::lab::{Lab, RECEIVER, SENDER, Skip, tcp_info, until};
use crate::scenario::{Expect, Scenario, Stage};
use crate::traffic::{PacketSocket, RawTcp, Tcp, corrupt};

pub(super) const TCP: Expect = Expect { protocol: "tcp", functions: &["tcp_v4_rcv"], ..EXPECT };
/// A socket took the packet: it no longer points to its device, but knows which one it came in by.
pub(super) const AT_SOCKET: Expect = Expect { functions: &["tcp_v4_do_rcv", "tcp_v4_rcv"], ..TCP };
pub(super) const SERVER_PORT: u16 = 80;
pub(super) const SYN: Tcp =
    Tcp { source: 40_000, destination: 81, sequence: 1, acknowledgment: 0, flags: Tcp::SYN };

#[expect(clippy::too_many_lines, reason = "a table")]
pub fn table() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "tcp-closed-port",
            prepare: |count| inject_v4(&SYN.packet(&V4, b""), count),
            expect: Expect {
                reasons: &["NO_SOCKET"],
                packet: &[("/protocol", "tcp"), ("/destination/port", "81"), ("/length", "40")],
                ..TCP
            },
        },
        Scenario {
            name: "tcp-closed-port-v6",
            prepare: |count| inject_v6(&SYN.packet(&V6, b""), count),
            expect: Expect { reasons: &["NO_SOCKET"], functions: &["tcp_v6_rcv"], ..TCP },
        },
        Scenario {
            name: "tcp-connection-refused",
            prepare: refused,
            expect: Expect { reasons: &["NO_SOCKET"], ..TCP },
        },
        Scenario {
            name: "tcp-bad-checksum",
            prepare: |count| inject_v4(&corrupt(SYN.packet(&V4, b"hello"), -1), count),
            expect: Expect { reasons: &["TCP_CSUM"], ..TCP },
        },
        Scenario {
            name: "tcp-bad-checksum-v6",
            prepare: |count| inject_v6(&corrupt(SYN.packet(&V6, b"hello"), -1), count),
            expect: Expect { reasons: &["TCP_CSUM"], functions: &["tcp_v6_rcv"], ..TCP },
        },
        Scenario {
            name: "tcp-bad-header-length",
            prepare: |count| {
                let mut packet = SYN.packet(&V4, b"");
                packet[20 + 12] = 4 << 4;
                inject_v4(&packet, count)
            },
            expect: Expect { reasons: &["PKT_TOO_SMALL"], ..TCP },
        },
        Scenario {
            name: "tcp-listen-queue-overflow",
            prepare: listen_overflow,
            expect: Expect { reasons: &["TCP_LISTEN_OVERFLOW", "NOT_SPECIFIED"], ..TCP },
        },
        Scenario {
            name: "tcp-acknowledgment-to-a-listener",
            prepare: |count| {
                let lab = Lab::pair()?;
                let listener = lab.receiver.enter(|| Ok(TcpListener::bind((RECEIVER.v4, SERVER_PORT))?))?;
                let packet = Tcp { destination: SERVER_PORT, flags: Tcp::ACK, ..SYN }.packet(&V4, b"");
                let socket = PacketSocket::sender(lab.from(), SENDER.device)?;
                Stage::new(lab, move |_| {
                    let _open = &listener;
                    socket.repeat(&ETHER_V4.wrap(&packet), count)
                })
            },
            expect: Expect {
                reasons: &["TCP_FLAGS", "NOT_SPECIFIED"],
                since: "TCP_ABORT_ON_DATA",
                ..AT_SOCKET
            },
        },
        Scenario {
            name: "tcp-data-seen-before",
            prepare: |count| {
                segments(count, |tcp| tcp.send(tcp.sequence - 1, tcp.acknowledgment, Tcp::ACK, b"x"))
            },
            expect: Expect {
                reasons: &["TCP_OLD_DATA", "TCP_OLD_SEQUENCE", "NOT_SPECIFIED"],
                functions: &[
                    "tcp_rcv_established",
                    "tcp_data_queue",
                    "tcp_validate_incoming",
                    "tcp_drop",
                    "tcp_drop_reason",
                ],
                ..AT_SOCKET
            },
        },
        Scenario {
            name: "tcp-sequence-beyond-window",
            prepare: |count| {
                segments(count, |tcp| {
                    tcp.send(tcp.sequence + 100_000_000, tcp.acknowledgment, Tcp::ACK, b"x")
                })
            },
            expect: Expect {
                reasons: &["TCP_INVALID_SEQUENCE", "NOT_SPECIFIED"],
                functions: &["tcp_validate_incoming", "tcp_drop", "tcp_drop_reason"],
                ..AT_SOCKET
            },
        },
        Scenario {
            name: "tcp-acknowledges-unsent-data",
            prepare: |count| {
                segments(count, |tcp| tcp.send(tcp.sequence, tcp.acknowledgment + 10_000, Tcp::ACK, b"x"))
            },
            expect: Expect {
                reasons: &["TCP_ACK_UNSENT_DATA", "NOT_SPECIFIED"],
                functions: &["tcp_v4_do_rcv", "tcp_rcv_established", "tcp_drop", "tcp_drop_reason"],
                ..AT_SOCKET
            },
        },
        Scenario {
            name: "tcp-data-after-shutdown",
            prepare: |count| {
                let lab = Lab::pair()?;
                let (tcp, server) = connect(&lab)?;
                server.shutdown(Shutdown::Both)?;
                Stage::new(lab, move |_| {
                    (0..count)
                        .try_for_each(|_| tcp.send(tcp.sequence, tcp.acknowledgment + 1, Tcp::ACK, b"x"))
                })
            },
            expect: Expect {
                reasons: &["TCP_ABORT_ON_DATA", "NOT_SPECIFIED"],
                functions: &["tcp_rcv_state_process", "tcp_v4_do_rcv", "tcp_drop", "tcp_drop_reason"],
                count: 1,
                ..AT_SOCKET
            },
        },
    ]
}

fn refused(count: u64) -> Result<Stage> {
    Stage::new(Lab::pair()?, move |lab| {
        lab.from().enter(|| {
            for _ in 0..count {
                ensure!(TcpStream::connect((RECEIVER.v4, 81)).is_err(), "nobody listens on port 81");
            }
            Ok(())
        })
    })
}

/// Handshakes whose last acknowledgment finds the accept queue full. A SYN that finds it full is not here: the kernel
/// counts it (`ListenOverflows`) and consumes it (`tcp_conn_request` in `net/ipv4/tcp_input.c`), which isn't a drop to it.
pub(super) fn listen_overflow(count: u64) -> Result<Stage> {
    let lab = Lab::pair()?;
    let listener = lab.receiver.enter(|| Ok(TcpListener::bind((RECEIVER.v4, SERVER_PORT))?))?;
    let mut connected = Vec::new();
    Stage::new(lab, move |lab| {
        connected.push(overflow(lab, &listener, count)?);
        Ok(())
    })
}

/// So many of them; the connection that fills the queue.
pub(super) fn overflow(lab: &Lab, listener: &TcpListener, count: u64) -> Result<TcpStream> {
    // All at once: a request that waits is given up after a second, where more than four of them wait (`reqsk_timer_handler`).
    let clients = (0..u16::try_from(count)?)
        .map(|number| RawTcp::half_open(lab, 50_000 + number, SERVER_PORT))
        .collect::<Result<Vec<_>>>()?;
    let connected = lab.from().enter(|| Ok(TcpStream::connect((RECEIVER.v4, SERVER_PORT))?))?;
    // The client is connected a moment before the server's end is queued: its last acknowledgment is on the way.
    until("the accept queue to fill", Duration::from_secs(5), || {
        Ok((accept_queue(listener)? == 1).then_some(()))
    })?;
    // A second listen(2) changes the backlog; 0 leaves room for one.
    // SAFETY: no memory arguments.
    ensure!(unsafe { libc::listen(listener.as_raw_fd(), 0) } == 0, "listen(2)");
    clients.iter().try_for_each(|tcp| tcp.send(tcp.sequence, tcp.acknowledgment, Tcp::ACK, b""))?;
    Ok(connected)
}

/// For a listener, `tcpi_unacked` is the length of its accept queue (`tcp_get_info` in `net/ipv4/tcp.c`).
fn accept_queue(listener: &TcpListener) -> Result<u32> {
    Ok(tcp_info(listener)?.tcpi_unacked)
}

/// An established connection: the hand-made client and the server's end.
pub(super) fn connect(lab: &Lab) -> Result<(RawTcp, TcpStream)> {
    let listener = lab.receiver.enter(|| Ok(TcpListener::bind((RECEIVER.v4, SERVER_PORT))?))?;
    let tcp = RawTcp::half_open(lab, 50_000, SERVER_PORT)?;
    tcp.send(tcp.sequence, tcp.acknowledgment, Tcp::ACK, b"")?;
    let (server, _) = listener.accept()?;
    Ok((tcp, server))
}

/// An established connection, then `count` segments that `one` sends.
pub(super) fn segments(count: u64, one: fn(&RawTcp) -> Result<()>) -> Result<Stage> {
    connections_are_traced()?;
    let lab = Lab::pair()?;
    let (tcp, server) = connect(&lab)?;
    Stage::new(lab, move |_| {
        let _open = &server;
        (0..count).try_for_each(|_| one(&tcp))
    })
}

/// Skips where `tcp_drop` (`net/ipv4/tcp_input.c`) calls `__kfree_skb`: until reasons came.
pub(super) fn connections_are_traced() -> Result<()> {
    if kernel_has_reasons()? {
        return Ok(());
    }
    Err(Skip("this kernel's TCP drops what a connection refuses past the tracepoint".into()).into())
}
