//! The UDP sockets or TCP listeners of a namespace, each with its queue and what it dropped: `sock_diag(7)`, as `ss -m` reads them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netdrop_common::tcp_state;
use nix::sys::socket::SockProtocol;

use super::netlink::{attribute, each_of, u32_at};
use crate::owner;
use crate::owner::diag::Memory;

/// `SOCK_DIAG_BY_FAMILY` (`include/uapi/linux/sock_diag.h`).
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// Bytes of `struct inet_diag_req_v2` and `struct inet_diag_msg`.
const REQUEST: usize = 56;
pub(super) const ANSWER: usize = 72;
/// `INET_DIAG_INFO`, `INET_DIAG_SKMEMINFO` and `INET_DIAG_CGROUP_ID` (`include/uapi/linux/inet_diag.h`).
pub(super) const INFO: u16 = 2;
pub(super) const SKMEMINFO: u16 = 7;
const CGROUP_ID: u16 = 21;

/// States in which a connection receives, or has what it received and nobody read.
const RECEIVING: u32 = (1 << tcp_state::ESTABLISHED)
    | (1 << tcp_state::FIN_WAIT1)
    | (1 << tcp_state::FIN_WAIT2)
    | (1 << tcp_state::CLOSE_WAIT);

/// States in which data may wait for its acknowledgment.
const UNACKNOWLEDGED: u32 = (1 << tcp_state::ESTABLISHED)
    | (1 << tcp_state::CLOSE_WAIT)
    | (1 << tcp_state::FIN_WAIT1)
    | (1 << tcp_state::LAST_ACK)
    | (1 << tcp_state::CLOSING);

/// Which sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those of UDP, connected or not.
    Udp,
    /// TCP's listeners.
    TcpListeners,
    /// TCP's connections that may still receive.
    TcpConnections,
    /// TCP's connections that may wait for an acknowledgment.
    TcpSenders,
}

/// A socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InetSocket {
    /// Its own address and port.
    pub local: SocketAddr,
    /// The other side's; port 0 where it isn't connected.
    pub remote: SocketAddr,
    /// Of a listener: connections that wait to be accepted. Else bytes that wait to be read, of UDP with what the kernel needs to keep them (`udp_rqueue_get`).
    pub receive_queue: u32,
    /// Of a listener: how many connections may wait.
    pub send_queue: u32,
    /// Its numbers, to find its owner by.
    pub socket: owner::Socket,
    /// The user that it belongs to.
    pub uid: u32,
    /// Buffers and drops.
    pub memory: Memory,
}

impl InetSocket {
    /// The same socket at another time?
    pub fn is(&self, other: &Self) -> bool {
        self.socket.cookie == other.socket.cookie
    }
}

/// What was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// IPv4 first.
    pub all: Vec<T>,
    /// There are more.
    pub is_cut: bool,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T> From<Vec<T>> for Listed<T> {
    fn from(all: Vec<T>) -> Self {
        Self { all, is_cut: false }
    }
}

/// The sockets of the caller's namespace, IPv4 first.
///
/// # Errors
/// When the kernel doesn't answer (`CONFIG_INET_DIAG`, `CONFIG_INET_UDP_DIAG`).
pub fn read(which: Which) -> io::Result<Vec<InetSocket>> {
    Ok(list(which, &[SKMEMINFO], usize::MAX, parse)?.all)
}

/// Those to be kept, no more than `most` of each family.
///
/// # Errors
/// The same.
pub fn read_some(
    which: Which,
    most: usize,
    mut is_kept: impl FnMut(&InetSocket) -> bool,
) -> io::Result<Listed<InetSocket>> {
    list(which, &[SKMEMINFO], most, |answer| parse(answer).filter(&mut is_kept))
}

/// What `take` makes of each answer, no more than `most` of each family. An answer has the attributes that are `wanted`; it isn't kept, as
/// there may be a hundred thousand.
pub(super) fn list<T>(
    which: Which,
    wanted: &[u16],
    most: usize,
    mut take: impl FnMut(&[u8]) -> Option<T>,
) -> io::Result<Listed<T>> {
    let mut listed = Listed::default();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let enough = listed.all.len().saturating_add(most);
        let request = request(which, wanted, family);
        let answered = each_of(SockProtocol::NetlinkSockDiag, SOCK_DIAG_BY_FAMILY, &request, |answer| {
            let Some(one) = take(answer) else { return true };
            let has_room = listed.all.len() < enough;
            if has_room {
                listed.all.push(one);
            }
            listed.is_cut |= !has_room;
            has_room
        });
        match answered {
            // A kernel without IPv6.
            Err(error) if family == libc::AF_INET6 && error.raw_os_error() == Some(libc::ENOENT) => {}
            answered => answered?,
        }
    }
    Ok(listed)
}

/// `struct inet_diag_req_v2`: any address.
fn request(which: Which, wanted: &[u16], family: i32) -> [u8; REQUEST] {
    let (protocol, states) = match which {
        Which::Udp => (libc::IPPROTO_UDP, u32::MAX),
        Which::TcpListeners => (libc::IPPROTO_TCP, 1 << tcp_state::LISTEN),
        Which::TcpConnections => (libc::IPPROTO_TCP, RECEIVING),
        Which::TcpSenders => (libc::IPPROTO_TCP, UNACKNOWLEDGED),
    };
    let byte = |number: i32| u8::try_from(number).expect("families and protocols are small numbers");
    let mut request = [0; REQUEST];
    request[0] = byte(family);
    request[1] = byte(protocol);
    request[2] = wanted.iter().fold(0, |bits, attribute| bits | 1 << (attribute - 1));
    request[4..8].copy_from_slice(&states.to_ne_bytes());
    request
}

/// Reads a `struct inet_diag_msg` and its attributes; nothing where it isn't whole or of another family.
pub fn parse(bytes: &[u8]) -> Option<InetSocket> {
    let family = i32::from(*bytes.first()?);
    let end = |port: usize, address: usize| {
        let port = u16::from_be_bytes(*bytes.get(port..)?.first_chunk()?);
        let address: [u8; 16] = *bytes.get(address..)?.first_chunk()?;
        let address: IpAddr = match family {
            libc::AF_INET => Ipv4Addr::new(address[0], address[1], address[2], address[3]).into(),
            libc::AF_INET6 => IpAddr::V6(Ipv6Addr::from(address)),
            _ => return None,
        };
        Some(SocketAddr::new(address, port))
    };
    let attributes = bytes.get(ANSWER..)?;
    let cookie = u64::from(u32_at(bytes, 44)?) | u64::from(u32_at(bytes, 48)?) << 32;
    let cgroup = attribute(attributes, CGROUP_ID).and_then(<[u8]>::first_chunk);
    Some(InetSocket {
        local: end(4, 8)?,
        remote: end(6, 24)?,
        receive_queue: u32_at(bytes, 56)?,
        send_queue: u32_at(bytes, 60)?,
        uid: u32_at(bytes, 64)?,
        socket: owner::Socket {
            inode: u32_at(bytes, 68)?,
            cookie,
            cgroup: cgroup.map_or(0, |id| u64::from_ne_bytes(*id)),
        },
        memory: memory(attribute(attributes, SKMEMINFO).unwrap_or_default()),
    })
}

/// `SK_MEMINFO_…`: numbers of 32 bits by their place. A kernel that lacks one leaves it at zero.
fn memory(bytes: &[u8]) -> Memory {
    let number = |place: usize| u32_at(bytes, place * 4).unwrap_or(0);
    Memory {
        receive: number(0),
        receive_limit: number(1),
        send: number(2),
        send_limit: number(3),
        backlog: number(7),
        drops: number(8),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::super::netlink::tests::encoded;
    use super::*;

    /// A socket for the tests of checks.
    pub fn made(local: &str, inode: u32, (queue, limit): (u32, u32), drops: u32) -> InetSocket {
        let local: SocketAddr = local.parse().unwrap();
        let any: IpAddr =
            if local.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        InetSocket {
            local,
            remote: SocketAddr::new(any, 0),
            receive_queue: queue,
            send_queue: limit,
            socket: owner::Socket { inode, cookie: inode.into(), cgroup: 0 },
            uid: 0,
            memory: Memory { receive: queue, receive_limit: limit, drops, ..Memory::default() },
        }
    }

    #[test]
    fn an_answer_as_the_kernel_writes_it() {
        let mut bytes = vec![0; ANSWER];
        bytes[0] = 2;
        bytes[4..6].copy_from_slice(&5353_u16.to_be_bytes());
        bytes[8..12].copy_from_slice(&[127, 0, 0, 1]);
        bytes[44..52].copy_from_slice(&0x1_0000_0002_u64.to_ne_bytes());
        bytes[56..60].copy_from_slice(&768_u32.to_ne_bytes());
        bytes[64..68].copy_from_slice(&1000_u32.to_ne_bytes());
        bytes[68..72].copy_from_slice(&99_u32.to_ne_bytes());
        let memory: Vec<u8> =
            [768, 212_992, 0, 212_992, 3328, 0, 0, 0, 17].into_iter().flat_map(u32::to_ne_bytes).collect();
        bytes.extend(encoded(SKMEMINFO, &memory));
        bytes.extend(encoded(CGROUP_ID, &7_u64.to_ne_bytes()));
        let socket = parse(&bytes).unwrap();
        assert_eq!(socket.local, "127.0.0.1:5353".parse().unwrap());
        assert_eq!(socket.socket, owner::Socket { inode: 99, cookie: 0x1_0000_0002, cgroup: 7 });
        assert_eq!((socket.receive_queue, socket.uid, socket.memory.drops), (768, 1000, 17));
        assert_eq!((socket.memory.receive_limit, socket.memory.receive), (212_992, 768));
    }

    #[test]
    fn our_own_sockets_are_listed() {
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let found = |which, local| {
            read(which).unwrap().into_iter().find(|socket| socket.local == local).expect("it is open")
        };
        let of_udp = found(Which::Udp, udp.local_addr().unwrap());
        assert!(of_udp.memory.receive_limit > 0 && of_udp.socket.inode > 0 && of_udp.socket.cookie > 0);
        let of_tcp = found(Which::TcpListeners, tcp.local_addr().unwrap());
        assert!(of_tcp.send_queue > 0 && of_tcp.is(&of_tcp) && !of_tcp.is(&of_udp));
    }

    #[test]
    fn a_list_that_was_cut_says_so() {
        let _open = [(); 2].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        let of_ipv4 = |most| {
            let mut listed = read_some(Which::Udp, most, |one| one.local.is_ipv4()).unwrap();
            listed.all.truncate(2);
            (listed.all.len(), listed.is_cut)
        };
        assert_eq!((of_ipv4(1), of_ipv4(usize::MAX)), ((1, true), (2, false)));
    }

    #[test]
    fn answers_have_what_is_wanted_alone() {
        let _open = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let has = |wanted: &[u16], number| {
            let has = |answer: &[u8]| Some(attribute(&answer[ANSWER..], number).is_some());
            list(Which::TcpListeners, wanted, usize::MAX, has).unwrap().all.into_iter().any(|has| has)
        };
        assert!(has(&[SKMEMINFO], SKMEMINFO) && !has(&[SKMEMINFO], INFO) && has(&[INFO], INFO));
    }

    proptest! {
        #[test]
        fn any_bytes_will_do(bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
            let _ = parse(&bytes);
            let _ = memory(&bytes);
        }
    }
}
