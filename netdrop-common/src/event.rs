//! The details of one drop, as they stand in the ring buffer.

use crate::CounterKey;

/// The most bytes of a packet that an event can hold.
pub const SNAPLEN_MAX: u32 = 256;
/// [`Event::header_at`]: no header could be read.
pub const HEADER_NONE: u8 = 0;
/// [`Event::header_at`]: the bytes begin at the link-layer header.
pub const HEADER_AT_LINK: u8 = 1;
/// [`Event::header_at`]: the bytes begin at the network header.
pub const HEADER_AT_NETWORK: u8 = 2;
/// [`Event::network_offset`] when the network header isn't in the bytes or isn't known.
pub const OFFSET_NONE: u16 = u16::MAX;

/// [`Event::stack`]: not asked for, or the table had no room for it.
pub const STACK_NONE: u32 = u32::MAX;
/// The most frames of a call chain (`kernel.perf_event_max_stack`).
pub const STACK_DEPTH: usize = 127;

/// The fixed part of an event, one cache line long; `header_length` bytes of the packet follow it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Event {
    /// `CLOCK_MONOTONIC`, ns.
    pub time_ns: u64,
    /// Its counter.
    pub key: CounterKey,
    /// How many drops of its counter (on its CPU) it stands for: itself and those skipped before it, as far as they fit.
    pub weight: u32,
    /// Bytes from the network header on; `skb->len` where there is none.
    pub length: u32,
    /// `skb->data_len`: bytes outside of the linear part.
    pub data_length: u32,
    /// CPU number.
    pub cpu: u16,
    /// Bytes of the packet that follow.
    pub header_length: u16,
    /// Where in these bytes the network header starts, or [`OFFSET_NONE`].
    pub network_offset: u16,
    /// `skb->vlan_tci`.
    pub vlan_tci: u16,
    /// `skb->vlan_proto` in host byte order; 0 when there is no tag in the metadata.
    pub vlan_protocol: u16,
    /// `skb_shared_info.gso_size`.
    pub gso_size: u16,
    /// `skb_shared_info.gso_segs`.
    pub gso_segments: u16,
    /// [`HEADER_AT_LINK`], [`HEADER_AT_NETWORK`] or [`HEADER_NONE`].
    pub header_at: u8,
    /// [`crate::SOCKET_NONE`], or whose [`crate::Extra`] tells of; with [`crate::WITH_TASK`] it tells of the task.
    pub socket: u8,
    /// Number of the call chain in the table of stacks; [`STACK_NONE`] without.
    pub stack: u32,
}
