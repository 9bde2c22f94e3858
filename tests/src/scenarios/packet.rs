//! Packet sockets (packet(7)): full, and closed with frames unread.

use std::time::Duration;

use anyhow::{Context, Result};

use super::shape::{ETHER_V4, EXPECT};
use crate::lab::{Lab, RECEIVER, SENDER, set_option, until};
use crate::scenario::{Expect, Scenario, Stage};
use crate::traffic::{Ethernet, PacketSocket};

/// For local experiments (IEEE 802): nobody but our socket takes it.
const ETHERTYPE: u16 = 0x88b5;
const OURS: Expect = Expect { protocol: "", ..EXPECT };

pub fn table() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "packet-socket-full",
            prepare: full,
            expect: Expect {
                reasons: &["PACKET_SOCK_ERROR", "NOT_SPECIFIED"],
                functions: &["packet_rcv"],
                ..OURS
            },
        },
        Scenario {
            name: "packet-socket-closed-with-frames-queued",
            prepare: closed,
            expect: Expect {
                reasons: &["QUEUE_PURGE", "NOT_SPECIFIED"],
                functions: &["skb_queue_purge_reason", "skb_queue_purge", "packet_release"],
                ..OURS
            },
        },
    ]
}

fn frame() -> Vec<u8> {
    Ethernet { ethertype: ETHERTYPE, ..ETHER_V4 }.wrap(&[0; 46])
}

fn full(count: u64) -> Result<Stage> {
    let lab = Lab::pair()?;
    let reader = PacketSocket::of_ethertype(&lab.receiver, RECEIVER.device, ETHERTYPE)?;
    // The kernel raises it to its own least (`SOCK_MIN_RCVBUF`).
    set_option(&reader, libc::SOL_SOCKET, libc::SO_RCVBUF, &1_i32)?;
    let socket = PacketSocket::sender(lab.from(), SENDER.device)?;
    until("the packet socket to fill", Duration::from_secs(5), || {
        socket.send(&frame())?;
        Ok((reader.statistics()?.1 > 0).then_some(()))
    })?;
    Stage::new(lab, move |_| {
        let _unread = &reader;
        socket.repeat(&frame(), count)
    })
}

fn closed(count: u64) -> Result<Stage> {
    let lab = Lab::pair()?;
    let reader = PacketSocket::of_ethertype(&lab.receiver, RECEIVER.device, ETHERTYPE)?;
    PacketSocket::sender(lab.from(), SENDER.device)?.repeat(&frame(), count)?;
    let mut arrived = 0;
    until("the frames to be queued", Duration::from_secs(5), || {
        arrived += u64::from(reader.statistics()?.0);
        Ok((arrived == count).then_some(()))
    })?;
    let mut reader = Some(reader);
    Stage::new(lab, move |_| {
        drop(reader.take().context("sent once")?);
        Ok(())
    })
}
