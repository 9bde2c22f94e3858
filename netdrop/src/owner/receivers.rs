//! The socket that refused a datagram, where the event doesn't tell it: before Linux 6.11 nothing of the packet leads to it.
//!
//! The kernel is asked which socket the packet's addresses lead to, in the packet's namespace: the same look-up that brought
//! the packet there (`__udp4_lib_lookup`, net/ipv4/udp.c). It is a moment later, so that answer counts only for a socket that
//! has counted a drop itself.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use netdrop_common::protocol::UDP;

use super::diag::{Diag, Found, Query};
use crate::kernel::netns;
use crate::model::{Endpoint, Packet, Socket, SocketKind, Whose};

/// Functions that have a socket in hand when they drop (net/ipv4/udp.c, net/ipv6/udp.c), under their names since 5.10.
const REFUSING: [&str; 6] = [
    "udp_queue_rcv_one_skb",
    "udp_queue_rcv_skb",
    "__udp_queue_rcv_skb",
    "__udp_enqueue_schedule_skb",
    "udpv6_queue_rcv_one_skb",
    "udpv6_queue_rcv_skb",
];
/// An answer is good for so long, and in that time the kernel is asked for so many flows: some 20 µs each.
const ANSWER_AGE: Duration = Duration::from_millis(100);
const ANSWERS: usize = 64;
/// Namespaces that are kept open to be asked: a descriptor each.
const NAMESPACES: usize = 64;

/// What the kernel said lately.
#[derive(Debug, Default)]
pub struct Receivers {
    /// `None` where it can't be asked.
    namespaces: HashMap<u32, Option<Diag>>,
    answers: HashMap<Flow, Option<Socket>>,
    answered: Option<Instant>,
}

/// A packet's way to its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Flow {
    netns: u32,
    device: u32,
    local: SocketAddr,
    remote: SocketAddr,
}

/// Where a packet was dropped.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The inode of the network namespace, and a path to it.
    pub netns: (u32, Option<&'a Path>),
    /// The index of the device that it came in by.
    pub device: u32,
}

impl Receivers {
    /// Whether a socket in this function's hands has refused the packet.
    pub fn is_refusal(function: Option<&str>, packet: &Packet) -> bool {
        packet.protocol.ip == Some(UDP) && function.is_some_and(|name| REFUSING.contains(&name))
    }

    /// The socket that refused the packet, where that is sure. Only asked for a [refusal](Self::is_refusal).
    pub fn find(&mut self, packet: &Packet, place: Place<'_>, now: Instant) -> Option<Socket> {
        let (netns, path) = place.netns;
        let (local, remote) = ends(packet)?;
        let flow = Flow { netns, device: place.device, local, remote };
        if self.answered.is_none_or(|at| now.saturating_duration_since(at) >= ANSWER_AGE) {
            self.answered = Some(now);
            self.answers.clear();
        }
        if let Some(answer) = self.answers.get(&flow) {
            return *answer;
        }
        if self.answers.len() >= ANSWERS {
            return None;
        }
        let answer = self.ask(flow, path).filter(has_dropped).map(|found| socket(&found));
        self.answers.insert(flow, answer);
        answer
    }

    /// Lets go of the namespaces that were asked: one that is held does not end with its last process.
    pub fn let_go(&mut self) {
        self.namespaces.clear();
    }

    fn ask(&mut self, flow: Flow, path: Option<&Path>) -> Option<Found> {
        if self.namespaces.len() >= NAMESPACES && !self.namespaces.contains_key(&flow.netns) {
            self.namespaces.clear();
        }
        let diag = match self.namespaces.entry(flow.netns) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(open(flow.netns, path?)),
        };
        let Flow { device, local, remote, .. } = flow;
        diag.as_ref()?.find(&Query { protocol: UDP, local, remote, device }).ok().flatten()
    }
}

/// The namespace's, if the path still leads there: a process may have ended, and another have its id.
fn open(netns: u32, path: &Path) -> Option<Diag> {
    let leads_there = netns::inode_of(path) == Some(netns);
    leads_there.then(|| Diag::open(Some(path)).ok()).flatten()
}

/// Destination and source of a packet to one receiver. One to many has as many as there are.
fn ends(packet: &Packet) -> Option<(SocketAddr, SocketAddr)> {
    const BROADCAST: [u8; 6] = [0xff; 6];
    let end =
        |endpoint: Option<Endpoint>| endpoint.and_then(|end| Some(SocketAddr::new(end.address, end.port?)));
    let (local, remote) = (end(packet.destination)?, end(packet.source)?);
    let to_many = local.ip().is_multicast()
        || local.ip() == IpAddr::V4(Ipv4Addr::BROADCAST)
        || packet.destination_mac == Some(BROADCAST);
    (!to_many).then_some((local, remote))
}

/// A socket counts a drop before it frees the packet (`sk_drops`).
fn has_dropped(found: &Found) -> bool {
    found.memory.is_some_and(|memory| memory.drops > 0)
}

/// As far as it is the same a moment later: the queues aren't.
fn socket(found: &Found) -> Socket {
    let endpoint = |address: SocketAddr| Endpoint { address: address.ip(), port: Some(address.port()) };
    let known = |number: u64| (number != 0).then_some(number);
    Socket {
        whose: Whose::Found,
        kind: SocketKind::Full,
        family: found.family.into(),
        protocol: UDP.into(),
        state: found.state,
        local: Some(endpoint(found.local)),
        remote: Some(found.remote).filter(|remote| remote.port() != 0).map(endpoint),
        queues: None,
        inode: known(found.inode.into()),
        cookie: known(found.cookie),
        cgroup: known(found.cgroup),
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use rstest::rstest;

    use super::*;
    use crate::model::Protocol;

    fn packet(source: &str, destination: &str) -> Packet {
        let endpoint = |text: &str| {
            let address: SocketAddr = text.parse().unwrap();
            Some(Endpoint { address: address.ip(), port: Some(address.port()) })
        };
        Packet {
            protocol: Protocol { ethertype: 0x0800, ip: Some(UDP) },
            source: endpoint(source),
            destination: endpoint(destination),
            ..Packet::default()
        }
    }

    #[rstest]
    #[case::to_one("10.0.0.2:80", true)]
    #[case::to_one_v6("[fd00::2]:80", true)]
    #[case::to_a_group("224.0.0.1:80", false)]
    #[case::to_a_group_v6("[ff02::1]:80", false)]
    #[case::to_all("255.255.255.255:80", false)]
    fn only_one_receiver_can_be_named(#[case] destination: &str, #[case] expected: bool) {
        let mut packet = packet("10.0.0.1:5", destination);
        assert_eq!(ends(&packet).is_some(), expected);
        packet.destination_mac = Some([0xff; 6]);
        assert_eq!(ends(&packet), None, "to all of a link");
        packet.destination = None;
        assert_eq!(ends(&packet), None);
    }

    #[rstest]
    #[case(Some("udp_queue_rcv_one_skb"), Some(17), true)]
    #[case(Some("__udp4_lib_rcv"), Some(17), false)]
    #[case(Some("udp_queue_rcv_one_skb"), Some(6), false)]
    #[case(None, Some(17), false)]
    #[case(Some("udp_queue_rcv_one_skb"), None, false)]
    fn a_socket_refuses_in_certain_functions(
        #[case] function: Option<&str>,
        #[case] ip: Option<u8>,
        #[case] expected: bool,
    ) {
        let packet =
            Packet { protocol: Protocol { ethertype: 0x0800, ip }, ..packet("10.0.0.1:5", "10.0.0.2:6") };
        assert_eq!(Receivers::is_refusal(function, &packet), expected);
    }

    /// Needs no privileges: the netlink socket is this namespace's own.
    #[test]
    fn a_socket_that_has_dropped_nothing_is_not_it() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap().to_string();
        let mut receivers = Receivers::default();
        receivers.namespaces.insert(7, Some(Diag::open(None).unwrap()));
        let place = Place { netns: (7, None), device: 0 };
        let packet = packet("127.0.0.1:9", &address);
        let now = Instant::now();
        assert_eq!(receivers.find(&packet, place, now), None);

        nix::sys::socket::setsockopt(&server, nix::sys::socket::sockopt::RcvBuf, &1).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        // The loopback delivers within the call; the first may find room.
        for _ in 0..16 {
            client.send_to(&[0; 1024], server.local_addr().unwrap()).unwrap();
        }
        assert_eq!(receivers.find(&packet, place, now), None, "an answer is good for a moment");
        let found = receivers.find(&packet, place, now + ANSWER_AGE).unwrap();
        assert_eq!((found.whose, found.local), (Whose::Found, packet.destination));
        assert!(found.inode.is_some() && found.queues.is_none() && found.remote.is_none());
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_not_asked() {
        assert!(open(7, Path::new("/proc/self/ns/net")).is_none());
        assert!(open(7, Path::new("/nowhere")).is_none());
    }
}
