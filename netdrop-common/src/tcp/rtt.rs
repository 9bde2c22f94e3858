//! Round-trip times, counted in the kernel.

/// Buckets of a histogram: four to each power of two, see [`rtt_bucket`].
pub const RTT_BUCKETS: usize = 111;

/// [`RttKey::what`]: the smoothed round-trip time, as it was when each segment came in (`srtt_us`).
pub const SRTT: u8 = 0;
/// The round-trip time that an acknowledgement told: each of the segment delivered last by an acknowledgement of new data (`rack.rtt_us`).
pub const SAMPLE: u8 = 1;

/// What histograms are kept by: bits of [`crate::tcp::TcpSettings::rtt_by`]. What isn't asked for is zero in the key.
pub mod by {
    /// Remote address.
    pub const REMOTE: u32 = 1;
    /// Local address.
    pub const LOCAL: u32 = 1 << 1;
    /// Local port.
    pub const LOCAL_PORT: u32 = 1 << 2;
    /// Remote port.
    pub const REMOTE_PORT: u32 = 1 << 3;
    /// The route's device and the network namespace.
    pub const DEVICE: u32 = 1 << 4;
    /// The route's gateway, and its device.
    pub const ROUTE: u32 = 1 << 5;
    /// The socket's inode, by which user space finds the process, and its cgroup.
    pub const OWNER: u32 = 1 << 6;
    /// The network namespace.
    pub const NETNS: u32 = 1 << 7;
    /// The socket's cgroup.
    pub const CGROUP: u32 = 1 << 8;
}

/// Whose histogram it is.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct RttKey {
    /// Local address in network byte order, an IPv4 address in the first four bytes.
    pub local: [u8; 16],
    /// Remote address, likewise.
    pub remote: [u8; 16],
    /// The route's gateway, likewise; zeros where the destination is on the link.
    pub gateway: [u8; 16],
    /// Inode number of the socket.
    pub inode: u64,
    /// Id of its cgroup (v2).
    pub cgroup: u64,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Index of the route's device.
    pub ifindex: u32,
    /// `AF_INET` or `AF_INET6`; 0 when no address is asked for.
    pub family: u16,
    /// `AF_*` of the gateway; 0 without one.
    pub gateway_family: u16,
    /// Local port.
    pub local_port: u16,
    /// Remote port.
    pub remote_port: u16,
    /// Who counts: each CPU has keys of its own, so that none waits for another.
    pub cpu: u32,
    /// [`SRTT`] or [`SAMPLE`].
    pub what: u8,
    /// 1 for the one of all others, which found no room.
    pub others: u8,
    /// Zero.
    pub reserved: [u8; 2],
}

/// A histogram.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RttHistogram {
    /// Sum of all times, µs.
    pub sum_us: u64,
    /// How many were in each bucket.
    pub buckets: [u64; RTT_BUCKETS],
}

/// The bucket of a time in µs: 0 to 3 µs have one each; beyond that each power of two is cut into four. So a bucket's ends are at
/// most 25 % apart, and its middle is at most 12.5 % off any time in it.
#[expect(clippy::inline_always, reason = "a function of its own would be a call in the program")]
#[inline(always)]
pub fn rtt_bucket(us: u32) -> usize {
    if us < 4 {
        return us as usize;
    }
    // The highest bit's number, without an instruction that BPF lacks, and without branches.
    let mut octave = 0;
    let mut rest = us;
    let mut step = 16;
    while step > 0 {
        let is_above = u32::from(rest >> step != 0) * step;
        octave += is_above;
        rest >>= is_above;
        step /= 2;
    }
    let bucket = (octave * 4 + (us >> (octave - 2) & 3) - 4) as usize;
    if bucket < RTT_BUCKETS { bucket } else { RTT_BUCKETS - 1 }
}

/// The least time of a bucket, µs; of the one past the last, the end of the last.
pub fn rtt_bucket_start(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 4 {
        return bucket;
    }
    let octave = bucket / 4 + 1;
    (4 + bucket % 4) << (octave - 2)
}
