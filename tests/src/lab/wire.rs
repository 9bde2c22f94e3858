//! Two namespaces joined by a wire that the test itself is: it sees every segment of TCP's, and loses, delays or changes those that it
//! chooses. What it loses is lost beyond the kernel: nothing there drops it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::topology::quiet_v6;
use super::{Lab, Namespace, open_tun, wait_reachable, wait_running};

/// The watched end's addresses.
pub const NEAR: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 9, 3, 1)), IpAddr::V6(Ipv6Addr::new(0xfd33, 0, 0, 0, 0, 0, 0, 1))];
/// The other end's.
pub const FAR: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 9, 3, 2)), IpAddr::V6(Ipv6Addr::new(0xfd33, 0, 0, 0, 0, 0, 0, 2))];
/// How long the wire waits for a packet before it looks whether it shall end, ms.
const LOOK: u8 = 20;

/// A segment as it went by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Whether the watched end sent it.
    pub is_ours: bool,
    /// Who sent it.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
    /// TCP's sequence number.
    pub sequence: u32,
    /// TCP's flags.
    pub flags: u8,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Segment {
    pub const FIN: u8 = 1;
    pub const SYN: u8 = 2;
    pub const ACK: u8 = 16;

    /// The segment of an IP packet; absent for other protocols.
    fn of(packet: &[u8], is_ours: bool) -> Option<Self> {
        let (tcp, [source, destination]) = tcp(packet)?;
        let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
        Some(Self {
            is_ours,
            source: SocketAddr::new(source, port(0)),
            destination: SocketAddr::new(destination, port(2)),
            sequence: u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]),
            flags: tcp[13],
            payload: tcp.get(usize::from(tcp[12] >> 4) * 4..)?.to_vec(),
        })
    }

    /// Whether it is more than an acknowledgement.
    const fn takes_place(&self) -> bool {
        !self.payload.is_empty() || self.flags & (Self::SYN | Self::FIN) != 0
    }

    fn is_of_flow_of(&self, other: &Self) -> bool {
        (self.source, self.destination) == (other.source, other.destination)
    }

    /// Whether both hold the same of one flow.
    fn is_again(&self, other: &Self) -> bool {
        (self.sequence, self.payload.len()) == (other.sequence, other.payload.len()) && other.takes_place()
    }

    /// Whether it is a first SYN, or one again: none that answers.
    pub const fn is_syn(&self) -> bool {
        self.flags & (Self::SYN | Self::ACK) == Self::SYN
    }

    /// Whether it answers a SYN.
    pub const fn is_syn_ack(&self) -> bool {
        self.flags & (Self::SYN | Self::ACK) == Self::SYN | Self::ACK
    }
}

/// The TCP header with what follows it, and the addresses.
fn tcp(packet: &[u8]) -> Option<(&[u8], [IpAddr; 2])> {
    const TCP: u8 = 6;
    let (protocol, header, addresses) = match packet.first()? >> 4 {
        4 => {
            let address = |at: usize| Some(IpAddr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
            (*packet.get(9)?, usize::from(packet[0] & 15) * 4, [address(12)?, address(16)?])
        }
        6 => {
            let address =
                |at: usize| Some(IpAddr::from(<[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?));
            (*packet.get(6)?, 40, [address(8)?, address(24)?])
        }
        _ => return None,
    };
    let tcp = packet.get(header..).filter(|tcp| tcp.len() >= 20)?;
    (protocol == TCP).then_some((tcp, addresses))
}

/// What becomes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    Passes,
    /// It arrives so much later, and all behind it.
    Late(Duration),
    /// It is lost.
    Lost,
    /// It arrives with a window of zero.
    Shut,
}

type Judge = Box<dyn FnMut(&Segment) -> Fate + Send>;

/// The wire, with its two ends.
pub struct Wire {
    /// The watched end.
    pub lab: Lab,
    /// The other.
    pub far: Namespace,
    seen: Arc<Mutex<Vec<(Segment, Fate)>>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Wire {
    /// Joins two new namespaces, IPv4 and IPv6; `judge` says what becomes of each segment.
    pub fn new(judge: impl FnMut(&Segment) -> Fate + Send + 'static) -> Result<Self> {
        let (lab, far) = (Lab::alone_v6()?, Namespace::create("far")?);
        far.sysctl("net/ipv6/conf/lo/disable_ipv6", "0")?;
        let (near_tun, far_tun) = (end(&lab.receiver, NEAR)?, end(&far, FAR)?);
        let (seen, ends) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let mut relay = Relay { judge: Box::new(judge), seen: Arc::clone(&seen) };
        let until = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                // Who waits for what no longer arrives says so.
                if relay.turn(&near_tun, &far_tun).is_err() {
                    return;
                }
            }
        });
        let wire = Self { lab, far, seen, ends, thread: Some(thread) };
        for (near, far) in NEAR.into_iter().zip(FAR) {
            wait_reachable(&wire.lab.receiver, &wire.far, far)?;
            wait_reachable(&wire.far, &wire.lab.receiver, near)?;
        }
        Ok(wire)
    }

    /// What went by, in that order.
    pub fn seen(&self) -> Vec<(Segment, Fate)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The segments that the watched end has sent before: the same flow, place and length, and more than an acknowledgement. With
    /// each, how many its flow has sent so far, itself included.
    pub fn sent_again(&self) -> Vec<(Segment, usize)> {
        let mut again = Vec::new();
        let ours: Vec<Segment> =
            self.seen().into_iter().map(|(segment, _)| segment).filter(|it| it.is_ours).collect();
        for (index, segment) in ours.iter().enumerate() {
            let before = || ours[..index].iter().filter(|other| other.is_of_flow_of(segment));
            if segment.takes_place() && before().any(|other| other.is_again(segment)) {
                again.push((segment.clone(), before().count() + 1));
            }
        }
        again
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// One end's device.
fn end(namespace: &Namespace, [four, six]: [IpAddr; 2]) -> Result<File> {
    let tun = open_tun(namespace, "t0", libc::IFF_TUN)?;
    quiet_v6(namespace, "t0")?;
    namespace.ip(&[
        &format!("addr add {four}/24 dev t0"),
        &format!("addr add {six}/64 dev t0 nodad"),
        "link set t0 up",
    ])?;
    wait_running(namespace, "t0", true)?;
    Ok(tun)
}

struct Relay {
    judge: Judge,
    seen: Arc<Mutex<Vec<(Segment, Fate)>>>,
}

impl Relay {
    /// Carries one packet each way, where there is any.
    fn turn(&mut self, near: &File, far: &File) -> Result<()> {
        let mut waiting = [near, far].map(|end| PollFd::new(end.as_fd(), PollFlags::POLLIN));
        poll(&mut waiting, PollTimeout::from(LOOK))?;
        let [ours, theirs] = waiting.map(|end| end.any().unwrap_or(false));
        for (is_ready, is_ours, mut from, mut to) in [(ours, true, near, far), (theirs, false, far, near)] {
            if is_ready {
                let mut packet = vec![0; 65536];
                let length = from.read(&mut packet)?;
                packet.truncate(length);
                if self.passes(&mut packet, is_ours) {
                    to.write_all(&packet)?;
                }
            }
        }
        Ok(())
    }

    fn passes(&mut self, packet: &mut [u8], is_ours: bool) -> bool {
        let Some(segment) = Segment::of(packet, is_ours) else { return true };
        let fate = (self.judge)(&segment);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push((segment, fate));
        match fate {
            Fate::Passes => true,
            Fate::Lost => false,
            Fate::Late(delay) => {
                std::thread::sleep(delay);
                true
            }
            Fate::Shut => {
                shut(packet);
                true
            }
        }
    }
}

/// Sets the window to zero, and the checksum right again (RFC 1624).
fn shut(packet: &mut [u8]) {
    let length = packet.len();
    let Some((tcp, _)) = tcp(packet) else { return };
    let at = length - tcp.len();
    let word = |at: usize| u32::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
    let (window, sum) = (word(at + 14), word(at + 16));
    let sum = (!sum & 0xffff) + (!window & 0xffff);
    let sum = (sum & 0xffff) + (sum >> 16);
    let [_, _, high, low] = (!sum).to_be_bytes();
    packet[at + 14..at + 18].copy_from_slice(&[0, 0, high, low]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::{Ipv4, Tcp};

    #[test]
    fn a_shut_window_keeps_the_checksum_right() {
        let (source, destination) = (Ipv4Addr::new(10, 9, 3, 1), Ipv4Addr::new(10, 9, 3, 2));
        let ip = Ipv4 { source, destination, ttl: 64, identification: 0, fragment: 0 };
        let tcp = Tcp { source: 7, destination: 9, sequence: 5, acknowledgment: 6, flags: Segment::ACK };
        let mut packet = tcp.packet(&ip, b"hello");
        // The pseudo-header's addresses stand right before the segment (RFC 9293, 3.1).
        let sum = |packet: &[u8]| {
            let words = packet[12..].chunks(2).map(|word| [word[0], word.get(1).copied().unwrap_or(0)]);
            let sum: u32 = words.map(|word| u32::from(u16::from_be_bytes(word))).sum();
            let sum = sum + 6 + u32::try_from(packet.len() - 20).unwrap();
            (sum & 0xffff) + (sum >> 16)
        };
        assert_eq!(sum(&packet), 0xffff);
        shut(&mut packet);
        assert_eq!(sum(&packet), 0xffff);
        assert_eq!(packet[34..36], [0, 0]);
        assert_eq!(Segment::of(&packet, true).unwrap().payload, b"hello");
    }
}
