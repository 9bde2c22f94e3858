//! Upper-layer headers: TCP (RFC 9293), UDP (RFC 768), SCTP (RFC 9260), DCCP (RFC 4340), ICMP (RFC 792), `ICMPv6` (RFC 4443).

use netdrop_common::protocol::{DCCP, ICMP, ICMPV6, SCTP, TCP, UDP, UDP_LITE};

use crate::model::{Packet, TcpFlags};

use super::{bytes_at, u16_at};

/// Reads as much of the header as there is into `packet`.
pub fn decode(protocol: u8, header: &[u8], packet: &mut Packet) {
    match protocol {
        TCP => {
            ports(header, packet);
            packet.tcp_sequence = bytes_at(header, 4).map(u32::from_be_bytes);
            packet.tcp_flags = header.get(13).copied().map(TcpFlags);
        }
        UDP | UDP_LITE | DCCP | SCTP => ports(header, packet),
        ICMP | ICMPV6 => packet.icmp = bytes_at(header, 0).map(|[kind, code]| (kind, code)),
        _ => {}
    }
}

fn ports(header: &[u8], packet: &mut Packet) {
    for (endpoint, offset) in [(&mut packet.source, 0), (&mut packet.destination, 2)] {
        if let Some(endpoint) = endpoint {
            endpoint.port = u16_at(header, offset);
        }
    }
}
