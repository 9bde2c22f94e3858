//! An event, from its count to its details in the ring buffer.

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    helpers::generated::{bpf_ktime_get_ns, bpf_ringbuf_reserve, bpf_ringbuf_submit},
    macros::map,
    maps::RingBuf,
};
use netdrop_common::{
    SOCKET_FULL,
    tcp::{FLAG_WITHOUT_SOCKET, TcpConnection, TcpEvent},
    tcp_state,
};

use crate::{
    constants::offset as shared_offset,
    count::{self, Counted, Cpu},
    ends::{self, Ends},
    filter,
    member::{member, offset, pointer, shared},
    numbers, socket,
};

/// One ring for all CPUs; user space sets its size. Nobody is woken: who reads it looks from time to time.
#[map]
static TCP_EVENTS: RingBuf = RingBuf::with_byte_size(4096, 0);

/// What an event is about.
#[derive(Clone, Copy)]
pub struct Subject {
    /// The socket, whole or small; null without one.
    pub sk: *const u8,
    /// Whether it has all the members of a `tcp_sock`.
    pub is_whole: bool,
    /// The packet that tells the addresses, where the socket doesn't; else null.
    pub packet: *const u8,
    /// What is known of the connection's past, or null.
    pub connection: *mut TcpConnection,
    /// Whether the other side sent it.
    pub is_remote: bool,
}

impl Subject {
    /// A connection's own socket.
    #[inline(always)]
    pub unsafe fn whole(sk: *const u8, connection: *mut TcpConnection) -> Self {
        Self { sk, is_whole: true, packet: core::ptr::null(), connection, is_remote: false }
    }

    #[inline(always)]
    pub unsafe fn ends(&self) -> Ends {
        unsafe {
            if self.packet.is_null() {
                Ends::of_socket(self.sk, self.is_whole)
            } else {
                Ends::of_packet(self.packet)
            }
        }
    }

    /// The route's device; of a packet that no socket waits for the one that it came in by, as the route to this host itself is the
    /// loopback's. Null when unknown.
    #[inline(always)]
    pub unsafe fn device(&self) -> *const u8 {
        const SKB_DST_PTRMASK: u64 = !1;
        unsafe {
            let dst = if self.is_whole && self.packet.is_null() {
                pointer(self.sk, offset!(sk_dst))
            } else if self.packet.is_null() {
                return core::ptr::null();
            } else {
                // Not there any more once a socket has it (`tcp_v4_rcv`).
                let device = pointer(self.packet, shared_offset!(skb_dev));
                if !device.is_null() {
                    return device;
                }
                let refdst: u64 = shared!(self.packet, skb_refdst);
                (refdst & SKB_DST_PTRMASK) as *const u8
            };
            pointer(dst, shared_offset!(dst_dev))
        }
    }

    /// Its index; of a packet that a listener has taken that of where it came in, which is all that is left of it. 0 when unknown.
    #[inline(always)]
    unsafe fn ifindex(&self, device: *const u8) -> u32 {
        unsafe {
            let came_in: u32 = if self.packet.is_null() { 0 } else { shared!(self.packet, skb_iif) };
            if came_in == 0 { shared!(device, dev_ifindex) } else { came_in }
        }
    }

    /// The network namespace's inode; 0 when unknown.
    #[inline(always)]
    pub unsafe fn netns(&self, device: *const u8) -> u32 {
        unsafe {
            let net = if self.sk.is_null() {
                pointer(device, shared_offset!(dev_net))
            } else {
                pointer(self.sk, shared_offset!(sk_net))
            };
            shared!(net, net_inum)
        }
    }

    /// The socket's inode, also that of one that no process holds any more.
    #[inline(always)]
    pub unsafe fn inode(&self) -> u64 {
        unsafe {
            let inode = if self.is_whole { socket::inode(self.sk) } else { 0 };
            if inode == 0 && !self.connection.is_null() { (*self.connection).inode } else { inode }
        }
    }
}

/// Counts an event and, where its kind is wanted and that is due, tells its details. `fill` adds what is its kind's own. Gives whether it
/// passed the filter.
#[inline(always)]
pub unsafe fn tell(
    cpu: &Cpu,
    subject: &Subject,
    counted: &Counted,
    wanted: bool,
    fill: impl FnOnce(*mut TcpEvent),
) -> bool {
    if !wanted {
        let passes = unsafe { filter::passes(subject) };
        if passes {
            cpu.count(counted);
        }
        return passes;
    }
    cpu.account(|accounts| unsafe { &raw mut (*accounts).seen });
    if !unsafe { filter::passes(subject) } {
        cpu.account(|accounts| unsafe { &raw mut (*accounts).filtered });
        return false;
    }
    let total = cpu.count(counted);
    let Some(due) = (unsafe { count::due(total) }) else {
        cpu.account(|accounts| unsafe { &raw mut (*accounts).sampled_out });
        return true;
    };
    unsafe {
        let event = reserve();
        if event.is_null() {
            count::put_back(total, &due);
            cpu.account(|accounts| &raw mut (*accounts).ring_full);
            return true;
        }
        describe(event, subject);
        (*event).weight = due.weight;
        (*event).cpu = cpu.number as u16;
        (*event).kind = counted.kind;
        (*event).detail = counted.detail;
        fill(event);
        bpf_ringbuf_submit(event.cast(), BPF_RB_NO_WAKEUP.into());
        cpu.account(|accounts| &raw mut (*accounts).detailed);
    }
    true
}

/// Room for an event, all zeros; null when the ring is full.
#[inline(always)]
unsafe fn reserve() -> *mut TcpEvent {
    const WORDS: usize = size_of::<TcpEvent>() / size_of::<u64>();
    unsafe {
        let map = (&raw const TCP_EVENTS).cast_mut().cast();
        let event = bpf_ringbuf_reserve(map, size_of::<TcpEvent>() as u64, 0);
        if !event.is_null() {
            for word in 0..WORDS {
                event.cast::<u64>().add(word).write_volatile(0);
            }
        }
        event.cast()
    }
}

/// What all kinds have.
#[inline(always)]
unsafe fn describe(event: *mut TcpEvent, subject: &Subject) {
    unsafe {
        (*event).time_ns = bpf_ktime_get_ns();
        let device = subject.device();
        (*event).netns = subject.netns(device);
        (*event).ifindex = subject.ifindex(device);
        if !subject.sk.is_null() {
            socket::describe(&raw mut (*event).socket, subject.sk);
            (*event).old_state = (*event).socket.state;
            (*event).new_state = (*event).socket.state;
        }
        if subject.is_whole {
            (*event).socket.local_port = ends::local_port(subject.sk, true);
            (*event).socket.inode = subject.inode();
            let error: u32 = member!(subject.sk, sk_err);
            (*event).error = error;
            if (*event).socket.state != tcp_state::LISTEN {
                numbers::read(&raw mut (*event).numbers, subject.sk);
            }
        }
        if !subject.packet.is_null() {
            let ends = Ends::of_packet(subject.packet);
            (*event).socket.family = ends.family;
            (*event).socket.local_port = ends.local_port;
            (*event).socket.remote_port = ends.remote_port;
            (&raw mut (*event).socket.local).cast::<[u32; 4]>().write_unaligned(ends.local);
            (&raw mut (*event).socket.remote).cast::<[u32; 4]>().write_unaligned(ends.remote);
        }
        if subject.sk.is_null() {
            (*event).flags = FLAG_WITHOUT_SOCKET;
            (*event).socket.kind = SOCKET_FULL;
        }
        past(event, subject.connection);
    }
}

/// What is known of the connection's past.
#[inline(always)]
unsafe fn past(event: *mut TcpEvent, connection: *const TcpConnection) {
    if connection.is_null() {
        return;
    }
    unsafe {
        (*event).started_ns = (*connection).started_ns;
        (*event).established_ns = (*connection).established_ns;
        (*event).since_ns = (*connection).since_ns;
        (*event).flags |= (*connection).flags;
        (*event).task_at = (*connection).task_at;
        (*event).task = (*connection).task;
    }
}
