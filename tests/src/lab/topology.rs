//! The one topology that serves every scenario:
//! `sender s0 ── r0 receiver r1 ── d0 destination`, the last leg only where packets are forwarded.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

use anyhow::Result;

use super::{Card, Namespace, until};
use crate::traffic::Mac;

/// How an end of the first link is called.
pub struct Side {
    /// The device.
    pub device: &'static str,
    /// Its MAC address.
    pub mac: Mac,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
}

/// Where frames are made.
pub const SENDER: Side = Side {
    device: "s0",
    mac: [2, 0, 0, 0, 0, 1],
    v4: Ipv4Addr::new(10, 9, 0, 1),
    v6: Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 1),
};

/// Where they meet their fate.
pub const RECEIVER: Side = Side {
    device: "r0",
    mac: [2, 0, 0, 0, 0, 2],
    v4: Ipv4Addr::new(10, 9, 0, 2),
    v6: Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 2),
};

/// The namespaces of one scenario.
pub struct Lab {
    /// Where packets come from; a scenario on the loopback has none.
    pub sender: Option<Namespace>,
    /// Where the drops are expected.
    pub receiver: Namespace,
    /// Behind the receiver, when it forwards: held, so that its end of the link is up.
    destination: Option<Namespace>,
}

impl Lab {
    /// One namespace with a loopback.
    pub fn alone() -> Result<Self> {
        Ok(Self { sender: None, receiver: Namespace::create("receiver")?, destination: None })
    }

    /// One namespace with a loopback that speaks IPv6 too.
    pub fn alone_v6() -> Result<Self> {
        let lab = Self::alone()?;
        lab.receiver.sysctl("net/ipv6/conf/lo/disable_ipv6", "0")?;
        Ok(lab)
    }

    /// Sender and receiver joined by a veth pair, IPv4 with permanent neighbours.
    pub fn pair() -> Result<Self> {
        let lab = Self::alone()?;
        let sender = Namespace::create("sender")?;
        let [mac, peer_mac] = ["02:00:00:00:00:01", "02:00:00:00:00:02"];
        join(&sender, SENDER.device, mac, &lab.receiver, RECEIVER.device, peer_mac)?;
        lab.addressed(sender, [mac, peer_mac])
    }

    /// As [`Self::pair`], joined by two cards of a guest in the place of a veth pair, with addresses of their own.
    pub fn wired(cards: &[Card; 2]) -> Result<Self> {
        let lab = Self::alone()?;
        let sender = Namespace::create("sender")?;
        let macs = [cards[0].address()?, cards[1].address()?];
        for (card, namespace, device) in
            [(&cards[0], &sender, SENDER.device), (&cards[1], &lab.receiver, RECEIVER.device)]
        {
            card.move_to(namespace, device)?;
            namespace.ip(&[&format!("link set {device} up")])?;
            wait_running(namespace, device, true)?;
        }
        lab.addressed(sender, [&macs[0], &macs[1]])
    }

    /// IPv4 on both ends, with permanent neighbours.
    fn addressed(self, sender: Namespace, [mac, peer_mac]: [&str; 2]) -> Result<Self> {
        sender.ip(&[
            "addr add 10.9.0.1/24 dev s0",
            &format!("neigh replace 10.9.0.2 lladdr {peer_mac} dev s0"),
        ])?;
        self.receiver
            .ip(&["addr add 10.9.0.2/24 dev r0", &format!("neigh replace 10.9.0.1 lladdr {mac} dev r0")])?;
        Ok(Self { sender: Some(sender), ..self })
    }

    /// As [`Self::pair`], with IPv6 beside IPv4.
    pub fn pair_v6() -> Result<Self> {
        let lab = Self::pair()?;
        for (namespace, device) in [(lab.from(), "s0"), (&lab.receiver, "r0")] {
            namespace.sysctl("net/ipv6/conf/lo/disable_ipv6", "0")?;
            quiet_v6(namespace, device)?;
        }
        lab.from().ip(&[
            "addr add fd09::1/64 dev s0 nodad",
            "neigh replace fd09::2 lladdr 02:00:00:00:00:02 dev s0",
        ])?;
        lab.receiver.ip(&[
            "addr add fd09::2/64 dev r0 nodad",
            "neigh replace fd09::1 lladdr 02:00:00:00:00:01 dev r0",
        ])?;
        Ok(lab)
    }

    /// The receiver is a router: 10.9.1.0/24 and `fd10::/64` lie behind its `r1`.
    pub fn router() -> Result<Self> {
        let lab = Self::pair_v6()?;
        let destination = Namespace::create("destination")?;
        join(&lab.receiver, "r1", "02:00:00:00:00:03", &destination, "d0", "02:00:00:00:00:04")?;
        quiet_v6(&lab.receiver, "r1")?;
        lab.receiver.ip(&[
            "addr add 10.9.1.1/24 dev r1",
            "addr add fd10::1/64 dev r1 nodad",
            "neigh replace 10.9.1.2 lladdr 02:00:00:00:00:04 dev r1",
            "neigh replace fd10::2 lladdr 02:00:00:00:00:04 dev r1",
        ])?;
        destination.ip(&["addr add 10.9.1.2/24 dev d0"])?;
        lab.receiver.sysctl("net/ipv4/ip_forward", "1")?;
        lab.receiver.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        Ok(Self { destination: Some(destination), ..lab })
    }

    /// What lies behind the receiver of a topology that forwards.
    pub fn behind(&self) -> &Namespace {
        self.destination.as_ref().expect("only called on topologies built with a destination")
    }

    /// The sender of a topology that has one.
    pub fn from(&self) -> &Namespace {
        self.sender.as_ref().expect("only called on topologies built with a sender")
    }
}

/// A veth pair between two namespaces, both ends up and carrying traffic.
fn join(a: &Namespace, device: &str, mac: &str, b: &Namespace, peer: &str, peer_mac: &str) -> Result<()> {
    let path = b.path();
    a.feature(
        "veth",
        "ip -batch -",
        &format!(
            "link add {device} address {mac} type veth peer name {peer} address {peer_mac} netns {path}\n"
        ),
    )?;
    a.ip(&[&format!("link set {device} up")])?;
    b.ip(&[&format!("link set {peer} up")])?;
    for (namespace, link) in [(a, device), (b, peer)] {
        wait_running(namespace, link, true)?;
    }
    Ok(())
}

/// Waits until the link's watch in the kernel has noticed its carrier, and has put the queues in place.
pub fn wait_running(namespace: &Namespace, device: &str, wanted: bool) -> Result<()> {
    until("the carrier to be noticed", Duration::from_secs(10), || {
        let running = namespace.enter(|| Ok(link_flags(device)? & libc::IFF_RUNNING != 0))?;
        Ok((running == wanted).then_some(()))
    })?;
    // The flag changes first, the queues after, both under one lock: whoever gets it now comes after both.
    namespace.ip(&[&format!("link set {device} up")])
}

/// Waits until a datagram gets from one namespace to the other's address: an IPv6 address is of use only a moment after it was given
/// (`addrconf_dad_work`), and a connection's first SYN would be lost before.
pub fn wait_reachable(from: &Namespace, to: &Namespace, address: IpAddr) -> Result<()> {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let bound = |namespace: &Namespace| namespace.enter(|| Ok(UdpSocket::bind((any, 0))?));
    let (sender, receiver) = (bound(from)?, bound(to)?);
    receiver.set_read_timeout(Some(Duration::from_millis(20)))?;
    let port = receiver.local_addr()?.port();
    until("a datagram to arrive", Duration::from_secs(10), || {
        let is_sent = sender.send_to(b"hey", (address, port)).is_ok();
        Ok((is_sent && receiver.recv(&mut [0; 3]).is_ok()).then_some(()))
    })
}

/// SIOCGIFFLAGS of netdevice(7).
fn link_flags(device: &str) -> Result<i32> {
    use std::os::fd::AsRawFd;
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: an all-zero ifreq is valid; the name is shorter than IFNAMSIZ and stays zero-terminated.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(device.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = from.cast_signed();
    }
    // SAFETY: SIOCGIFFLAGS reads the name and writes the flags of this ifreq.
    unsafe {
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) != 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        Ok(i32::from(request.ifr_ifru.ifru_flags))
    }
}

/// IPv6 on, with nothing sent that wasn't asked for: no link-local address, no duplicate address detection, no
/// router solicitation; the listener reports of joining a link are repeated within milliseconds, not seconds.
pub(super) fn quiet_v6(namespace: &Namespace, device: &str) -> Result<()> {
    let conf = format!("net/ipv6/conf/{device}");
    for (key, value) in [
        ("addr_gen_mode", "1"),
        ("accept_dad", "0"),
        ("router_solicitations", "0"),
        ("mldv1_unsolicited_report_interval", "1"),
        ("mldv2_unsolicited_report_interval", "1"),
        ("disable_ipv6", "0"),
    ] {
        namespace.sysctl(&format!("{conf}/{key}"), value)?;
    }
    Ok(())
}
