//! The ring buffers for details: one for each CPU, with one writer and one reader.
//!
//! A ring is a [`RingHeader`] and behind it a power of two of records of the same size. Positions count records and never
//! wrap: a record stands at `position & mask`.

/// What the two sides tell each other. Each has a cache line of its own to write to.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RingHeader {
    /// Records written: the program's.
    pub head: u64,
    /// The reader's position when the program last looked: it looks again only when the ring seems full.
    pub tail_seen: u64,
    /// Fills the cache line.
    pub reserved: [u64; 6],
    /// Records read: user space's.
    pub tail: u64,
    /// Fills the cache line.
    pub reserved_too: [u64; 7],
}
