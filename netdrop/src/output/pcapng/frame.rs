//! What of a packet goes into the file, and as which link type.

use crate::model::Drop;

/// Ethernet's header without tags, and where its `EtherType` stands (IEEE 802.3).
const ETHERNET_BYTES: usize = 14;
const ETHERTYPE_AT: usize = 12;
/// What is smaller is no `EtherType` but a length (IEEE 802.3, 3.2.6).
const LEAST_ETHERTYPE: u16 = 0x600;
const ETH_P_8021Q: u16 = 0x8100;
const ETH_P_8021AD: u16 = 0x88a8;
const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
const ARPHRD_NONE: u16 = 0xfffe;

/// What the bytes of a packet begin with: a link type of tcpdump.org/linktypes.html.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Link {
    /// An Ethernet header.
    Ethernet = 1,
    /// An IPv4 or IPv6 header; the kernel had not yet noted which.
    Raw = 101,
    /// Linux' cooked header, made here to tell the `EtherType` of what has lost its link-layer header and isn't IP.
    Cooked = 113,
    /// Nothing that is known (`LINKTYPE_USER0`): shown as bytes.
    Unknown = 147,
    /// An IPv4 header.
    Ipv4 = 228,
    /// An IPv6 header.
    Ipv6 = 229,
}

/// The bytes of one packet.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// What they begin with.
    pub link: Link,
    before: &'a [u8],
    made: [u8; 16],
    made_length: usize,
    after: &'a [u8],
    /// Their number on the wire.
    pub wire_length: usize,
}

impl<'a> Frame<'a> {
    /// The link-layer header stays where it is Ethernet's: a tunnel's would be taken for what it isn't.
    pub fn of(drop: &Drop<'a>) -> Self {
        let header = drop.header;
        let ethertype = drop.packet.protocol.ethertype;
        let length = usize::try_from(drop.packet.length).unwrap_or(usize::MAX);
        let plain = |link, after| Self {
            link,
            before: &[],
            made: [0; 16],
            made_length: 0,
            after,
            wire_length: length,
        };
        let frame = if is_ethernet(header.bytes, header.network, ethertype) {
            let link_bytes = header.network.unwrap_or(0);
            let frame = plain(Link::Ethernet, header.bytes);
            Self { wire_length: length.saturating_add(link_bytes), ..frame }.tagged(header.vlan)
        } else {
            match header.network.and_then(|network| header.bytes.get(network..)) {
                None => plain(Link::Unknown, header.bytes),
                Some(bytes) => match ethertype {
                    0 => plain(Link::Raw, bytes),
                    ETH_P_IP => plain(Link::Ipv4, bytes),
                    ETH_P_IPV6 => plain(Link::Ipv6, bytes),
                    other => plain(Link::Cooked, bytes).cooked(other),
                },
            }
        };
        // No more can have been copied than there was.
        Self { wire_length: frame.wire_length.max(frame.length()), ..frame }
    }

    /// The bytes, in pieces.
    pub fn parts(&self) -> [&[u8]; 3] {
        [self.before, &self.made[..self.made_length], self.after]
    }

    /// How many there are.
    pub fn length(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    /// Puts a VLAN tag back that the kernel keeps beside the packet, as libpcap does.
    fn tagged(mut self, vlan: Option<(u16, u16)>) -> Self {
        let Some((protocol, control)) = vlan else { return self };
        (self.before, self.after) = self.after.split_at(ETHERTYPE_AT.min(self.after.len()));
        self.made[..2].copy_from_slice(&protocol.to_be_bytes());
        self.made[2..4].copy_from_slice(&control.to_be_bytes());
        self.made_length = 4;
        self.wire_length += self.made_length;
        self
    }

    /// `LINKTYPE_LINUX_SLL` of tcpdump.org/linktypes.html: packet type, `ARPHRD_` type, address (none), protocol.
    fn cooked(mut self, ethertype: u16) -> Self {
        self.made[2..4].copy_from_slice(&ARPHRD_NONE.to_be_bytes());
        self.made[14..16].copy_from_slice(&ethertype.to_be_bytes());
        self.made_length = self.made.len();
        self.wire_length += self.made_length;
        self
    }
}

/// Whether an Ethernet header, with its tags, leads to the network header with the `EtherType` that the kernel noted.
fn is_ethernet(bytes: &[u8], network: Option<usize>, noted: u16) -> bool {
    let number_at = |at: usize| bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes);
    let (mut at, mut offset) = (ETHERTYPE_AT, ETHERNET_BYTES);
    while let Some(found) = number_at(at) {
        let agrees = match network {
            Some(network) => network == offset && (found == noted || noted == 0 || found < LEAST_ETHERTYPE),
            None => found == noted,
        };
        if agrees || !matches!(found, ETH_P_8021Q | ETH_P_8021AD) {
            return agrees;
        }
        (at, offset) = (offset + 2, offset + 4);
    }
    false
}
