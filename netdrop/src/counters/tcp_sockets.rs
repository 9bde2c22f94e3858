//! The TCP sockets of a namespace in given states: `sock_diag(7)`, as `ss -t` reads them.
//!
//! What a listing costs: listeners alone are in a table of their own (`inet_diag_dump_icsk`, `net/ipv4/inet_diag.c`); for any other
//! state the kernel walks the table of all the machine's connections and answers with those that are asked for.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};

use netdrop_common::tcp_state;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

use super::netlink::{DATAGRAM, Message, REQUEST_DUMP, message, messages, u32_at};

/// `SOCK_DIAG_BY_FAMILY` (`include/uapi/linux/sock_diag.h`).
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// Bytes of `struct inet_diag_req_v2`.
const REQUEST: usize = 56;
/// The kernel answers within the call; a lost answer shall not hang the caller.
const PATIENCE_SECONDS: i64 = 1;

/// States as a set: a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct States(u32);

impl States {
    /// Listeners alone.
    pub const LISTEN: Self = Self(1 << tcp_state::LISTEN);
    /// Connections that are being opened from the other side, whose requests the kernel calls `NEW_SYN_RECV` in its own table.
    pub const SYN_RECV: Self = Self(1 << tcp_state::SYN_RECV);
    /// All that have a port of their own: from `SYN_SENT` to `TIME_WAIT`.
    pub const CONNECTED: Self = Self(
        (1 << tcp_state::ESTABLISHED)
            | (1 << tcp_state::SYN_SENT)
            | (1 << tcp_state::FIN_WAIT1)
            | (1 << tcp_state::FIN_WAIT2)
            | (1 << tcp_state::TIME_WAIT)
            | (1 << tcp_state::CLOSE_WAIT)
            | (1 << tcp_state::LAST_ACK)
            | (1 << tcp_state::CLOSING),
    );
    /// Those, and [`Self::SYN_RECV`]: both by one walk.
    pub const CONNECTED_OR_ASKED: Self = Self(Self::CONNECTED.0 | Self::SYN_RECV.0);
}

/// A socket. IPv4 addresses of IPv6 sockets (`::ffff:a.b.c.d`) are told as what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSocket {
    /// `include/net/tcp_states.h`.
    pub state: u8,
    /// Its own address and port.
    pub local: SocketAddr,
    /// The other side's; port 0 of a listener.
    pub remote: SocketAddr,
    /// Of a listener: connections that wait to be accepted. Else bytes received and not read.
    pub receive_queue: u32,
    /// Of a listener: how many may wait. Else bytes not acknowledged.
    pub send_queue: u32,
    /// Inode on sockfs; 0 of what has no file.
    pub inode: u32,
}

/// Lists sockets of the namespace that it was opened in, whatever thread asks.
#[derive(Debug)]
pub struct TcpSockets {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl TcpSockets {
    /// For the calling thread's namespace.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket =
            socket(AddressFamily::Netlink, SockType::Datagram, flags, SockProtocol::NetlinkSockDiag)?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(PATIENCE_SECONDS))?;
        Ok(Self { socket, buffer: vec![0; DATAGRAM] })
    }

    /// Calls `each` with every socket in one of `states`, IPv4 first. After an error, open another one: answers may be left in this.
    pub fn list(&mut self, states: States, each: impl FnMut(TcpSocket)) -> io::Result<()> {
        self.list_most(states, usize::MAX, each)
    }

    /// The same, and no more than `most` of each family and what came together with the last.
    pub fn list_most(
        &mut self,
        states: States,
        most: usize,
        mut each: impl FnMut(TcpSocket),
    ) -> io::Result<()> {
        self.list_family(libc::AF_INET, states, most, &mut each)?;
        match self.list_family(libc::AF_INET6, states, most, &mut each) {
            // A kernel without IPv6.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            done => done,
        }
    }

    fn list_family(
        &mut self,
        family: i32,
        states: States,
        most: usize,
        each: &mut impl FnMut(TcpSocket),
    ) -> io::Result<()> {
        let request = message(SOCK_DIAG_BY_FAMILY, REQUEST_DUMP, &request(family, states));
        send(self.socket.as_raw_fd(), &request, MsgFlags::empty())?;
        let mut told = 0;
        while told < most {
            let length = recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty())?;
            for (_, message) in messages(&self.buffer[..length]) {
                match message {
                    Message::Answer(answer) => {
                        if let Some(socket) = tcp_socket(answer) {
                            told += 1;
                            each(socket);
                        }
                    }
                    Message::Error(error) => return Err(error),
                    Message::Done(_) => return Ok(()),
                }
            }
        }
        // The rest is asked for no more.
        *self = Self::open()?;
        Ok(())
    }
}

/// `struct inet_diag_req_v2`: no extensions, any address.
fn request(family: i32, states: States) -> [u8; REQUEST] {
    let mut request = [0; REQUEST];
    request[0] = u8::try_from(family).expect("AF_INET and AF_INET6 are small");
    request[1] = u8::try_from(libc::IPPROTO_TCP).expect("it is 6");
    request[4..8].copy_from_slice(&states.0.to_ne_bytes());
    request
}

/// Reads a `struct inet_diag_msg` (`include/uapi/linux/inet_diag.h`); nothing where it isn't whole or of another family.
fn tcp_socket(bytes: &[u8]) -> Option<TcpSocket> {
    let (family, state) = (*bytes.first()?, *bytes.get(1)?);
    let end = |port: usize, address: usize| {
        let port = u16::from_be_bytes(*bytes.get(port..)?.first_chunk()?);
        let address = bytes.get(address..)?.first_chunk::<16>()?;
        Some(SocketAddr::new(address_of(family, address)?, port))
    };
    Some(TcpSocket {
        state,
        local: end(4, 8)?,
        remote: end(6, 24)?,
        receive_queue: u32_at(bytes, 56)?,
        send_queue: u32_at(bytes, 60)?,
        inode: u32_at(bytes, 68)?,
    })
}

fn address_of(family: u8, bytes: &[u8; 16]) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => {
            let [a, b, c, d, ..] = *bytes;
            Some(Ipv4Addr::new(a, b, c, d).into())
        }
        libc::AF_INET6 => Some(IpAddr::V6(Ipv6Addr::from(*bytes)).to_canonical()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(family: u8, local: [u8; 16]) -> Vec<u8> {
        let mut bytes = vec![family, tcp_state::LISTEN, 0, 0];
        bytes.extend(8080_u16.to_be_bytes());
        bytes.extend(0_u16.to_be_bytes());
        bytes.extend(local);
        bytes.extend([0; 16 + 4 + 8 + 4]);
        for number in [3_u32, 128, 1000, 4711] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes
    }

    #[rstest::rstest]
    #[case::ipv4(2, Ipv4Addr::LOCALHOST.to_ipv6_compatible(), Some("127.0.0.1:8080"))]
    #[case::ipv6(10, Ipv6Addr::LOCALHOST, Some("[::1]:8080"))]
    #[case::mapped(10, Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped(), Some("10.0.0.1:8080"))]
    #[case::any(10, Ipv6Addr::UNSPECIFIED, Some("[::]:8080"))]
    #[case::another_family(1, Ipv6Addr::LOCALHOST, None)]
    fn a_listener_as_the_kernel_tells_it(
        #[case] family: u8,
        #[case] local: Ipv6Addr,
        #[case] expected: Option<&str>,
    ) {
        let mut octets = local.octets();
        // An IPv4 address stands in the first four bytes.
        if family == 2 {
            octets.rotate_left(12);
        }
        let listener = tcp_socket(&told(family, octets));
        assert_eq!(listener.map(|listener| listener.local.to_string()).as_deref(), expected);
        if let Some(listener) = listener {
            let queues = (listener.state, listener.receive_queue, listener.send_queue, listener.inode);
            assert_eq!(queues, (tcp_state::LISTEN, 3, 128, 4711));
        }
        assert_eq!(tcp_socket(&told(family, octets)[..71]), None);
    }

    /// A listener of our own is listed, with what waits and what may; connections to it are.
    #[test]
    fn our_own_listener_is_found() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let client = std::net::TcpStream::connect(address).unwrap();
        let mut sockets = TcpSockets::open().unwrap();
        let mut found = Vec::new();
        sockets.list(States::LISTEN, |socket| found.push(socket)).unwrap();
        assert!(found.iter().all(|socket| socket.state == tcp_state::LISTEN));
        let listener = found.iter().find(|socket| socket.local == address).unwrap();
        assert_eq!(listener.receive_queue, 1);
        assert!(listener.send_queue > 0 && listener.inode > 0);
        found.clear();
        sockets.list(States::CONNECTED, |socket| found.push(socket)).unwrap();
        let ours = client.local_addr().unwrap();
        assert!(found.iter().any(|socket| (socket.local, socket.remote) == (ours, address)));
        assert!(found.iter().all(|socket| socket.state != tcp_state::LISTEN));
    }

    proptest! {
        #[test]
        fn any_bytes_will_do(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = tcp_socket(&bytes);
        }
    }
}
