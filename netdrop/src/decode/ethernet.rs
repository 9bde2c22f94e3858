//! Ethernet II with VLAN tags (IEEE 802.3, 802.1Q).

use crate::model::{Packet, Vlan};

use super::{bytes_at, u16_at};

/// Bytes of the header without tags.
pub const HEADER_BYTES: usize = 14;

const TAG_BYTES: usize = 4;
const ETH_P_8021Q: u16 = 0x8100;
const ETH_P_8021AD: u16 = 0x88a8;

/// What follows the header.
pub struct Inner {
    pub ethertype: u16,
    pub offset: usize,
}

/// Reads addresses and tags into `packet`; tags come behind one in the skb's metadata.
pub fn decode(frame: &[u8], packet: &mut Packet) -> Option<Inner> {
    let [destination, source]: [[u8; 6]; 2] = [bytes_at(frame, 0)?, bytes_at(frame, 6)?];
    // Loopback's header has no addresses.
    if destination != source {
        packet.destination_mac = Some(destination);
        packet.source_mac = Some(source);
    }
    let mut ethertype = u16_at(frame, 12)?;
    let mut offset = HEADER_BYTES;
    for slot in packet.vlans.iter_mut().skip_while(|slot| slot.is_some()) {
        if !matches!(ethertype, ETH_P_8021Q | ETH_P_8021AD) {
            break;
        }
        *slot = Some(Vlan::from_tci(u16_at(frame, offset)?));
        ethertype = u16_at(frame, offset + 2)?;
        offset += TAG_BYTES;
    }
    Some(Inner { ethertype, offset })
}
