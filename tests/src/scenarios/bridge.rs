//! Bridges: what a port doesn't take, and what finds no port.

use anyhow::Result;

use super::shape::{ETHER_V4, EXPECT, UDP, V4, inject};
use crate::lab::{Lab, Namespace};
use crate::scenario::{Expect, Scenario};
use crate::traffic::Ethernet;

const BRIDGE: Expect = Expect { functions: &["br_handle_frame", "br_handle_frame_finish"], ..EXPECT };

pub fn table() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "bridge-port-blocked",
            prepare: |count| {
                let lab = Lab::pair()?;
                bridge(&lab.receiver, "stp_state 1 forward_delay 3000")?;
                inject(lab, ETHER_V4.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: Expect { reasons: &["BRIDGE_INGRESS_STP_STATE", "NOT_SPECIFIED"], ..BRIDGE },
        },
        Scenario {
            name: "bridge-vlan-not-allowed",
            prepare: |count| {
                let lab = Lab::pair()?;
                bridge(&lab.receiver, "vlan_filtering 1")?;
                let ethernet = Ethernet { vlan: Some(42), ..ETHER_V4 };
                inject(lab, ethernet.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: Expect {
                reasons: &["VLAN_FILTER", "NOT_SPECIFIED"],
                functions: &["br_allowed_ingress", "__allowed_ingress", "br_handle_frame_finish"],
                ..BRIDGE
            },
        },
        Scenario {
            name: "bridge-source-is-a-group",
            prepare: |count| {
                let lab = Lab::pair()?;
                bridge(&lab.receiver, "")?;
                let ethernet = Ethernet { source: [3, 0, 0, 0, 0, 1], ..ETHER_V4 };
                inject(lab, ethernet.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: Expect {
                reasons: &["MAC_INVALID_SOURCE", "NOT_SPECIFIED"],
                since: "BRIDGE_INGRESS_STP_STATE",
                ..BRIDGE
            },
        },
        Scenario {
            name: "bridge-pause-frame",
            prepare: |count| {
                let lab = Lab::pair()?;
                bridge(&lab.receiver, "")?;
                // IEEE 802.3 annex 31B: opcode 1 and a time of 0, padded to the shortest frame.
                let pause = Ethernet { destination: [1, 0x80, 0xc2, 0, 0, 1], ethertype: 0x8808, ..ETHER_V4 };
                let mut control = [0; 46];
                control[1] = 1;
                inject(lab, pause.wrap(&control), count)
            },
            expect: Expect { reasons: &["MAC_IEEE_MAC_CONTROL", "NOT_SPECIFIED"], protocol: "", ..BRIDGE },
        },
        Scenario {
            name: "bridge-no-other-port",
            prepare: |count| {
                let lab = Lab::pair()?;
                bridge(&lab.receiver, "")?;
                let ethernet = Ethernet { destination: [2, 0, 0, 0, 0, 0x99], ..ETHER_V4 };
                inject(lab, ethernet.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: Expect {
                reasons: &["NO_TX_TARGET", "NOT_SPECIFIED"],
                since: "BRIDGE_INGRESS_STP_STATE",
                functions: &["br_flood", "br_handle_frame_finish"],
                ..EXPECT
            },
        },
    ]
}

/// `r0` becomes a port of the bridge `br0` with these options.
fn bridge(namespace: &Namespace, options: &str) -> Result<()> {
    let add = format!("link add br0 type bridge {options} mcast_snooping 0\n");
    namespace.feature("bridge", "ip -batch -", &add)?;
    namespace.ip(&["link set r0 master br0", "link set br0 up"])
}
