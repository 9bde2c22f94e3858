//! The details of a drop into the ring buffer.

use aya_ebpf::{
    EbpfContext,
    helpers::generated::{bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_probe_read_kernel},
};
use netdrop_common::{
    Event, Extra, HEADER_AT_LINK, HEADER_AT_NETWORK, HEADER_NONE, OFFSET_NONE, SNAPLEN_MAX, SOCKET_NONE,
    Task, WITH_TASK,
};

use crate::{
    constants::{is_absent, offset, setting},
    count::Cpu,
    key::Subject,
    memory::{Memory, Typed, cast, load, probe},
    ring,
    sample::Due,
    socket, stack,
};

/// Sends the details; `None` when the ring is full.
#[inline(always)]
pub unsafe fn send<M: Memory>(
    context: &impl EbpfContext,
    subject: &Subject,
    due: &Due,
    cpu: &Cpu,
) -> Option<()> {
    let reserved = ring::reserve(cpu)?;
    unsafe { fill::<M>(context, reserved.record.cast(), subject, due, cpu) };
    reserved.submit();
    Some(())
}

#[inline(always)]
unsafe fn fill<M: Memory>(
    context: &impl EbpfContext,
    event: *mut Event,
    subject: &Subject,
    due: &Due,
    cpu: &Cpu,
) {
    unsafe {
        let skb = subject.drop.skb;
        let (vlan_tci, vlan_protocol) = vlan::<M>(skb);
        let (gso_size, gso_segments) = gso::<M>(skb, subject.network.head);
        let start = Start::find::<M>(subject);
        let stack = stack::number(context, cpu);
        let socket = extra(context, event, subject);
        let header_length = copy(event.add(1).cast(), subject, start.offset);
        event.write(Event {
            time_ns: due.time_ns,
            key: subject.key,
            weight: due.weight,
            length: subject.length,
            data_length: load!(M, skb, skb_data_len),
            cpu: cpu.number as u16,
            header_length: header_length as u16,
            network_offset: start.network_offset,
            vlan_tci,
            vlan_protocol,
            gso_size,
            gso_segments,
            header_at: if header_length == 0 { HEADER_NONE } else { start.at },
            socket,
            stack,
        });
    }
}

/// What is asked for beyond the packet, at the record's end; gives what [`Event::socket`] says of it.
#[inline(always)]
unsafe fn extra(context: &impl EbpfContext, event: *mut Event, subject: &Subject) -> u8 {
    unsafe {
        let end = event.cast::<u8>().add(setting!(record_bytes) as usize);
        let extra = end.sub(size_of::<Extra>()).cast::<Extra>();
        let mut told = SOCKET_NONE;
        if setting!(sockets) != 0 && !subject.drop.is_trapped {
            let (whose, sk) = socket::of(context, subject.drop.skb);
            if whose != SOCKET_NONE {
                socket::describe(&raw mut (*extra).socket, sk);
            }
            told = whose;
        }
        if setting!(tasks) != 0 {
            task(&raw mut (*extra).task);
            told |= WITH_TASK;
        }
        told
    }
}

#[inline(always)]
unsafe fn task(task: *mut Task) {
    unsafe {
        let ids = bpf_get_current_pid_tgid();
        (*task).pid = (ids >> 32) as u32;
        (*task).tid = ids as u32;
        let command = &raw mut (*task).command;
        bpf_get_current_comm(command.cast(), 16);
    }
}

/// Where the copied bytes begin.
struct Start {
    /// From `skb->head`.
    offset: u32,
    at: u8,
    network_offset: u16,
}

impl Start {
    /// The link-layer header if there is one before the network header, else the network header, else `skb->data`.
    #[inline(always)]
    unsafe fn find<M: Memory>(subject: &Subject) -> Self {
        const UNSET: u16 = u16::MAX;
        let skb = subject.drop.skb;
        let network = subject.network.offset;
        let link: u16 = unsafe { load!(M, skb, skb_mac_header) };
        let (has_link, link) = (link != UNSET, u32::from(link));
        if network == 0 {
            let data: u64 = unsafe { load!(M, skb, skb_data) };
            let data = (data - subject.network.head as u64) as u32;
            let offset = if has_link && link < data { link } else { data };
            return Self { offset, at: HEADER_AT_LINK, network_offset: OFFSET_NONE };
        }
        if has_link && link < network && network - link < setting!(snaplen) {
            return Self { offset: link, at: HEADER_AT_LINK, network_offset: (network - link) as u16 };
        }
        Self { offset: network, at: HEADER_AT_NETWORK, network_offset: 0 }
    }
}

/// Copies what the linear part holds from `start` on; gives the number of bytes.
#[inline(always)]
unsafe fn copy(destination: *mut u8, subject: &Subject, start: u32) -> u32 {
    let tail = subject.network.tail;
    if start >= tail {
        return 0;
    }
    let limit = setting!(snaplen);
    let mut length = tail - start;
    if length > limit {
        length = limit;
    }
    if length > SNAPLEN_MAX {
        return 0;
    }
    let source = subject.network.head.wrapping_add(start as usize);
    match unsafe { bpf_probe_read_kernel(destination.cast(), length, source.cast()) } {
        0 => length,
        _ => 0,
    }
}

/// The VLAN tag in the skb's metadata: `(tci, protocol)`, zeros without one.
#[inline(always)]
unsafe fn vlan<M: Memory>(skb: *const u8) -> (u16, u16) {
    unsafe {
        if !has_vlan_tag::<M>(skb) {
            return (0, 0);
        }
        (load!(M, skb, skb_vlan_tci), u16::from_be(load!(M, skb, skb_vlan_proto)))
    }
}

/// `skb_vlan_tag_present` (include/linux/if_vlan.h): a word since 6.2, a bit before.
#[inline(always)]
unsafe fn has_vlan_tag<M: Memory>(skb: *const u8) -> bool {
    unsafe {
        if is_absent(offset!(skb_vlan_all)) {
            let byte: u8 = load!(M, skb, skb_vlan_present);
            return u32::from(byte) & offset!(skb_vlan_present_mask) != 0;
        }
        let tag: u32 = load!(M, skb, skb_vlan_all);
        tag != 0
    }
}

/// `(gso_size, gso_segs)` of `struct skb_shared_info`, which stands at the end of the linear buffer.
#[inline(always)]
unsafe fn gso<M: Memory>(skb: *const u8, head: *const u8) -> (u16, u16) {
    unsafe {
        let end: u32 = load!(M, skb, skb_end);
        let shared_info = head.wrapping_add(end as usize);
        let type_id = setting!(shinfo_type_id);
        if type_id != 0 {
            let shared_info = cast(shared_info, type_id);
            return (load!(Typed, shared_info, shinfo_gso_size), load!(Typed, shared_info, shinfo_gso_segs));
        }
        let size: u16 = probe(shared_info.wrapping_add(offset!(shinfo_gso_size) as usize));
        if size == 0 {
            return (0, 0);
        }
        (size, probe(shared_info.wrapping_add(offset!(shinfo_gso_segs) as usize)))
    }
}
