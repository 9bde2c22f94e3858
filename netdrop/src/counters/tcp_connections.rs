//! TCP's connections with what the kernel knows of each: `sock_diag(7)` with `struct tcp_info`, as `ss -tmio` reads them.

use std::io;
use std::time::Duration;

use super::inet_sockets::{ANSWER, INFO, InetSocket, Listed, SKMEMINFO, Which, list, parse as socket};
use super::netlink::{attribute, u32_at};

/// So many are read of each family: some 15 ms on a slow machine. Who has more is told by some of them.
const MOST: usize = 8192;
/// `idiag_timer` of a keepalive (`inet_sk_diag_fill`, `net/ipv4/inet_diag.c`).
const KEEPALIVE: u8 = 2;

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Its ends, queues and buffers.
    pub socket: InetSocket,
    /// When the next keepalive probe is due, if nothing comes before.
    pub keepalive: Option<Duration>,
    /// What TCP measured.
    pub info: Info,
}

/// Of `struct tcp_info` (`include/uapi/linux/tcp.h`). What a kernel doesn't have is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Info {
    /// `TCPI_OPT_…`: what both sides agreed on.
    pub options: u8,
    /// The smoothed round-trip time as the sender measures it, µs.
    pub round_trip_us: u32,
    /// The same as the receiver estimates it, µs; 0 where it couldn't yet.
    pub receive_round_trip_us: u32,
    /// Segments sent again.
    pub retransmitted: u32,
    /// Bytes received in order.
    pub received: u64,
    /// Bytes a second that arrived at the other side lately.
    pub delivery_rate: u64,
    /// Time in which there was something to send, µs.
    pub busy_us: u64,
    /// Of that: the send buffer was too small to send more, µs.
    pub send_buffer_limited_us: u64,
}

impl Info {
    fn parse(bytes: &[u8]) -> Self {
        let small = |offset| u32_at(bytes, offset).unwrap_or(0);
        let large = |offset: usize| {
            bytes.get(offset..).and_then(<[u8]>::first_chunk).map_or(0, |number| u64::from_ne_bytes(*number))
        };
        Self {
            options: bytes.get(5).copied().unwrap_or(0),
            round_trip_us: small(68),
            receive_round_trip_us: small(92),
            retransmitted: small(100),
            received: large(128),
            delivery_rate: large(160),
            busy_us: large(168),
            send_buffer_limited_us: large(184),
        }
    }
}

/// The connections of the caller's namespace that data may come in, no more than some thousands.
///
/// # Errors
/// When the kernel doesn't answer (`CONFIG_INET_DIAG`).
pub fn read() -> io::Result<Listed<Connection>> {
    list(Which::TcpConnections, &[SKMEMINFO, INFO], MOST, parse)
}

/// Reads a `struct inet_diag_msg` and its attributes; nothing where it isn't whole.
pub fn parse(bytes: &[u8]) -> Option<Connection> {
    let is_keepalive = *bytes.get(2)? == KEEPALIVE;
    let expires = Duration::from_millis(u32_at(bytes, 52)?.into());
    Some(Connection {
        socket: socket(bytes)?,
        keepalive: is_keepalive.then_some(expires),
        info: Info::parse(attribute(bytes.get(ANSWER..)?, INFO).unwrap_or_default()),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    use proptest::prelude::*;

    use super::*;
    use crate::counters::inet_sockets::tests::made as socket_made;
    use crate::owner::diag::Memory;

    /// A connection for the tests of checks: nothing waits.
    pub fn made(local: &str, remote: &str, inode: u32) -> Connection {
        let socket = socket_made(local, inode, (0, 0), 0);
        let memory = Memory { receive_limit: 131_072, send_limit: 131_072, ..Memory::default() };
        let socket = InetSocket { remote: remote.parse().unwrap(), memory, ..socket };
        Connection { socket, keepalive: None, info: Info::default() }
    }

    #[test]
    fn our_own_connection_is_known() {
        const TIMESTAMPS_AND_SACK: u8 = 3;
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let peer = server.accept().unwrap().0;
        client.write_all(&[0; 1000]).unwrap();
        let ours = read().unwrap().all;
        let one = ours.iter().find(|one| one.socket.local == peer.local_addr().unwrap()).unwrap();
        assert_eq!(one.socket.remote, client.local_addr().unwrap());
        assert_eq!((one.socket.receive_queue, one.info.received, one.keepalive), (1000, 1000, None));
        assert!(one.socket.memory.receive_limit > 0 && one.info.round_trip_us > 0, "{one:?}");
        let is_default =
            |name| std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap() == "1\n";
        if is_default("tcp_sack") && is_default("tcp_timestamps") {
            assert_eq!(one.info.options & TIMESTAMPS_AND_SACK, TIMESTAMPS_AND_SACK);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_will_do(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes);
            let _ = Info::parse(&bytes);
        }
    }
}
