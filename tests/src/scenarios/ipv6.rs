//! IPv6: the equivalents.

use std::net::Ipv6Addr;
use std::os::fd::{FromRawFd, OwnedFd};

use anyhow::{Result, ensure};

use super::shape::{ETHER_V6, EXPECT, UDP, V6, inject, inject_v6, only_where_known};
use crate::lab::{Lab, set_option};
use crate::scenario::{Expect, Scenario, Stage};
use crate::traffic::{Icmp, Ip, Ipv6, corrupt};

const BEHIND: Ipv6Addr = Ipv6Addr::new(0xfd10, 0, 0, 0, 0, 0, 0, 2);

#[expect(clippy::too_many_lines, reason = "a table")]
pub fn table() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "ipv6-unknown-next-header",
            prepare: |count| inject_v6(&V6.wrap(253, b"experiment"), count),
            expect: Expect {
                reasons: &["IP_NOPROTO", "NOT_SPECIFIED"],
                functions: &["ip6_input_finish", "ip6_protocol_deliver_rcu", "ip6_input"],
                protocol: "ip-253",
                ..EXPECT
            },
        },
        Scenario {
            name: "ipv6-shorter-than-it-says",
            prepare: |count| inject_v6(&UDP.packet(&V6, &[0; 100])[..80], count),
            expect: Expect {
                reasons: &["PKT_TOO_SMALL", "NOT_SPECIFIED"],
                functions: &["ip6_rcv_core"],
                ..EXPECT
            },
        },
        Scenario {
            name: "ipv6-bad-version",
            prepare: |count| {
                let mut packet = UDP.packet(&V6, b"hello");
                packet[0] = 0x50;
                inject_v6(&packet, count)
            },
            expect: Expect {
                reasons: &["UNHANDLED_PROTO", "IP_INHDR", "NOT_SPECIFIED"],
                functions: &["ip6_rcv_core"],
                protocol: "",
                ..EXPECT
            },
        },
        Scenario {
            name: "icmpv6-bad-checksum",
            prepare: |count| inject_v6(&corrupt(Icmp::echo_v6(&V6), -1), count),
            expect: Expect {
                reasons: &["ICMP_CSUM", "NOT_SPECIFIED"],
                functions: &["icmpv6_rcv"],
                protocol: "icmpv6",
                ..EXPECT
            },
        },
        // An error whose packet ends before its own extension header.
        Scenario {
            name: "icmpv6-error-cut-short",
            prepare: |count| {
                let inner = Ipv6 { source: V6.destination, destination: V6.source, ..V6 }.wrap(0, b"");
                inject_v6(&Icmp::message_v6(&V6, [&[1, 0, 0, 0, 0, 0, 0, 0], &inner[..]].concat()), count)
            },
            expect: Expect {
                reasons: &["IPV6_BAD_EXTHDR", "NOT_SPECIFIED"],
                functions: &["icmpv6_rcv"],
                protocol: "icmpv6",
                ..EXPECT
            },
        },
        Scenario {
            name: "ipv6-too-many-extension-headers",
            prepare: |count| {
                only_where_known("IPV6_TOO_MANY_EXTHDRS", "it takes any number")?;
                // Destination options (60) of eight bytes each, padded; the last says that nothing follows (59).
                let option = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
                let headers = [option(60); 19].concat();
                inject_v6(&V6.wrap(60, &[headers, option(59).to_vec()].concat()), count)
            },
            expect: Expect {
                reasons: &["IPV6_TOO_MANY_EXTHDRS"],
                functions: &["ip6_protocol_deliver_rcu", "ip6_input_finish", "ip6_input"],
                protocol: "",
                ..EXPECT
            },
        },
        Scenario {
            name: "ipv6-raw-socket-checksum",
            prepare: raw_checksum,
            expect: Expect {
                reasons: &["SKB_CSUM", "NOT_SPECIFIED"],
                since: "PACKET_SOCK_ERROR",
                functions: &["rawv6_rcv", "rawv6_rcv_skb", "raw6_local_deliver"],
                protocol: "ip-253",
                ..EXPECT
            },
        },
        Scenario {
            name: "ipv6-disabled",
            prepare: |count| inject(Lab::pair()?, ETHER_V6.wrap(&UDP.packet(&V6, b"hello")), count),
            expect: Expect {
                reasons: &["IPV6DISABLED", "NOT_SPECIFIED"],
                functions: &["ip6_rcv_core"],
                ..EXPECT
            },
        },
        Scenario {
            name: "ipv6-not-forwarding",
            prepare: |count| {
                let lab = Lab::pair_v6()?;
                lab.receiver.ip(&["route add fd10::/64 via fd09::1 dev r0"])?;
                let ip = Ipv6 { destination: BEHIND, ..V6 };
                inject(lab, ETHER_V6.wrap(&UDP.packet(&ip, b"hello")), count)
            },
            expect: Expect {
                reasons: &["IP_INADDRERRORS", "IP6_INADDRERRORS", "NOT_SPECIFIED"],
                functions: &["ip6_forward"],
                ..EXPECT
            },
        },
        Scenario {
            name: "forward-no-route-v6",
            prepare: |count| {
                forward(Ipv6 { destination: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), ..V6 }, 5, count)
            },
            expect: Expect {
                reasons: &["IP_INNOROUTES", "NOT_SPECIFIED"],
                functions: &["ip6_pkt_drop", "ip6_pkt_discard"],
                ..EXPECT
            },
        },
        Scenario {
            name: "forward-hop-limit-expired",
            prepare: |count| forward(Ipv6 { destination: BEHIND, hop_limit: 1, ..V6 }, 5, count),
            expect: Expect {
                reasons: &["IP_INHDR", "NOT_SPECIFIED"],
                functions: &["ip6_forward"],
                packet: &[("/ttl", "1")],
                ..EXPECT
            },
        },
        Scenario {
            name: "forward-too-big-v6",
            prepare: |count| forward(Ipv6 { destination: BEHIND, ..V6 }, 1400, count),
            expect: Expect {
                reasons: &["PKT_TOO_BIG", "NOT_SPECIFIED"],
                functions: &["ip6_forward"],
                // The way out: `ip6_forward` sets it for the ICMPv6 error before it drops.
                device: "r1",
                packet: &[("/length", "1448")],
                ..EXPECT
            },
        },
    ]
}

/// Packets with `length` bytes of payload that the router must judge; its way out takes 1280 bytes at most.
fn forward(ip: Ipv6, length: usize, count: u64) -> Result<Stage> {
    let lab = Lab::router()?;
    lab.receiver.ip(&["link set r1 mtu 1280"])?;
    inject(lab, ETHER_V6.wrap(&UDP.packet(&ip, &vec![0; length])), count)
}

/// A raw socket that asked the kernel to verify a checksum (RFC 3542 section 3.1), and packets without one.
fn raw_checksum(count: u64) -> Result<Stage> {
    let lab = Lab::pair_v6()?;
    let socket = lab.receiver.enter(|| {
        // SAFETY: socket(2) has no memory arguments; the result is checked before it is owned.
        let socket = unsafe {
            let raw = libc::socket(libc::AF_INET6, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 253);
            ensure!(raw >= 0, "socket(SOCK_RAW): {}", std::io::Error::last_os_error());
            OwnedFd::from_raw_fd(raw)
        };
        set_option(&socket, libc::IPPROTO_IPV6, libc::IPV6_CHECKSUM, &2_i32)?;
        Ok(socket)
    })?;
    let mut stage = inject(lab, ETHER_V6.wrap(&V6.wrap(253, b"no sum")), count)?;
    stage.keep(socket);
    Ok(stage)
}
