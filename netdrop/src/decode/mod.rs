//! From the bytes of the ring buffer to a drop in the kernel's own numbers. Total: any bytes give a value or an error.

mod ethernet;
mod ip;
mod socket;
#[cfg(test)]
mod tests;
mod transport;
mod trap;

use netdrop_common::{
    CounterKey, Event, HEADER_AT_LINK, KEY_HAS_IP_PROTOCOL, OFFSET_NONE, REASON_NONE, read_plain,
};

pub use socket::{endpoint, socket};
pub use trap::trap;

use crate::model::{Accounts, CountKey, Counts, CpuTask, Gso, Header, Packet, Protocol, Socket, Vlan};

/// A drop as the eBPF program saw it: numbers for names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawDrop<'a> {
    /// `CLOCK_MONOTONIC`, in ns.
    pub time_ns: u64,
    /// The counter that it was counted in.
    pub key: CounterKey,
    /// How many drops it stands for.
    pub weight: u64,
    /// CPU number.
    pub cpu: u32,
    /// What is known of the packet.
    pub packet: Packet,
    /// The packet's first bytes.
    pub header: Header<'a>,
    /// The socket that it belongs to, when it was asked for and there is one.
    pub socket: Option<Socket>,
    /// The task that was on the CPU, when it was asked for.
    pub task: Option<CpuTask>,
    /// Number of its call chain; [`netdrop_common::STACK_NONE`] without.
    pub stack: u32,
}

/// An event that isn't one of this program's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than its fixed part.
    #[error("an event of {0} bytes is too short: {fixed} are fixed", fixed = size_of::<Event>())]
    TooShort(usize),
    /// Its header would reach beyond its end.
    #[error("an event says that {said} bytes of the packet follow, but {found} do")]
    HeaderTooShort {
        /// What it says.
        said: usize,
        /// What there is.
        found: usize,
    },
}

/// Decodes one event (netdrop-common's `Event` and the bytes behind it).
///
/// # Errors
/// When the bytes aren't an event. What can't be read of the *packet* is just absent.
pub fn decode(bytes: &[u8]) -> Result<RawDrop<'_>, DecodeError> {
    let event: Event = read_plain(bytes).ok_or(DecodeError::TooShort(bytes.len()))?;
    let rest = &bytes[size_of::<Event>()..];
    let said = usize::from(event.header_length);
    let header = rest.get(..said).ok_or(DecodeError::HeaderTooShort { said, found: rest.len() })?;
    let (socket, task) = socket::decode(&event, rest);
    Ok(RawDrop {
        time_ns: event.time_ns,
        key: event.key,
        weight: event.weight.into(),
        cpu: event.cpu.into(),
        packet: packet(&event, header),
        header: Header {
            bytes: header,
            network: (event.network_offset != OFFSET_NONE).then_some(event.network_offset.into()),
            vlan: (event.vlan_protocol != 0).then_some((event.vlan_protocol, event.vlan_tci)),
        },
        socket,
        task,
        stack: event.stack,
    })
}

/// What the kernel's counter says, in the model's terms.
pub fn count_key(key: &CounterKey) -> CountKey {
    CountKey {
        address: key.site,
        reason: (key.reason != REASON_NONE).then_some(key.reason),
        ifindex: key.ifindex,
        netns: key.netns,
        protocol: protocol(key),
    }
}

/// A counter's key and value, in the model's terms.
pub fn counts(counter: &netdrop_common::Counter) -> (CountKey, Counts) {
    (count_key(&counter.key), Counts { packets: counter.packets, bytes: counter.bytes })
}

/// Where each drop went, in the model's terms. The kernel counts recursion misses elsewhere: in the program's statistics.
pub fn accounts(kernel: &netdrop_common::Accounts, recursion_misses: u64) -> Accounts {
    Accounts {
        seen: kernel.seen,
        detailed: kernel.detailed,
        sampled_out: kernel.sampled_out,
        ring_full: kernel.ring_full,
        filtered: kernel.filtered,
        table_full: kernel.table_full,
        recursion_misses,
        stackless: kernel.stackless,
    }
}

fn protocol(key: &CounterKey) -> Protocol {
    let has_ip = key.flags & KEY_HAS_IP_PROTOCOL != 0;
    Protocol { ethertype: key.ethertype, ip: has_ip.then_some(key.ip_protocol) }
}

fn packet(event: &Event, header: &[u8]) -> Packet {
    let mut packet = Packet {
        length: event.length,
        protocol: protocol(&event.key),
        gso: (event.gso_size != 0).then_some(Gso { size: event.gso_size, segments: event.gso_segments }),
        ..Packet::default()
    };
    if event.vlan_protocol != 0 {
        packet.vlans[0] = Some(Vlan::from_tci(event.vlan_tci));
    }
    let mut ethertype = event.key.ethertype;
    let mut network = match event.network_offset {
        OFFSET_NONE => None,
        offset => header.get(usize::from(offset)..),
    };
    // A shorter link-layer header than Ethernet's isn't Ethernet: a tunnel's, or none.
    let has_ethernet = usize::from(event.network_offset) >= ethernet::HEADER_BYTES;
    if event.header_at == HEADER_AT_LINK
        && has_ethernet
        && let Some(inner) = ethernet::decode(header, &mut packet)
    {
        network = network.or_else(|| header.get(inner.offset..));
        ethertype = if ethertype == 0 { inner.ethertype } else { ethertype };
    }
    if let Some(network) = network {
        ip::decode(ethertype, network, &mut packet);
    }
    packet
}

impl Vlan {
    /// From the tag control information of IEEE 802.1Q: priority, drop eligibility, number.
    fn from_tci(tci: u16) -> Self {
        Self { id: tci & 0x0fff, priority: (tci >> 13) as u8 }
    }
}

/// The `N` bytes at `offset`, when all are there.
fn bytes_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

/// The big-endian number at `offset`.
fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes_at(bytes, offset).map(u16::from_be_bytes)
}
