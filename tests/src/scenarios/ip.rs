//! IPv4: headers, routing, forwarding, policy.

use std::net::{Ipv4Addr, UdpSocket};

use anyhow::Result;

use super::shape::{BEHIND, ETHER_V4, EXPECT, UDP, V4, inject, inject_v4};
use crate::lab::Lab;
use crate::scenario::{Expect, Scenario, Stage};
use crate::traffic::{Ethernet, Icmp, Ip, Ipv4, corrupt};

/// A frame to everybody.
const TO_ALL: Ethernet = Ethernet { destination: [0xff; 6], ..ETHER_V4 };
const ROUTE_INPUT: &[&str] = &["ip_rcv_finish_core", "ip_rcv_finish", "ip_error", "ip_handle_martian_source"];

#[expect(clippy::too_many_lines, reason = "a table")]
pub fn table() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "ip-bad-header-checksum",
            prepare: |count| inject_v4(&corrupt(UDP.packet(&V4, b"hello"), 10), count),
            expect: Expect { reasons: &["IP_CSUM"], functions: &["ip_rcv_core"], ..EXPECT },
        },
        Scenario {
            name: "ip-bad-header-length",
            prepare: |count| {
                let mut packet = UDP.packet(&V4, b"hello");
                packet[0] = 0x44;
                inject_v4(&packet, count)
            },
            expect: Expect { reasons: &["IP_INHDR"], functions: &["ip_rcv_core"], protocol: "", ..EXPECT },
        },
        Scenario {
            name: "ip-shorter-than-it-says",
            prepare: |count| {
                let packet = UDP.packet(&V4, &[0; 100]);
                inject_v4(&packet[..60], count)
            },
            expect: Expect { reasons: &["PKT_TOO_SMALL"], functions: &["ip_rcv_core"], ..EXPECT },
        },
        Scenario {
            name: "ip-header-truncated",
            prepare: |count| inject_v4(&UDP.packet(&V4, b"")[..12], count),
            expect: Expect { reasons: &["IP_INHDR"], functions: &["ip_rcv_core"], protocol: "", ..EXPECT },
        },
        Scenario {
            name: "ip-unknown-protocol",
            prepare: |count| inject_v4(&V4.wrap(253, b"experiment"), count),
            expect: Expect {
                reasons: &["IP_NOPROTO"],
                functions: &["ip_local_deliver_finish", "ip_protocol_deliver_rcu"],
                protocol: "ip-253",
                ..EXPECT
            },
        },
        Scenario {
            name: "icmp-bad-checksum",
            prepare: |count| inject_v4(&corrupt(Icmp::echo_v4(&V4), -1), count),
            expect: Expect {
                reasons: &["ICMP_CSUM", "NOT_SPECIFIED"],
                functions: &["icmp_rcv"],
                protocol: "icmp",
                ..EXPECT
            },
        },
        Scenario {
            name: "icmp-echo-to-everybody",
            prepare: |count| {
                let everybody = Ipv4 { destination: Ipv4Addr::new(10, 9, 0, 255), ..V4 };
                let lab = Lab::pair()?;
                lab.receiver.sysctl("net/ipv4/icmp_echo_ignore_broadcasts", "1")?;
                inject(lab, TO_ALL.wrap(&Icmp::echo_v4(&everybody)), count)
            },
            expect: Expect {
                reasons: &["INVALID_PROTO", "NOT_SPECIFIED"],
                functions: &["icmp_rcv"],
                protocol: "icmp",
                ..EXPECT
            },
        },
        Scenario {
            name: "ip-unicast-in-a-broadcast-frame",
            prepare: |count| {
                let lab = Lab::pair()?;
                lab.receiver.sysctl("net/ipv4/conf/r0/drop_unicast_in_l2_multicast", "1")?;
                inject(lab, TO_ALL.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: Expect { reasons: &["UNICAST_IN_L2_MULTICAST"], functions: ROUTE_INPUT, ..EXPECT },
        },
        Scenario {
            name: "ip-destination-zero",
            prepare: |count| {
                let nowhere = Ipv4 { destination: Ipv4Addr::UNSPECIFIED, ..V4 };
                inject_v4(&UDP.packet(&nowhere, b"hello"), count)
            },
            expect: Expect {
                reasons: &["IP_INVALID_DEST", "NOT_SPECIFIED"],
                functions: ROUTE_INPUT,
                ..EXPECT
            },
        },
        Scenario {
            name: "ip-reverse-path-filter",
            prepare: |count| {
                let lab = Lab::pair()?;
                lab.receiver.sysctl("net/ipv4/conf/r0/rp_filter", "1")?;
                let stranger = Ipv4 { source: Ipv4Addr::new(203, 0, 113, 7), ..V4 };
                inject(lab, ETHER_V4.wrap(&UDP.packet(&stranger, b"hello")), count)
            },
            expect: Expect {
                reasons: &["IP_RPFILTER"],
                functions: ROUTE_INPUT,
                packet: &[("/source/address", "203.0.113.7")],
                ..EXPECT
            },
        },
        Scenario {
            name: "ip-martian-source",
            prepare: |count| {
                let martian = Ipv4 { source: Ipv4Addr::LOCALHOST, ..V4 };
                inject_v4(&UDP.packet(&martian, b"hello"), count)
            },
            expect: Expect {
                reasons: &["IP_LOCALNET", "IP_INVALID_SOURCE", "NOT_SPECIFIED"],
                functions: ROUTE_INPUT,
                ..EXPECT
            },
        },
        Scenario {
            name: "ip-source-is-a-group",
            prepare: |count| {
                let group = Ipv4 { source: Ipv4Addr::new(239, 1, 1, 1), ..V4 };
                inject_v4(&UDP.packet(&group, b"hello"), count)
            },
            expect: Expect {
                reasons: &["IP_INVALID_SOURCE", "NOT_SPECIFIED"],
                functions: ROUTE_INPUT,
                ..EXPECT
            },
        },
        Scenario {
            name: "ip-own-address-as-source",
            prepare: |count| {
                let spoofed = Ipv4 { source: V4.destination, ..V4 };
                inject_v4(&UDP.packet(&spoofed, b"hello"), count)
            },
            expect: Expect {
                reasons: &["IP_LOCAL_SOURCE", "NOT_SPECIFIED"],
                functions: ROUTE_INPUT,
                ..EXPECT
            },
        },
        Scenario {
            name: "ip-not-forwarding",
            prepare: |count| {
                let elsewhere = Ipv4 { destination: BEHIND, ..V4 };
                inject_v4(&UDP.packet(&elsewhere, b"hello"), count)
            },
            expect: Expect {
                reasons: &["IP_INADDRERRORS", "IP_INNOROUTES", "NOT_SPECIFIED"],
                functions: &["ip_error"],
                ..EXPECT
            },
        },
        Scenario {
            name: "forward-no-route",
            prepare: |count| forward(Ipv4 { destination: Ipv4Addr::new(203, 0, 113, 1), ..V4 }, 5, count),
            expect: Expect {
                reasons: &["IP_INNOROUTES", "NOT_SPECIFIED"],
                functions: &["ip_error"],
                ..EXPECT
            },
        },
        Scenario {
            name: "forward-ttl-expired",
            prepare: |count| forward(Ipv4 { destination: BEHIND, ttl: 1, ..V4 }, 5, count),
            expect: Expect {
                reasons: &["IP_INHDR", "NOT_SPECIFIED"],
                functions: &["ip_forward"],
                packet: &[("/ttl", "1")],
                ..EXPECT
            },
        },
        Scenario {
            name: "forward-too-big-with-dont-fragment",
            prepare: |count| forward(Ipv4 { destination: BEHIND, fragment: 0x4000, ..V4 }, 1400, count),
            expect: Expect {
                reasons: &["PKT_TOO_BIG", "NOT_SPECIFIED"],
                functions: &["ip_forward"],
                packet: &[("/length", "1428")],
                ..EXPECT
            },
        },
        Scenario {
            name: "forward-blackhole-route",
            prepare: |count| {
                let lab = Lab::router()?;
                lab.receiver.ip(&["route add blackhole 198.51.100.0/24"])?;
                let ip = Ipv4 { destination: Ipv4Addr::new(198, 51, 100, 1), ..V4 };
                inject(lab, ETHER_V4.wrap(&UDP.packet(&ip, b"hello")), count)
            },
            expect: Expect {
                reasons: &["NOT_SPECIFIED"],
                functions: &["ip_error", "ip_rcv_finish_core", "dst_discard", "ip_rcv_finish"],
                ..EXPECT
            },
        },
        Scenario {
            name: "ip-directed-broadcast",
            prepare: |count| forward(Ipv4 { destination: Ipv4Addr::new(10, 9, 1, 255), ..V4 }, 5, count),
            expect: Expect {
                reasons: &["NOT_SPECIFIED"],
                functions: &[
                    "ip_rcv_finish_core",
                    "ip_rcv_finish",
                    "udp_rcv",
                    "__udp4_lib_rcv",
                    "__udp4_lib_mcast_deliver",
                ],
                ..EXPECT
            },
        },
        Scenario {
            name: "xfrm-policy-block",
            prepare: |count| {
                let lab = Lab::pair()?;
                let policy = "ip xfrm policy add dir in src 10.9.0.1/32 dst 10.9.0.2/32 action block";
                lab.receiver.feature("xfrm", policy, "")?;
                let socket = lab.receiver.enter(|| Ok(UdpSocket::bind(("0.0.0.0", UDP.destination))?))?;
                let mut stage = inject(lab, ETHER_V4.wrap(&UDP.packet(&V4, b"hello")), count)?;
                stage.keep(socket);
                Ok(stage)
            },
            expect: Expect { reasons: &["XFRM_POLICY"], functions: &["udp_queue_rcv_one_skb"], ..EXPECT },
        },
    ]
}

/// Packets with `length` bytes of payload that the router must judge; its way out takes 1280 bytes at most.
fn forward(ip: Ipv4, length: usize, count: u64) -> Result<Stage> {
    let lab = Lab::router()?;
    lab.receiver.ip(&["link set r1 mtu 1280"])?;
    inject(lab, ETHER_V4.wrap(&UDP.packet(&ip, &vec![0; length])), count)
}
