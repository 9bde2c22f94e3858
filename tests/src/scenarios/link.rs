//! Below IP: addresses of others, VLANs, a peer that is down.

use anyhow::Result;

use super::shape::{ETHER_V4, EXPECT, UDP, V4, inject, only_where_known};
use crate::lab::{Lab, RECEIVER, SENDER, wait_running};
use crate::scenario::{At, Expect, Scenario, Stage};
use crate::traffic::Ethernet;

const OTHERHOST: Expect =
    Expect { reasons: &["OTHERHOST", "NOT_SPECIFIED"], functions: &["ip_rcv_core"], ..EXPECT };

pub fn table() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "link-other-hosts-frame",
            prepare: |count| {
                let ethernet = Ethernet { destination: [2, 0, 0, 0, 0, 0x99], ..ETHER_V4 };
                inject(Lab::pair()?, ethernet.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: OTHERHOST,
        },
        Scenario {
            name: "link-vlan-without-device",
            prepare: |count| {
                let ethernet = Ethernet { vlan: Some(42), ..ETHER_V4 };
                inject(Lab::pair()?, ethernet.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: Expect {
                reasons: &["OTHERHOST", "UNHANDLED_PROTO", "NOT_SPECIFIED"],
                functions: &["ip_rcv_core", "__netif_receive_skb_core"],
                // The kernel clears the tag of a VLAN that nobody has before it drops the frame.
                ..EXPECT
            },
        },
        Scenario {
            name: "link-vlan-closed-port",
            prepare: |count| {
                let lab = Lab::pair()?;
                let link = "link add link r0 name r0.42 type vlan id 42\nlink set r0.42 up\n";
                lab.receiver.feature("vlan", "ip -batch -", link)?;
                let ethernet = Ethernet { vlan: Some(42), ..ETHER_V4 };
                inject(lab, ethernet.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: Expect {
                reasons: &["NO_SOCKET"],
                functions: &["udp_rcv", "__udp4_lib_rcv"],
                device: "r0.42",
                ..EXPECT
            },
        },
        Scenario {
            name: "link-unhandled-ethertype",
            prepare: |count| {
                let ethernet = Ethernet { ethertype: 0x88b5, ..ETHER_V4 };
                inject(Lab::pair()?, ethernet.wrap(b"local experiment"), count)
            },
            expect: Expect {
                reasons: &["UNHANDLED_PROTO", "NOT_SPECIFIED"],
                functions: &["__netif_receive_skb_core"],
                protocol: "",
                ..EXPECT
            },
        },
        Scenario {
            name: "link-priority-tags-without-end",
            prepare: |count| {
                // The limit (`VLAN_MAX_DEPTH`) is younger than its reason, and as old as this one.
                only_where_known("SKB_BAD_GSO", "it takes any number of tags off")?;
                // Ten tags of VLAN 0, IEEE 802.1Q: each says that another header follows.
                let tags = [0x81, 0x00, 0, 0].repeat(10);
                let frame = [&RECEIVER.mac[..], &SENDER.mac, &tags, &[0x08, 0x00], &[0; 46]].concat();
                inject(Lab::pair()?, frame, count)
            },
            expect: Expect {
                reasons: &["RECURSION_LIMIT"],
                functions: &["__netif_receive_skb_core"],
                protocol: "",
                ..EXPECT
            },
        },
        Scenario {
            name: "veth-peer-down",
            prepare: peer_down,
            expect: Expect {
                reasons: &["QDISC_DROP_GENERIC", "QDISC_DROP", "NOT_SPECIFIED"],
                functions: &[
                    "__dev_queue_xmit",
                    "__tcf_kfree_skb_list",
                    "kfree_skb_list_reason",
                    "kfree_skb_list",
                ],
                at: At::Sender,
                device: "s0",
                ..EXPECT
            },
        },
    ]
}

/// No carrier: the sender's device has `noop_qdisc`, which drops all.
fn peer_down(count: u64) -> Result<Stage> {
    let lab = Lab::pair()?;
    lab.receiver.ip(&["link set r0 down"])?;
    wait_running(lab.from(), "s0", false)?;
    inject(lab, ETHER_V4.wrap(&UDP.packet(&V4, b"hello")), count)
}
