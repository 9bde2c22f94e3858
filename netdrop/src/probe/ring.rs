//! Reading a BPF ring buffer (kernel/bpf/ringbuf.c; Documentation/bpf/ringbuf.rst).
//!
//! The consumer's position is told to the kernel in batches: it shares a cache line with every CPU that drops packets, and
//! each store to it makes their next reservation wait for that line.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use aya::maps::MapData;
use memmap2::{Mmap, MmapOptions, MmapRaw};

/// Set in a record's length while it's being written.
const BUSY: u32 = 1 << 31;
/// Set when it was given up.
const DISCARD: u32 = 1 << 30;
/// Length and page offset, in front of each record.
const HEADER_BYTES: usize = 8;
/// Records between two tellings of the position, unless the ring is empty before.
const BATCH: u32 = 64;

/// The one reader of a ring buffer.
#[derive(Debug)]
pub struct Ring {
    /// Keeps the map alive.
    _map: MapData,
    /// The consumer's position, which the kernel reads.
    consumer: MmapRaw,
    /// The producer's position, and behind its page the data, twice in a row so that no record is ever cut.
    producer: Mmap,
    page: usize,
    mask: usize,
    /// How far this reader has come.
    position: usize,
    /// How far the producer was when it was last looked at.
    produced: usize,
    /// Records read since the kernel was told.
    untold: u32,
}

impl Ring {
    /// Maps the ring buffer of `bytes` data bytes.
    ///
    /// # Errors
    /// When it can't be mapped.
    pub(super) fn map(map: MapData, bytes: u32) -> io::Result<Self> {
        let fd = map.fd().as_fd().as_raw_fd();
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        let page = page_size();
        let consumer = MmapOptions::new().len(page).map_raw(fd)?;
        // SAFETY: the kernel keeps the memory as long as the mapping; what CPUs write there is read atomically,
        // and a record only after its length says that it's whole and before its place is given back.
        let producer = unsafe { MmapOptions::new().offset(page as u64).len(page + 2 * bytes).map(fd)? };
        let mut ring = Self {
            _map: map,
            consumer,
            producer,
            page,
            mask: bytes - 1,
            position: 0,
            produced: 0,
            untold: 0,
        };
        ring.position = ring.consumer_position().load(Ordering::Acquire);
        ring.produced = ring.position;
        Ok(ring)
    }

    /// The next record; `None` when there is none that is whole.
    #[expect(
        clippy::should_implement_trait,
        reason = "an item borrows from the ring, which an Iterator's can't"
    )]
    pub fn next(&mut self) -> Option<&[u8]> {
        if self.untold >= BATCH {
            self.tell();
        }
        let (start, length) = loop {
            let Some(header) = self.header() else {
                self.tell();
                return None;
            };
            let length = usize::try_from(header & !(BUSY | DISCARD)).ok()?;
            let start = self.page + (self.position & self.mask) + HEADER_BYTES;
            self.position = self.position.wrapping_add((length + HEADER_BYTES).next_multiple_of(8));
            self.untold += 1;
            if header & DISCARD == 0 {
                break (start, length);
            }
        };
        self.producer.get(start..start + length)
    }

    fn header(&mut self) -> Option<u32> {
        if self.position == self.produced {
            self.produced = self.word::<AtomicUsize>(0).load(Ordering::Acquire);
            if self.position == self.produced {
                return None;
            }
        }
        let header = self.word::<AtomicU32>(self.page + (self.position & self.mask)).load(Ordering::Acquire);
        (header & BUSY == 0).then_some(header)
    }

    /// Gives the places of what was read back to the kernel.
    fn tell(&mut self) {
        if std::mem::take(&mut self.untold) == 0 {
            return;
        }
        self.consumer_position().store(self.position, Ordering::Release);
    }

    fn consumer_position(&self) -> &AtomicUsize {
        let address = self.consumer.as_mut_ptr().expose_provenance();
        // SAFETY: the mapping is a page, writable, aligned, and lives as long as `self`; the kernel reads the word
        // atomically.
        unsafe { &*std::ptr::with_exposed_provenance::<AtomicUsize>(address) }
    }

    /// The atomic at `offset`, a multiple of its size.
    fn word<T>(&self, offset: usize) -> &T {
        assert!(offset + size_of::<T>() <= self.producer.len() && offset.is_multiple_of(align_of::<T>()));
        let address = self.producer.as_ptr().expose_provenance() + offset;
        // SAFETY: it lies within the mapping, is aligned, and is an atomic integer, for which any bits are valid.
        unsafe { &*std::ptr::with_exposed_provenance::<T>(address) }
    }
}

fn page_size() -> usize {
    // SAFETY: the call takes a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}
