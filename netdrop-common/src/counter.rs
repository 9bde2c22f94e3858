//! What is counted, and where.

/// [`CounterKey::reason`] on kernels whose tracepoint has none.
pub const REASON_NONE: u32 = u32::MAX;
/// [`CounterKey::flags`]: `ip_protocol` is known.
pub const KEY_HAS_IP_PROTOCOL: u8 = 1;
/// Counters that each CPU keeps at hand before the shared table is asked; a power of two.
pub const SLOTS: usize = 256;

/// What drops are counted by.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct CounterKey {
    /// The tracepoint's `location`; never 0 in a counter that is in use.
    pub site: u64,
    /// Inode number of the network namespace; 0 when unknown.
    pub netns: u32,
    /// Interface index; 0 when there is none.
    pub ifindex: u32,
    /// The tracepoint's `reason`, or [`REASON_NONE`].
    pub reason: u32,
    /// `skb->protocol` in host byte order.
    pub ethertype: u16,
    /// IPv4 protocol or IPv6's next header after the extension headers.
    pub ip_protocol: u8,
    /// [`KEY_HAS_IP_PROTOCOL`] or 0.
    pub flags: u8,
}

/// One counter: written by one CPU alone, one cache line long.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counter {
    /// Whose counter it is; all zero while it's free.
    pub key: CounterKey,
    /// Drops.
    pub packets: u64,
    /// The sum of their lengths, from the network header on.
    pub bytes: u64,
    /// Drops since the last detailed one: what the next event's weight will tell.
    pub skipped: u64,
    /// When the next detail is due, on `CLOCK_MONOTONIC` in ns, if there were no burst.
    pub due_ns: u64,
    /// The jiffy in which a detail was refused last: within it there is no need to look at the clock.
    pub refused_jiffy: u64,
}

impl Counter {
    /// A free one.
    pub const EMPTY: Self = Self {
        key: CounterKey { site: 0, netns: 0, ifindex: 0, reason: 0, ethertype: 0, ip_protocol: 0, flags: 0 },
        packets: 0,
        bytes: 0,
        skipped: 0,
        due_ns: 0,
        refused_jiffy: 0,
    };
}

/// Where each drop went, per CPU. `detailed + sampled_out + ring_full + filtered = seen`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accounts {
    /// Every drop that the program was called for.
    pub seen: u64,
    /// Details submitted to the ring buffer.
    pub detailed: u64,
    /// Counted without details.
    pub sampled_out: u64,
    /// Details refused by a full ring buffer.
    pub ring_full: u64,
    /// Left out by a filter.
    pub filtered: u64,
    /// Not counted in any counter, because the shared table was full.
    pub table_full: u64,
    /// Not seen, because the program was interrupted by itself more often than there are [`CpuState`]s for it.
    pub missed: u64,
    /// Details whose call chain the table of stacks had no room for.
    pub stackless: u64,
}

/// What one CPU writes; one for each level of interruption, where the program may be interrupted by itself.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CpuState {
    /// Its accounts.
    pub accounts: Accounts,
    /// In a CPU's first: how many runs of the program are under way on it.
    pub running: u64,
    /// In a CPU's first: the packet that a queueing discipline is about to free, and why it drops it.
    pub qdisc_skb: u64,
    /// `enum qdisc_drop_reason`.
    pub qdisc_reason: u64,
    /// Fills the cache line.
    pub reserved: [u64; 5],
    /// Its own counters: direct-mapped, taken once and kept.
    pub slots: [Counter; SLOTS],
}

/// Key of the shared table, for counters that found their slots taken. Each entry belongs to one [`CpuState`].
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OverflowKey {
    /// What is counted.
    pub key: CounterKey,
    /// Who counts: the number of its [`CpuState`].
    pub state: u32,
    /// Zero.
    pub reserved: u32,
}
