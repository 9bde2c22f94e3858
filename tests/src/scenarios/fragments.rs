//! Fragments of IPv4: alone, twice, too far apart.

use anyhow::Result;

use super::shape::{ETHER_V4, EXPECT, UDP, V4};
use crate::lab::{Lab, SENDER};
use crate::scenario::{At, Expect, Scenario, Stage};
use crate::traffic::{Ipv4, PacketSocket};

pub fn table() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "ip-fragments-without-the-rest",
            prepare: lone_fragments,
            expect: Expect {
                reasons: &["FRAG_REASM_TIMEOUT", "NOT_SPECIFIED"],
                functions: &[
                    "ip_expire",
                    "inet_frag_rbtree_purge",
                    "kfree_skb_list_reason",
                    "kfree_skb_list",
                ],
                ..EXPECT
            },
        },
        Scenario {
            name: "ip-fragment-twice",
            prepare: |count| {
                let lab = Lab::pair()?;
                let socket = PacketSocket::sender(lab.from(), SENDER.device)?;
                socket.send(&first_fragment(1))?;
                Stage::new(lab, move |_| socket.repeat(&first_fragment(1), count))
            },
            expect: Expect {
                reasons: &["DUP_FRAG", "NOT_SPECIFIED"],
                functions: &["ip_frag_queue", "ip_defrag"],
                ..EXPECT
            },
        },
        Scenario {
            name: "ip-fragments-of-too-many-others-between",
            prepare: too_far,
            expect: Expect {
                reasons: &["FRAG_TOO_FAR", "NOT_SPECIFIED"],
                functions: &[
                    "inet_frag_rbtree_purge",
                    "inet_frag_queue_flush",
                    "ip_frag_reinit",
                    "kfree_skb_list_reason",
                    "kfree_skb_list",
                ],
                // A part that waits has neither device nor route, and nobody comes by that would tell.
                at: At::Nowhere,
                device: "",
                ..EXPECT
            },
        },
    ]
}

/// The first part of a datagram.
fn first_fragment(identification: u16) -> Vec<u8> {
    let ip = Ipv4 { identification, fragment: 0x2000, ..V4 };
    ETHER_V4.wrap(&UDP.packet(&ip, &[0; 16]))
}

/// First fragments of different datagrams whose rest never comes; the receiver gives up after a second.
fn lone_fragments(count: u64) -> Result<Stage> {
    let lab = Lab::pair()?;
    lab.receiver.sysctl("net/ipv4/ipfrag_time", "1")?;
    let socket = PacketSocket::sender(lab.from(), SENDER.device)?;
    Stage::new(lab, move |_| {
        for identification in 0..u16::try_from(count)? {
            socket.send(&first_fragment(identification))?;
        }
        Ok(())
    })
}

/// Three datagrams by turns where one other may come between: whoever comes again finds its earlier part thrown away.
fn too_far(count: u64) -> Result<Stage> {
    let lab = Lab::pair()?;
    lab.receiver.sysctl("net/ipv4/ipfrag_max_dist", "1")?;
    let socket = PacketSocket::sender(lab.from(), SENDER.device)?;
    let turns = |number: u64| first_fragment(u16::try_from(number % 3).expect("0, 1 or 2"));
    (0..3).try_for_each(|number| socket.send(&turns(number)))?;
    Stage::new(lab, move |_| (3..3 + count).try_for_each(|number| socket.send(&turns(number))))
}
