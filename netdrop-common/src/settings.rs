//! How the program shall work.

/// Number of a helper that doesn't exist: the loader makes calls to it calls to the kernel's `bpf_rdonly_cast`.
pub const RDONLY_CAST: i32 = 0x7fff_0001;

/// The rate that means: details for every drop.
pub const RATE_ALL: u32 = u32::MAX;

/// Features and limits, patched in before load as a read-only constant: what is off is pruned by the verifier.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How many arguments the kernel's `kfree_skb` tracepoint has: 2 before 5.17, 3 with the reason, 4 with `rx_sk`.
    pub arguments: u32,
    /// 1 where the kernel never runs the program inside itself on one CPU (6.1 on): then counters need no atomics.
    pub guarded: u32,
    /// Details per counter, CPU and second: 0 for counts alone, [`RATE_ALL`] for every drop.
    pub rate: u32,
    /// How many bytes of the packet go into an event.
    pub snaplen: u32,
    /// BTF type id of `struct iphdr`, for `bpf_rdonly_cast`; 0 where the kernel doesn't offer it (before 6.2).
    pub iphdr_type_id: u32,
    /// BTF type id of `struct ipv6hdr`, likewise.
    pub ipv6hdr_type_id: u32,
    /// Nanoseconds that one detail costs: 1e9 / rate.
    pub interval_ns: u64,
    /// Nanoseconds of credit that a quiet counter saves up: its burst.
    pub burst_ns: u64,
}
