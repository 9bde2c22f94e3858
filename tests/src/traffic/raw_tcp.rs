//! A TCP client played by hand from an address that the sender's kernel doesn't own, so nothing answers for it.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Ethernet, Ipv4, PacketSocket, Tcp};
use crate::lab::{Lab, RECEIVER, SENDER};

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 77);
const CLIENT_PORT: u16 = 7700;
const SERVER_PORT: u16 = 80;
const FIRST_SEQUENCE: u32 = 1_000_000;

/// One established connection to a listener inside the receiver.
pub struct RawTcp {
    socket: PacketSocket,
    /// The next sequence number the server expects.
    pub sequence: u32,
    /// The next sequence number the server will send.
    pub acknowledgment: u32,
    /// The server's end.
    pub server: TcpStream,
}

impl RawTcp {
    /// Listens in the receiver and shakes hands by hand from the sender.
    pub fn connect(lab: &Lab) -> Result<Self> {
        lab.receiver.ip(&["neigh replace 10.9.0.77 lladdr 02:00:00:00:00:01 dev r0"])?;
        let listener = lab.receiver.enter(|| Ok(TcpListener::bind((RECEIVER.v4, SERVER_PORT))?))?;
        let socket = PacketSocket::observer(lab.from(), SENDER.device)?;
        socket.send(&frame(FIRST_SEQUENCE, 0, Tcp::SYN, b""))?;
        let theirs = socket.receive(Duration::from_secs(5), syn_ack).context("no SYN-ACK")?;
        let (sequence, acknowledgment) = (FIRST_SEQUENCE + 1, theirs.wrapping_add(1));
        socket.send(&frame(sequence, acknowledgment, Tcp::ACK, b""))?;
        let (server, _) = listener.accept()?;
        Ok(Self { socket, sequence, acknowledgment, server })
    }

    /// Sends one segment at `sequence`, acknowledging `acknowledgment`.
    pub fn send(&self, sequence: u32, acknowledgment: u32, flags: u8, payload: &[u8]) -> Result<()> {
        self.socket.send(&frame(sequence, acknowledgment, flags, payload))
    }
}

fn frame(sequence: u32, acknowledgment: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let ip = Ipv4 { source: CLIENT, destination: RECEIVER.v4, ttl: 64, identification: 0, fragment: 0 };
    let tcp = Tcp { source: CLIENT_PORT, destination: SERVER_PORT, sequence, acknowledgment, flags };
    let ethernet = Ethernet { destination: RECEIVER.mac, source: SENDER.mac, vlan: None, ethertype: 0x0800 };
    ethernet.wrap(&tcp.packet(&ip, payload))
}

/// The server's sequence number, if the frame is its SYN-ACK to us.
fn syn_ack(frame: &[u8]) -> Option<u32> {
    let tcp = frame.get(34..54)?;
    let is_ours = frame[12..14] == [8, 0]
        && frame[23] == 6
        && tcp[2..4] == CLIENT_PORT.to_be_bytes()
        && tcp[13] == Tcp::SYN | Tcp::ACK;
    is_ours.then(|| u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]))
}
