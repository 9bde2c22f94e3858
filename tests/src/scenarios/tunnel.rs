//! VXLAN (RFC 7348): what a tunnel's end doesn't take.

use anyhow::Result;

use super::shape::{ETHER_V4, EXPECT, UDP, V4, inject};
use crate::lab::{Lab, Namespace};
use crate::scenario::{Expect, Scenario, Stage};
use crate::traffic::{Ethernet, Ipv4, PacketSocket, Udp};

const VXLAN: Expect = Expect { functions: &["vxlan_rcv"], ..EXPECT };
/// What a packet of network 7 becomes is on the tunnel's own device.
const INSIDE: Expect = Expect { device: "v0", ..VXLAN };
const OUTER: Udp = Udp { source: 40_000, destination: 4789 };
/// The flag that says that the network's number is valid.
const VALID: u8 = 0x08;

pub fn table() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "vxlan-unknown-vni",
            prepare: unknown_network,
            expect: Expect {
                reasons: &["VXLAN_VNI_NOT_FOUND", "NOT_SPECIFIED"],
                packet: &[("/destination/port", "4789")],
                ..VXLAN
            },
        },
        Scenario {
            name: "vxlan-reserved-flag",
            prepare: |count| {
                let lab = tunnel()?;
                inject(lab, ETHER_V4.wrap(&OUTER.packet(&V4, &wrap(VALID | 0x01, 7, ETHER_V4))), count)
            },
            // Older kernels have taken the header off by then, and call what is left a bridged frame.
            expect: Expect { reasons: &["VXLAN_INVALID_HDR", "NOT_SPECIFIED"], protocol: "", ..VXLAN },
        },
        Scenario {
            name: "vxlan-own-address-as-source",
            prepare: |count| {
                let inner = Ethernet { source: [2, 0, 0, 0, 0, 7], ..ETHER_V4 };
                inject(tunnel()?, ETHER_V4.wrap(&OUTER.packet(&V4, &wrap(VALID, 7, inner))), count)
            },
            expect: Expect { reasons: &["LOCAL_MAC", "NOT_SPECIFIED"], ..INSIDE },
        },
        Scenario {
            name: "vxlan-source-lives-elsewhere",
            prepare: |count| {
                let lab = tunnel()?;
                let entry = "bridge fdb replace 02:00:00:00:00:55 dev v0 dst 10.9.0.99 self permanent";
                lab.receiver.run_with_input(entry, "")?;
                let inner = Ethernet { source: [2, 0, 0, 0, 0, 0x55], ..ETHER_V4 };
                inject(lab, ETHER_V4.wrap(&OUTER.packet(&V4, &wrap(VALID, 7, inner))), count)
            },
            expect: Expect { reasons: &["VXLAN_ENTRY_EXISTS", "NOT_SPECIFIED"], ..INSIDE },
        },
        Scenario {
            name: "vxlan-congestion-nobody-can-be-told",
            prepare: |count| {
                let outer = Ipv4::congested(OUTER.packet(&V4, &wrap(VALID, 7, ETHER_V4)));
                inject(tunnel()?, ETHER_V4.wrap(&outer), count)
            },
            expect: Expect { reasons: &["IP_TUNNEL_ECN", "NOT_SPECIFIED"], ..INSIDE },
        },
        Scenario {
            name: "vxlan-without-a-destination",
            prepare: |count| {
                let lab = Lab::pair()?;
                vxlan(&lab.receiver, "external")?;
                let frame = ETHER_V4.wrap(&UDP.packet(&V4, b"hello"));
                let socket = PacketSocket::sender(&lab.receiver, "v0")?;
                Stage::new(lab, move |_| socket.repeat(&frame, count))
            },
            expect: Expect {
                reasons: &["TUNNEL_TXINFO", "NOT_SPECIFIED"],
                functions: &["vxlan_xmit"],
                ..INSIDE
            },
        },
    ]
}

/// Packets of a network that the receiver doesn't end.
pub(super) fn unknown_network(count: u64) -> Result<Stage> {
    inject(tunnel()?, ETHER_V4.wrap(&OUTER.packet(&V4, &wrap(VALID, 99, ETHER_V4))), count)
}

/// The receiver ends network 7.
fn tunnel() -> Result<Lab> {
    let lab = Lab::pair()?;
    vxlan(&lab.receiver, "id 7 local 10.9.0.2 dev r0")?;
    Ok(lab)
}

fn vxlan(namespace: &Namespace, options: &str) -> Result<()> {
    let link =
        format!("link add v0 address 02:00:00:00:00:07 type vxlan {options} dstport 4789\nlink set v0 up\n");
    namespace.feature("vxlan", "ip -batch -", &link)
}

/// A datagram in its own frame behind a header of section 5: flags, then 24 bits of network.
fn wrap(flags: u8, network: u8, inner: Ethernet) -> Vec<u8> {
    let header = [flags, 0, 0, 0, 0, 0, network, 0];
    [&header[..], &inner.wrap(&UDP.packet(&V4, b"inner"))].concat()
}
