//! The two ends of a connection.

use netdrop_common::{AF_INET, AF_INET6};

use crate::{
    member::{member, shared},
    memory::probe,
};

/// Addresses in network byte order, an IPv4 address in the first four bytes; ports in host byte order.
#[derive(Clone, Copy)]
pub struct Ends {
    pub family: u16,
    pub local_port: u16,
    pub remote_port: u16,
    pub local: [u32; 4],
    pub remote: [u32; 4],
}

impl Ends {
    const NONE: Self = Self { family: 0, local_port: 0, remote_port: 0, local: [0; 4], remote: [0; 4] };

    /// A socket's, whole or small.
    #[inline(always)]
    pub unsafe fn of_socket(sk: *const u8, is_whole: bool) -> Self {
        unsafe {
            let mut ends = Self { family: shared!(sk, sk_family), ..Self::NONE };
            ends.local_port = local_port(sk, is_whole);
            ends.remote_port = u16::from_be(shared!(sk, sk_dport));
            if ends.family == AF_INET6 {
                ends.local = shared!(sk, sk_v6_rcv_saddr);
                ends.remote = shared!(sk, sk_v6_daddr);
            } else {
                ends.local[0] = shared!(sk, sk_rcv_saddr);
                ends.remote[0] = shared!(sk, sk_daddr);
            }
            ends
        }
    }

    /// Those of a packet that came in: local is its destination.
    #[inline(always)]
    pub unsafe fn of_packet(skb: *const u8) -> Self {
        unsafe {
            let mut ends = Self::NONE;
            let head: u64 = shared!(skb, skb_head);
            let network: u16 = shared!(skb, skb_network_header);
            let network = (head as *const u8).wrapping_add(network.into());
            let version: u8 = probe(network);
            if version >> 4 == 4 {
                ends.family = AF_INET;
                ends.remote[0] = probe(network.wrapping_add(12));
                ends.local[0] = probe(network.wrapping_add(16));
            } else if version >> 4 == 6 {
                ends.family = AF_INET6;
                ends.remote = probe(network.wrapping_add(8));
                ends.local = probe(network.wrapping_add(24));
            }
            let header = tcp_header(skb);
            ends.remote_port = u16::from_be(probe(header));
            ends.local_port = u16::from_be(probe(header.wrapping_add(2)));
            ends
        }
    }
}

/// `inet_num`; where the port has been given back already, `inet_sport`, which stays (`tcp_set_state`, `inet_put_port`).
#[inline(always)]
pub unsafe fn local_port(sk: *const u8, is_whole: bool) -> u16 {
    unsafe {
        let number: u16 = shared!(sk, sk_num);
        if number == 0 && is_whole {
            return u16::from_be(member!(sk, inet_sport));
        }
        number
    }
}

/// A received packet's TCP header.
#[inline(always)]
pub unsafe fn tcp_header(skb: *const u8) -> *const u8 {
    unsafe {
        let head: u64 = shared!(skb, skb_head);
        let transport: u16 = member!(skb, skb_transport_header);
        (head as *const u8).wrapping_add(transport.into())
    }
}
