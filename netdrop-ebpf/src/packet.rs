//! Headers of the packet, read from the linear part of the skb.

use netdrop_common::protocol;

use crate::{
    constants::setting,
    memory::{Memory, cast, load, probe},
};

pub const ETH_P_IP: u16 = 0x0800;
pub const ETH_P_IPV6: u16 = 0x86dd;

/// IPv6 extension headers that are followed; more are left alone.
const EXTENSIONS_MAX: u32 = 4;

/// Where the network header is.
#[derive(Clone, Copy)]
pub struct Network {
    /// `skb->head`.
    pub head: *const u8,
    /// Offset of the network header from `head`; 0 when unset.
    pub offset: u32,
    /// Offset from `head` to the end of the linear data.
    pub tail: u32,
}

impl Network {
    #[inline(always)]
    pub unsafe fn find<M: Memory>(skb: *const u8) -> Self {
        unsafe {
            let head: u64 = load!(M, skb, skb_head);
            let offset: u16 = load!(M, skb, skb_network_header);
            Self { head: head as *const u8, offset: offset.into(), tail: load!(M, skb, skb_tail) }
        }
    }

    /// Reads a byte of the network header, whose struct has this BTF type id (0: not known): what each drop needs.
    #[inline(always)]
    pub unsafe fn byte(&self, at: u32, type_id: u32) -> Option<u8> {
        if type_id == 0 {
            return unsafe { self.read(at) };
        }
        if self.offset == 0 || self.offset + at >= self.tail {
            return None;
        }
        unsafe {
            let header = cast(self.head.wrapping_add(self.offset as usize), type_id);
            Some(header.add(at as usize).read_volatile())
        }
    }

    /// Reads a `T` at `at` bytes into the network header, when the linear part holds it.
    #[inline(always)]
    pub unsafe fn read<T: Copy>(&self, at: u32) -> Option<T> {
        if self.offset == 0 || self.offset + at + size_of::<T>() as u32 > self.tail {
            return None;
        }
        Some(unsafe { probe(self.head.wrapping_add((self.offset + at) as usize)) })
    }
}

/// IPv4's protocol or IPv6's next header after the extension headers.
#[inline(always)]
pub unsafe fn ip_protocol(ethertype: u16, network: &Network) -> Option<u8> {
    unsafe {
        match ethertype {
            ETH_P_IP => network.byte(9, setting!(iphdr_type_id)),
            ETH_P_IPV6 => {
                let next = network.byte(6, setting!(ipv6hdr_type_id))?;
                if is_extension(next) { Some(after_extensions(network, next).0) } else { Some(next) }
            }
            _ => None,
        }
    }
}

/// Whether IPv6 goes on with another header of its own behind this one (RFC 8200, section 4).
#[inline(always)]
fn is_extension(next: u8) -> bool {
    matches!(
        next,
        protocol::HOP_BY_HOP | protocol::ROUTING | protocol::FRAGMENT | protocol::DESTINATION_OPTIONS
    )
}

/// The upper-layer protocol behind the extension headers, its offset from the network header, and whether it
/// is the first fragment (or none).
#[inline(always)]
unsafe fn after_extensions(network: &Network, first: u8) -> (u8, u32, bool) {
    const FRAGMENT_OFFSET: u16 = 0xfff8;
    let (mut next, mut at, mut first_fragment) = (first, 40, true);
    for _ in 0..EXTENSIONS_MAX {
        if !is_extension(next) {
            break;
        }
        let Some([following, length, high, low]) = (unsafe { network.read::<[u8; 4]>(at) }) else { break };
        if next == protocol::FRAGMENT {
            first_fragment &= u16::from_be_bytes([high, low]) & FRAGMENT_OFFSET == 0;
            at += 8;
        } else {
            at += 8 + 8 * u32::from(length);
        }
        next = following;
    }
    (next, at, first_fragment)
}

/// What a filter by address or port needs.
pub struct Addresses {
    /// As words in memory order; IPv4 as `::ffff:a.b.c.d`.
    pub source: [u32; 4],
    pub destination: [u32; 4],
    pub ports: Option<Ports>,
}

pub struct Ports {
    pub source: u16,
    pub destination: u16,
}

/// Reads the addresses and, when `with_ports`, the ports.
#[inline(always)]
pub unsafe fn addresses(ethertype: u16, network: &Network, with_ports: bool) -> Option<Addresses> {
    unsafe {
        match ethertype {
            ETH_P_IP => {
                let [source, destination] = network.read::<[u32; 2]>(12)?;
                let ports = if with_ports { ipv4_ports(network) } else { None };
                Some(Addresses { source: mapped(source), destination: mapped(destination), ports })
            }
            ETH_P_IPV6 => {
                let source = network.read(8)?;
                let destination = network.read(24)?;
                let ports = if with_ports { ipv6_ports(network) } else { None };
                Some(Addresses { source, destination, ports })
            }
            _ => None,
        }
    }
}

#[inline(always)]
fn mapped(ipv4: u32) -> [u32; 4] {
    [0, 0, 0xffff_u32.to_be(), ipv4]
}

#[inline(always)]
unsafe fn ipv4_ports(network: &Network) -> Option<Ports> {
    const FRAGMENT_OFFSET: u16 = 0x1fff;
    let header: [u8; 10] = unsafe { network.read(0)? };
    let is_later_fragment = u16::from_be_bytes([header[6], header[7]]) & FRAGMENT_OFFSET != 0;
    if is_later_fragment || !has_ports(header[9]) {
        return None;
    }
    let length = u32::from(header[0] & 0x0f) * 4;
    unsafe { ports(network, length) }
}

#[inline(always)]
unsafe fn ipv6_ports(network: &Network) -> Option<Ports> {
    let (protocol, at, first_fragment) = unsafe { after_extensions(network, network.read(6)?) };
    if !first_fragment || !has_ports(protocol) {
        return None;
    }
    unsafe { ports(network, at) }
}

#[inline(always)]
fn has_ports(protocol: u8) -> bool {
    matches!(protocol, protocol::TCP | protocol::UDP | protocol::SCTP | protocol::DCCP | protocol::UDP_LITE)
}

#[inline(always)]
unsafe fn ports(network: &Network, at: u32) -> Option<Ports> {
    let [source, destination] = unsafe { network.read::<[u16; 2]>(at)? };
    Some(Ports { source: u16::from_be(source), destination: u16::from_be(destination) })
}
