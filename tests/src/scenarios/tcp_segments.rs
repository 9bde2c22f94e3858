//! TCP: segments of a connection that its state refuses.

use std::net::{TcpListener, TcpStream};

use anyhow::{Result, bail};

use super::tcp::{AT_SOCKET, SERVER_PORT, connect, connections_are_traced, segments};
use crate::lab::{Lab, RECEIVER, set_option};
use crate::scenario::{Expect, Scenario, Stage};
use crate::traffic::{RawTcp, Tcp};

const VALIDATED: Expect =
    Expect { functions: &["tcp_validate_incoming", "tcp_drop", "tcp_drop_reason"], ..AT_SOCKET };
const QUEUED: Expect = Expect {
    functions: &[
        "tcp_validate_incoming",
        "tcp_data_queue",
        "tcp_data_queue_ofo",
        "tcp_ofo_queue",
        "tcp_prune_ofo_queue",
        "tcp_prune_queue",
        "tcp_rcv_established",
        "tcp_drop",
        "tcp_drop_reason",
    ],
    ..AT_SOCKET
};
/// Two no-operations and a timestamp (RFC 7323) of 2000000, nothing echoed.
const NOW: [u8; 12] = [1, 1, 8, 10, 0, 0x1e, 0x84, 0x80, 0, 0, 0, 0];
/// A timestamp of 1000000.
const PAST: [u8; 12] = [1, 1, 8, 10, 0, 0x0f, 0x42, 0x40, 0, 0, 0, 0];
/// The smallest receive buffer there is: the kernel raises it to its own least (`SOCK_MIN_RCVBUF`).
const LEAST: libc::c_int = 1;

pub fn table() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "tcp-reset-beside-the-sequence",
            prepare: |count| segments(count, |tcp| tcp.send(tcp.sequence + 10, 0, Tcp::RST, b"")),
            expect: Expect { reasons: &["TCP_RESET"], ..VALIDATED },
        },
        Scenario {
            name: "tcp-syn-within-a-connection",
            prepare: |count| segments(count, |tcp| tcp.send(tcp.sequence, 0, Tcp::SYN, b"")),
            expect: Expect { reasons: &["TCP_INVALID_SYN"], ..VALIDATED },
        },
        Scenario {
            name: "tcp-acknowledges-what-was-long-ago",
            prepare: |count| {
                segments(count, |tcp| {
                    tcp.send(tcp.sequence, tcp.acknowledgment.wrapping_sub(1_000_000), Tcp::ACK, b"x")
                })
            },
            expect: Expect {
                reasons: &["TCP_TOO_OLD_ACK"],
                functions: &["tcp_rcv_established", "tcp_v4_do_rcv", "tcp_drop", "tcp_drop_reason"],
                ..AT_SOCKET
            },
        },
        Scenario {
            name: "tcp-data-of-long-ago",
            prepare: |count| {
                segments(count, |tcp| tcp.send(tcp.sequence - 1000, tcp.acknowledgment, Tcp::ACK, b"x"))
            },
            expect: Expect { reasons: &["TCP_OLD_SEQUENCE", "TCP_INVALID_SEQUENCE"], ..VALIDATED },
        },
        Scenario {
            name: "tcp-timestamp-of-the-past",
            prepare: |count| timestamped(count, |tcp| tcp.sequence, b"x"),
            expect: Expect { reasons: &["TCP_RFC7323_PAWS"], ..VALIDATED },
        },
        Scenario {
            name: "tcp-acknowledgment-of-the-past",
            prepare: |count| timestamped(count, |tcp| tcp.sequence - 1, b""),
            expect: Expect { reasons: &["TCP_RFC7323_PAWS_ACK", "TCP_RFC7323_PAWS"], ..VALIDATED },
        },
        Scenario {
            name: "tcp-out-of-order-twice",
            prepare: |count| {
                let lab = Lab::pair()?;
                let (tcp, server) = established(&lab, None)?;
                let segment = tcp.sequence + 100;
                tcp.send(segment, tcp.acknowledgment, Tcp::ACK, b"0123456789")?;
                Stage::new(lab, move |_| {
                    let _open = &server;
                    (0..count).try_for_each(|_| tcp.send(segment + 2, tcp.acknowledgment, Tcp::ACK, b"234"))
                })
            },
            expect: Expect { reasons: &["TCP_OFOMERGE"], ..QUEUED },
        },
        Scenario {
            name: "tcp-out-of-order-overtaken",
            prepare: |count| {
                let lab = Lab::pair()?;
                let (tcp, server) = established(&lab, None)?;
                for place in 1..=u32::try_from(count)? {
                    tcp.send(tcp.sequence + 10 * place, tcp.acknowledgment, Tcp::ACK, b"xx")?;
                }
                Stage::new(lab, move |_| {
                    let _open = &server;
                    tcp.send(tcp.sequence, tcp.acknowledgment, Tcp::ACK, &[b'x'; 100])
                })
            },
            expect: Expect { reasons: &["TCP_OFO_DROP"], ..QUEUED },
        },
        // Until `in_skb` came to tcp_prune_ofo_queue (6.2), the queue's last gave way to any other.
        Scenario {
            name: "tcp-out-of-order-without-room",
            prepare: |count| crowded(count, |number| 100 + 10 * number),
            expect: Expect {
                reasons: &["PROTO_MEM", "TCP_OFO_QUEUE_PRUNE"],
                since: "TCP_AUTH_HDR",
                ..QUEUED
            },
        },
        Scenario {
            name: "tcp-out-of-order-makes-room",
            prepare: |count| crowded(count, |number| 500 - 10 * number),
            expect: Expect { reasons: &["TCP_OFO_QUEUE_PRUNE"], ..QUEUED },
        },
        Scenario {
            name: "tcp-zero-window",
            prepare: zero_window,
            expect: Expect { reasons: &["TCP_INVALID_END_SEQUENCE", "TCP_ZEROWINDOW"], ..QUEUED },
        },
    ]
}

/// A connection to a server with this receive buffer.
fn established(lab: &Lab, receive_buffer: Option<libc::c_int>) -> Result<(RawTcp, TcpStream)> {
    connections_are_traced()?;
    let Some(bytes) = receive_buffer else { return connect(lab) };
    let listener = lab.receiver.enter(|| Ok(TcpListener::bind((RECEIVER.v4, SERVER_PORT))?))?;
    set_option(&listener, libc::SOL_SOCKET, libc::SO_RCVBUF, &bytes)?;
    let tcp = RawTcp::half_open(lab, 50_000, SERVER_PORT)?;
    tcp.send(tcp.sequence, tcp.acknowledgment, Tcp::ACK, b"")?;
    Ok((tcp, listener.accept()?.0))
}

/// A connection with timestamps, then segments whose timestamp is older than the last one.
fn timestamped(count: u64, sequence: fn(&RawTcp) -> u32, payload: &'static [u8]) -> Result<Stage> {
    connections_are_traced()?;
    let lab = Lab::pair()?;
    let listener = lab.receiver.enter(|| Ok(TcpListener::bind((RECEIVER.v4, SERVER_PORT))?))?;
    let tcp = RawTcp::half_open_with(&lab, 50_000, SERVER_PORT, &NOW, b"")?;
    tcp.send_with(&NOW, tcp.sequence, tcp.acknowledgment, Tcp::ACK, b"")?;
    let (server, _) = listener.accept()?;
    Stage::new(lab, move |_| {
        let _open = &server;
        (0..count)
            .try_for_each(|_| tcp.send_with(&PAST, sequence(&tcp), tcp.acknowledgment, Tcp::ACK, payload))
    })
}

/// Single bytes, each out of order and none beside another, until they have filled the receive buffer; then `count` more.
/// One of them takes more than an eighth of that buffer, so that pruning takes one for one.
fn crowded(count: u64, place: fn(u32) -> u32) -> Result<Stage> {
    const ENOUGH: u32 = 20;
    let lab = Lab::pair()?;
    let (tcp, server) = established(&lab, Some(LEAST))?;
    let one = move |tcp: &RawTcp, number| {
        tcp.send(tcp.sequence + place(number), tcp.acknowledgment, Tcp::ACK, b"x")
    };
    (0..ENOUGH).try_for_each(|number| one(&tcp, number))?;
    let last = ENOUGH + u32::try_from(count)?;
    Stage::new(lab, move |_| {
        let _open = &server;
        (ENOUGH..last).try_for_each(|number| one(&tcp, number))
    })
}

/// A server that doesn't read is sent what it has room for, and then one byte more, `count` times.
fn zero_window(count: u64) -> Result<Stage> {
    let lab = Lab::pair()?;
    let (mut tcp, server) = established(&lab, Some(32_768))?;
    for _ in 0..200 {
        tcp.send(tcp.sequence, tcp.acknowledgment, Tcp::ACK, &[b'x'; 1400])?;
        let answer = tcp.receive(|segment| segment.flags & Tcp::SYN == 0)?;
        tcp.sequence = answer.acknowledgment;
        if answer.window == 0 {
            return Stage::new(lab, move |_| {
                let _open = &server;
                (0..count).try_for_each(|_| tcp.send(tcp.sequence, tcp.acknowledgment, Tcp::ACK, b"x"))
            });
        }
    }
    bail!("the window never closed");
}
