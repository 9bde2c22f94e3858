//! TCP's connections whose retransmission timer ran out several times in a row: `sock_diag(7)` with `struct tcp_info`, as `ss -ti` reads them.

use std::io;
use std::net::SocketAddr;

use super::inet_sockets::{self, ANSWER, INFO, Listed, Which, list};
use super::netlink::{attribute, u32_at};
use crate::owner;

/// Members of `struct tcp_info` (`include/uapi/linux/tcp.h`) by their offsets; those behind `tcpi_total_retrans` came by and by, all before 5.10.
const RETRANSMITS: usize = 2;
const SND_MSS: usize = 16;
const LAST_ACK_RECV: usize = 56;
const PMTU: usize = 60;
const BYTES_ACKED: usize = 120;
const DELIVERED: usize = 192;

/// A connection that waits for an acknowledgment in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    /// Its own address and port.
    pub local: SocketAddr,
    /// The other side's.
    pub remote: SocketAddr,
    /// Its numbers, to find its owner by.
    pub socket: owner::Socket,
    /// Bytes that were sent, or wait behind those, and aren't acknowledged.
    pub unacknowledged: u32,
    /// How often in a row the timer ran out.
    pub timeouts: u8,
    /// Bytes of its largest segments.
    pub segment: u32,
    /// What it takes for the path's MTU.
    pub path_mtu: u32,
    /// Bytes that were acknowledged, ever.
    pub acknowledged: u64,
    /// Segments that arrived, ever.
    pub delivered: u32,
    /// Milliseconds since something came from the other side that acknowledges.
    pub silent_for: u32,
}

/// So many are kept of each family, each some 100 bytes: where more wait in vain at once, it is the host itself that is cut off.
const MOST: usize = 4096;

/// Those of the caller's namespace, IPv4 first.
///
/// # Errors
/// When the kernel doesn't answer (`CONFIG_INET_DIAG`).
pub fn read() -> io::Result<Listed<Stall>> {
    list(Which::TcpSenders, &[INFO], MOST, parse)
}

/// Reads a `struct inet_diag_msg` and its `tcp_info`; nothing where it isn't whole, or its timer didn't run out lately.
pub fn parse(bytes: &[u8]) -> Option<Stall> {
    let info = attribute(bytes.get(ANSWER..)?, INFO)?;
    let timeouts = *info.get(RETRANSMITS).filter(|count| **count > 0)?;
    let socket = inet_sockets::parse(bytes)?;
    Some(Stall {
        local: socket.local,
        remote: socket.remote,
        socket: socket.socket,
        unacknowledged: socket.send_queue,
        timeouts,
        segment: u32_at(info, SND_MSS)?,
        path_mtu: u32_at(info, PMTU)?,
        acknowledged: u64::from_ne_bytes(*info.get(BYTES_ACKED..)?.first_chunk()?),
        delivered: u32_at(info, DELIVERED)?,
        silent_for: u32_at(info, LAST_ACK_RECV)?,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::super::netlink::tests::encoded;
    use super::*;

    /// A connection for the tests of checks.
    pub fn made(remote: &str, timeouts: u8, (acknowledged, delivered): (u64, u32)) -> Stall {
        Stall {
            local: "10.0.0.1:443".parse().unwrap(),
            remote: remote.parse().unwrap(),
            socket: owner::Socket { inode: 7, cookie: 7, cgroup: 0 },
            unacknowledged: 14_480,
            timeouts,
            segment: 1448,
            path_mtu: 1500,
            acknowledged,
            delivered,
            silent_for: 1200,
        }
    }

    /// 5.10's `tcp_info` has 232 bytes, 7.x's more.
    #[rstest::rstest]
    #[case::old(232, 3, true)]
    #[case::new(280, 3, true)]
    #[case::no_timeout(232, 0, false)]
    #[case::of_before(104, 3, false)]
    fn an_answer_as_the_kernel_writes_it(#[case] size: usize, #[case] timeouts: u8, #[case] is_told: bool) {
        let mut info = vec![0; size];
        info[RETRANSMITS] = timeouts;
        info[SND_MSS..SND_MSS + 4].copy_from_slice(&1448_u32.to_ne_bytes());
        info[PMTU..PMTU + 4].copy_from_slice(&1500_u32.to_ne_bytes());
        if size > DELIVERED {
            info[BYTES_ACKED..BYTES_ACKED + 8].copy_from_slice(&518_u64.to_ne_bytes());
            info[DELIVERED..DELIVERED + 4].copy_from_slice(&2_u32.to_ne_bytes());
        }
        let mut bytes = vec![0; ANSWER];
        bytes[0] = 2;
        bytes[6..8].copy_from_slice(&443_u16.to_be_bytes());
        bytes[60..64].copy_from_slice(&2896_u32.to_ne_bytes());
        bytes.extend(encoded(INFO, &info));
        let stall = parse(&bytes);
        assert_eq!(stall.is_some(), is_told);
        if let Some(stall) = stall {
            let numbers = (stall.timeouts, stall.segment, stall.path_mtu, stall.unacknowledged);
            assert_eq!(numbers, (3, 1448, 1500, 2896));
            assert_eq!((stall.acknowledged, stall.delivered, stall.remote.port()), (518, 2, 443));
        }
    }

    #[test]
    fn the_kernel_answers() {
        let _ = read().unwrap();
    }

    proptest! {
        #[test]
        fn any_bytes_will_do(bytes in proptest::collection::vec(any::<u8>(), 0..360), info in proptest::collection::vec(any::<u8>(), 0..280)) {
            let _ = parse(&bytes);
            let mut bytes = vec![2; ANSWER];
            bytes.extend(encoded(INFO, &info));
            let _ = parse(&bytes);
        }
    }
}
