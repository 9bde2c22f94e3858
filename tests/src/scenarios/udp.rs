//! UDP: no receiver, a full receiver, a filter, broken datagrams.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use anyhow::{Context, Result, ensure};

use super::shape::{ETHER_V4, EXPECT, UDP, V4, V6, inject, inject_v4, inject_v6};
use crate::lab::{Lab, set_option};
use crate::scenario::{At, Expect, Scenario, Stage};
use crate::traffic::{Ip, Ipv4, corrupt};

const V4_FUNCTIONS: &[&str] = &["udp_rcv", "__udp4_lib_rcv"];
const V6_FUNCTIONS: &[&str] = &["udpv6_rcv", "__udp6_lib_rcv"];

#[expect(clippy::too_many_lines, reason = "a table")]
pub fn table() -> Vec<Scenario> {
    let closed = Expect { reasons: &["NO_SOCKET"], functions: V4_FUNCTIONS, device: "lo", ..EXPECT };
    vec![
        Scenario {
            name: "udp-closed-port",
            prepare: |count| closed_port(Lab::alone()?, Ipv4Addr::LOCALHOST.into(), count),
            expect: Expect {
                packet: &[
                    ("/family", "ipv4"),
                    ("/protocol", "udp"),
                    ("/source/address", "127.0.0.1"),
                    ("/destination/address", "127.0.0.1"),
                    ("/destination/port", "9"),
                    ("/length", "31"),
                    ("/ttl", "64"),
                ],
                ..closed
            },
        },
        Scenario {
            name: "udp-closed-port-v6",
            prepare: |count| closed_port(Lab::alone_v6()?, Ipv6Addr::LOCALHOST.into(), count),
            expect: Expect {
                functions: V6_FUNCTIONS,
                packet: &[("/family", "ipv6"), ("/destination/address", "::1"), ("/destination/port", "9")],
                ..closed
            },
        },
        Scenario {
            name: "udp-closed-port-over-a-link",
            prepare: |count| inject_v4(&UDP.packet(&V4, b"hello"), count),
            expect: Expect {
                device: "r0",
                packet: &[("/source/address", "10.9.0.1"), ("/source/port", "40000"), ("/length", "33")],
                ..closed
            },
        },
        Scenario {
            name: "udp-receive-buffer-full",
            prepare: |count| full_buffer(Lab::alone()?, Ipv4Addr::LOCALHOST.into(), count),
            expect: Expect {
                reasons: &["SOCKET_RCVBUFF"],
                functions: &["udp_queue_rcv_one_skb", "__udp_enqueue_schedule_skb"],
                device: "lo",
                ..EXPECT
            },
        },
        Scenario {
            name: "udp-receive-buffer-full-v6",
            prepare: |count| full_buffer(Lab::alone_v6()?, Ipv6Addr::LOCALHOST.into(), count),
            expect: Expect {
                reasons: &["SOCKET_RCVBUFF"],
                functions: &["udpv6_queue_rcv_one_skb"],
                device: "lo",
                ..EXPECT
            },
        },
        Scenario {
            name: "udp-socket-filter",
            prepare: socket_filter,
            expect: Expect {
                reasons: &["SOCKET_FILTER"],
                functions: &["udp_queue_rcv_one_skb"],
                device: "lo",
                ..EXPECT
            },
        },
        Scenario {
            name: "udp-bad-checksum",
            prepare: |count| inject_v4(&corrupt(UDP.packet(&V4, b"hello"), -1), count),
            expect: Expect { reasons: &["UDP_CSUM"], functions: V4_FUNCTIONS, ..EXPECT },
        },
        Scenario {
            name: "udp-bad-checksum-v6",
            prepare: |count| inject_v6(&corrupt(UDP.packet(&V6, b"hello"), -1), count),
            expect: Expect { reasons: &["UDP_CSUM"], functions: V6_FUNCTIONS, ..EXPECT },
        },
        Scenario {
            name: "udp-longer-than-its-packet",
            prepare: |count| inject_v4(&V4.wrap(17, &[0, 1, 0, 2, 0, 100, 0, 0]), count),
            expect: Expect { reasons: &["PKT_TOO_SMALL"], functions: V4_FUNCTIONS, ..EXPECT },
        },
        Scenario {
            name: "udp-multicast-without-member",
            prepare: |count| {
                let ip = Ipv4 { destination: Ipv4Addr::new(239, 1, 1, 1), ..V4 };
                let mac = [0x01, 0x00, 0x5e, 1, 1, 1];
                let ethernet = crate::traffic::Ethernet { destination: mac, ..ETHER_V4 };
                inject(Lab::pair()?, ethernet.wrap(&UDP.packet(&ip, b"hello")), count)
            },
            expect: Expect {
                reasons: &["NOT_SPECIFIED"],
                functions: &["ip_rcv_finish_core", "ip_rcv_finish"],
                ..EXPECT
            },
        },
        Scenario {
            name: "udp-closed-with-datagrams-queued",
            prepare: closed_with_queue,
            expect: Expect {
                reasons: &["NOT_SPECIFIED"],
                functions: &[
                    "skb_queue_purge_reason",
                    "skb_queue_purge",
                    "udp_destruct_common",
                    "udp_destruct_sock",
                ],
                at: At::Nowhere,
                device: "",
                ..EXPECT
            },
        },
    ]
}

fn closed_port(lab: Lab, to: std::net::IpAddr, count: u64) -> Result<Stage> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = lab.receiver.enter(|| Ok(UdpSocket::bind(any)?))?;
    Stage::new(lab, move |_| {
        for _ in 0..count {
            socket.send_to(b"hey", (to, 9))?;
        }
        Ok(())
    })
}

/// A receiver that never reads, and a sender to it.
fn lazy_receiver(lab: &Lab, at: std::net::IpAddr) -> Result<(UdpSocket, UdpSocket, SocketAddr)> {
    let receiver = lab.receiver.enter(|| Ok(UdpSocket::bind((at, 0))?))?;
    let sender = lab.receiver.enter(|| Ok(UdpSocket::bind((at, 0))?))?;
    let address = receiver.local_addr()?;
    Ok((receiver, sender, address))
}

fn full_buffer(lab: Lab, at: std::net::IpAddr, count: u64) -> Result<Stage> {
    let (receiver, sender, address) = lazy_receiver(&lab, at)?;
    set_option(&receiver, libc::SOL_SOCKET, libc::SO_RCVBUF, &4096i32)?;
    let overflows = |lab: &Lab| match at {
        std::net::IpAddr::V4(_) => lab.receiver.counter("Udp", "RcvbufErrors"),
        std::net::IpAddr::V6(_) => lab.receiver.counter6("Udp6RcvbufErrors"),
    };
    // Full once the kernel has refused twice: the first refusal can be of a datagram larger than what is left.
    let mut sent = 0;
    while overflows(&lab)? < 2 {
        ensure!(sent < 10_000, "the receive buffer never filled");
        sender.send_to(b"hey", address)?;
        sent += 1;
    }
    Stage::new(lab, move |_| {
        let _unread = &receiver;
        for _ in 0..count {
            sender.send_to(b"hey", address)?;
        }
        Ok(())
    })
}

fn socket_filter(count: u64) -> Result<Stage> {
    let lab = Lab::alone()?;
    let (receiver, sender, address) = lazy_receiver(&lab, Ipv4Addr::LOCALHOST.into())?;
    // BPF_RET | BPF_K, 0: accept no byte.
    let mut accept_nothing = [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 }];
    let program = libc::sock_fprog { len: 1, filter: accept_nothing.as_mut_ptr() };
    set_option(&receiver, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)?;
    Stage::new(lab, move |_| {
        let _unread = &receiver;
        for _ in 0..count {
            sender.send_to(b"hey", address)?;
        }
        Ok(())
    })
}

/// The end of a socket's life, not a loss on the way. The queued packets' device pointer is overwritten
/// (`dev_scratch` shares its place), so a device must not be made up for them.
fn closed_with_queue(count: u64) -> Result<Stage> {
    let lab = Lab::alone()?;
    let (receiver, sender, address) = lazy_receiver(&lab, Ipv4Addr::LOCALHOST.into())?;
    for _ in 0..count {
        sender.send_to(b"hey", address)?;
    }
    let mut receiver = Some(receiver);
    Stage::new(lab, move |_| {
        drop(receiver.take().context("sent once")?);
        Ok(())
    })
}
