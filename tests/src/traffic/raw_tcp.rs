//! A TCP client played by hand from an address that the sender's kernel doesn't own, so nothing answers for it.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Ethernet, Ipv4, PacketSocket, Tcp};
use crate::lab::{Lab, RECEIVER, SENDER};

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 77);
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
        lab.receiver.ip(&["neigh replace 10.9.0.77 lladdr 02:00:00:00:00:01 dev r0"])?;
        let socket = PacketSocket::observer(lab.from(), SENDER.device)?;
        let mut tcp = Self { socket, port, server_port, sequence: FIRST_SEQUENCE, acknowledgment: 0 };
        tcp.send(tcp.sequence, 0, Tcp::SYN, b"")?;
        let answer = tcp.socket.receive(Duration::from_secs(5), |frame| syn_ack(frame, port));
        tcp.acknowledgment = answer.context("no SYN-ACK")?.wrapping_add(1);
        tcp.sequence += 1;
        Ok(tcp)
    }

    /// Sends one segment at `sequence`, acknowledging `acknowledgment`.
    pub fn send(&self, sequence: u32, acknowledgment: u32, flags: u8, payload: &[u8]) -> Result<()> {
        let ip = Ipv4 { source: CLIENT, destination: RECEIVER.v4, ttl: 64, identification: 0, fragment: 0 };
        let tcp = Tcp { source: self.port, destination: self.server_port, sequence, acknowledgment, flags };
        let ethernet =
            Ethernet { destination: RECEIVER.mac, source: SENDER.mac, vlan: None, ethertype: 0x0800 };
        self.socket.send(&ethernet.wrap(&tcp.packet(&ip, payload)))
    }
}

/// The server's sequence number, if the frame is its SYN-ACK to `port`.
fn syn_ack(frame: &[u8], port: u16) -> Option<u32> {
    let tcp = frame.get(34..54)?;
    let is_ours = frame[12..14] == [8, 0]
        && frame[23] == 6
        && tcp[2..4] == port.to_be_bytes()
        && tcp[13] == Tcp::SYN | Tcp::ACK;
    is_ours.then(|| u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]))
}
