//! A TCP client played by hand from an address that the sender's kernel doesn't own, so nothing answers for it.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Ethernet, Ipv4, PacketSocket, Tcp};
use crate::lab::{Lab, RECEIVER, SENDER};

/// The address that it plays.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 77);
const FIRST_SEQUENCE: u32 = 1_000_000;

/// A client whose SYN the receiver has answered, and who hasn't acknowledged that yet.
pub struct RawTcp {
    socket: PacketSocket,
    port: u16,
    server_port: u16,
    /// The next sequence number the server expects.
    pub sequence: u32,
    /// The next sequence number the server will send.
    pub acknowledgment: u32,
}

impl RawTcp {
    /// Sends a SYN from the sender to a listener of the receiver, and takes its answer.
    pub fn half_open(lab: &Lab, port: u16, server_port: u16) -> Result<Self> {
        Self::half_open_with(lab, port, server_port, &[], b"")
    }

    /// As [`Self::half_open`], with options and data in the SYN.
    pub fn half_open_with(
        lab: &Lab,
        port: u16,
        server_port: u16,
        options: &[u8],
        payload: &[u8],
    ) -> Result<Self> {
        let mut tcp = Self::closed(lab, port, server_port)?;
        tcp.send_with(options, tcp.sequence, 0, Tcp::SYN, payload)?;
        let answer = tcp.receive(|segment| segment.flags == Tcp::SYN | Tcp::ACK).context("no SYN-ACK")?;
        tcp.acknowledgment = answer.sequence.wrapping_add(1);
        tcp.sequence = answer.acknowledgment;
        Ok(tcp)
    }

    /// A client that has sent nothing yet.
    pub fn closed(lab: &Lab, port: u16, server_port: u16) -> Result<Self> {
        lab.receiver.ip(&["neigh replace 10.9.0.77 lladdr 02:00:00:00:00:01 dev r0"])?;
        let socket = PacketSocket::observer(lab.from(), SENDER.device)?;
        Ok(Self { socket, port, server_port, sequence: FIRST_SEQUENCE, acknowledgment: 0 })
    }

    /// Sends one segment at `sequence`, acknowledging `acknowledgment`.
    pub fn send(&self, sequence: u32, acknowledgment: u32, flags: u8, payload: &[u8]) -> Result<()> {
        self.send_with(&[], sequence, acknowledgment, flags, payload)
    }

    /// As [`Self::send`], with options.
    pub fn send_with(
        &self,
        options: &[u8],
        sequence: u32,
        acknowledgment: u32,
        flags: u8,
        payload: &[u8],
    ) -> Result<()> {
        let ip = Ipv4 { source: CLIENT, destination: RECEIVER.v4, ttl: 64, identification: 0, fragment: 0 };
        let tcp = Tcp { source: self.port, destination: self.server_port, sequence, acknowledgment, flags };
        let ethernet =
            Ethernet { destination: RECEIVER.mac, source: SENDER.mac, vlan: None, ethertype: 0x0800 };
        self.socket.send(&ethernet.wrap(&tcp.packet_with(options, &ip, payload)))
    }

    /// The first segment of the server's that `wanted` accepts.
    pub fn receive(&self, wanted: impl Fn(&Segment) -> bool) -> Result<Segment> {
        self.socket.receive(Duration::from_secs(5), |frame| Segment::to(self.port, frame).filter(&wanted))
    }
}

/// What matters of a segment that came back.
pub struct Segment {
    pub sequence: u32,
    pub acknowledgment: u32,
    pub flags: u8,
    pub window: u16,
}

impl Segment {
    /// The frame's TCP header, if it is IPv4 without options to `port`.
    fn to(port: u16, frame: &[u8]) -> Option<Self> {
        let tcp = frame.get(34..54)?;
        let is_ours = frame[12..14] == [8, 0] && frame[23] == 6 && tcp[2..4] == port.to_be_bytes();
        let word = |at: usize| u32::from_be_bytes([tcp[at], tcp[at + 1], tcp[at + 2], tcp[at + 3]]);
        is_ours.then(|| Self {
            sequence: word(4),
            acknowledgment: word(8),
            flags: tcp[13],
            window: u16::from_be_bytes([tcp[14], tcp[15]]),
        })
    }
}
