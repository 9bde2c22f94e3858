//! A next hop that doesn't answer.

use std::net::UdpSocket;

use anyhow::{Result, ensure};

use super::shape::EXPECT;
use crate::lab::{Lab, Namespace};
use crate::scenario::{At, Expect, Scenario, Stage};

const FROM_SENDER: Expect = Expect { at: At::Sender, device: "s0", count: 3, ..EXPECT };

pub fn table() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "neighbour-failed",
            prepare: |count| {
                let lab = Lab::pair()?;
                unresponsive(lab.from(), "ipv4", "100")?;
                send_to(lab, "10.9.0.99:9", 0, count)
            },
            expect: Expect {
                reasons: &["NEIGH_FAILED", "NOT_SPECIFIED"],
                functions: &["arp_error_report", "neigh_invalidate"],
                ..FROM_SENDER
            },
        },
        Scenario {
            name: "neighbour-queue-full",
            prepare: |count| {
                let lab = Lab::pair()?;
                unresponsive(lab.from(), "ipv4", "60000")?;
                // A byte's room: one packet waits, and the next one pushes it out.
                lab.from().sysctl("net/ipv4/neigh/s0/unres_qlen_bytes", "1")?;
                send_to(lab, "10.9.0.99:9", 1, count)
            },
            expect: Expect {
                reasons: &["NEIGH_QUEUEFULL", "NOT_SPECIFIED"],
                functions: &["__neigh_event_send"],
                ..FROM_SENDER
            },
        },
        // IPv4 by way of an IPv6 router, over a link that has become too narrow for IPv6 (RFC 8200 section 5).
        Scenario {
            name: "neighbour-impossible",
            prepare: |count| {
                let lab = Lab::pair_v6()?;
                let route = "ip route add 198.51.100.0/24 via inet6 fd09::2 dev s0";
                lab.from().feature("IPv4 route by way of IPv6", route, "")?;
                lab.from().ip(&["link set s0 mtu 1000"])?;
                refused_sends(lab, "198.51.100.1:9", count)
            },
            expect: Expect {
                reasons: &["NEIGH_CREATEFAIL", "NOT_SPECIFIED"],
                functions: &["ip_finish_output2"],
                ..FROM_SENDER
            },
        },
        Scenario {
            name: "neighbour-failed-v6",
            prepare: |count| {
                let lab = Lab::pair_v6()?;
                unresponsive(lab.from(), "ipv6", "100")?;
                send_to(lab, "[fd09::99]:9", 0, count)
            },
            expect: Expect {
                reasons: &["NOT_SPECIFIED"],
                functions: &["ndisc_error_report", "neigh_invalidate"],
                ..FROM_SENDER
            },
        },
    ]
}

/// One question for a neighbour, `wait_ms` long.
fn unresponsive(namespace: &Namespace, family: &str, wait_ms: &str) -> Result<()> {
    for (key, value) in [("mcast_solicit", "1"), ("retrans_time_ms", wait_ms)] {
        namespace.sysctl(&format!("net/{family}/neigh/s0/{key}"), value)?;
    }
    Ok(())
}

/// Sends `queued` datagrams before the watcher starts and `count` after.
fn send_to(lab: Lab, address: &'static str, queued: u64, count: u64) -> Result<Stage> {
    let any = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    let socket = lab.from().enter(|| Ok(UdpSocket::bind(any)?))?;
    for _ in 0..queued {
        socket.send_to(b"hey", address)?;
    }
    Stage::new(lab, move |_| {
        for _ in 0..count {
            socket.send_to(b"hey", address)?;
        }
        Ok(())
    })
}

/// Sends `count` datagrams, each of which its own kernel must refuse.
fn refused_sends(lab: Lab, address: &'static str, count: u64) -> Result<Stage> {
    let socket = lab.from().enter(|| Ok(UdpSocket::bind("0.0.0.0:0")?))?;
    Stage::new(lab, move |_| {
        for _ in 0..count {
            ensure!(socket.send_to(b"hey", address).is_err(), "a datagram got out");
        }
        Ok(())
    })
}
