//! How the program shall work.

/// The rate that means: details for every drop.
pub const RATE_ALL: u32 = i32::MAX.cast_unsigned();

/// Features and limits, patched in before load: what is off is pruned by the verifier. All below 2³¹.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// How many arguments the kernel's `kfree_skb` tracepoint has: 2 before 5.17, 3 with the reason, 4 with `rx_sk`.
    pub arguments: u32,
    /// How deep the program may be interrupted by itself on one CPU: 1 where the kernel doesn't let that happen (6.1 on).
    pub levels: u32,
    /// Details per counter, CPU and second: 0 for counts alone, [`RATE_ALL`] for every drop.
    pub rate: u32,
    /// Nanoseconds that one detail costs: 1e9 / rate.
    pub interval_ns: u32,
    /// Nanoseconds of credit that a quiet counter saves up: its burst.
    pub burst_ns: u32,
    /// How many bytes of the packet go into an event.
    pub snaplen: u32,
    /// Bytes of a record in a ring: an event and the bytes of the packet behind it.
    pub record_bytes: u32,
    /// Records of a ring, less one; they are a power of two.
    pub ring_mask: u32,
    /// 1 when there is any rule: without, the program asks for nothing else of the filter.
    pub filtered: u32,
    /// Where the last record of a ring starts, in bytes from the first.
    pub ring_last: u32,
    /// 1 when the packet's socket is wanted.
    pub sockets: u32,
    /// 1 when the task on the CPU is wanted.
    pub tasks: u32,
    /// 1 when call chains are wanted.
    pub stacks: u32,
    /// BTF type id of `struct iphdr`, for `bpf_rdonly_cast`; 0 where the kernel doesn't offer it (before 6.2).
    pub iphdr_type_id: u32,
    /// BTF type id of `struct ipv6hdr`, likewise.
    pub ipv6hdr_type_id: u32,
    /// BTF type id of `struct skb_shared_info`, likewise.
    pub shinfo_type_id: u32,
    /// Number of the first [`crate::CpuState`] (and ring) of those that the program for traps writes: one a CPU, behind the
    /// others, as it may come in the middle of the other program.
    pub trap_states: u32,
    /// The number of the reason `QDISC_DROP` where the tracepoint `qdisc_drop` tells a finer one; 0 where it doesn't.
    pub qdisc_drop: u32,
}
