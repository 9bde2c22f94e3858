//! Reading the rings (netdrop-common's `ring`): one a CPU, merged by time.
//!
//! A ring's position is told to the program in batches: it shares a cache line with the CPU that drops packets, and each
//! store to it makes that CPU's next look at it wait for the line.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicU64, Ordering};

use aya::maps::MapData;
use memmap2::{MmapOptions, MmapRaw};
use netdrop_common::RingHeader;

/// Records of one ring between two tellings of its position, unless all are empty before.
const BATCH: u64 = 64;

/// How large the rings shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingSize {
    /// Bytes of each.
    pub each: u32,
    /// Bytes of all together, which go first: a machine may have hundreds of CPUs.
    pub together: u32,
}

/// What the rings look like in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// How many there are.
    pub rings: u32,
    /// Bytes of a record, a multiple of 8.
    pub record_bytes: u32,
    /// Records of a ring, a power of two.
    pub records: u32,
}

impl Geometry {
    /// As many records as fit the size, and one at the least.
    pub fn new(size: RingSize, record_bytes: u32, rings: u32) -> Self {
        let bytes = size.each.min(size.together / rings.max(1));
        let records = 1 << (bytes / record_bytes).max(1).ilog2();
        Self { rings, record_bytes, records }
    }

    /// Bytes of one ring with its header.
    pub fn ring_bytes(&self) -> u32 {
        HEADER + self.records * self.record_bytes
    }
}

const HEADER: u32 = 128;
const _: () = assert!(size_of::<RingHeader>() == HEADER as usize);

/// The one reader of all rings.
#[derive(Debug)]
pub struct Rings {
    /// Keeps the map alive.
    _map: Option<MapData>,
    mapping: MmapRaw,
    geometry: Geometry,
    lanes: Vec<Lane>,
    /// The lane that is read, and up to which time: there another lane has an earlier record.
    current: usize,
    until: u64,
}

/// How far one ring was read.
#[derive(Debug, Clone, Copy, Default)]
struct Lane {
    /// Records read.
    position: u64,
    /// Records written when it was last looked at.
    end: u64,
    /// The position that the program was told.
    told: u64,
}

impl Rings {
    /// Maps the rings.
    ///
    /// # Errors
    /// When they can't be mapped.
    pub(super) fn map(map: MapData, geometry: Geometry) -> io::Result<Self> {
        let bytes = geometry.ring_bytes() as usize * geometry.rings as usize;
        let mapping = MmapOptions::new().len(bytes).map_raw(map.fd().as_fd().as_raw_fd())?;
        Ok(Self::over(mapping, geometry, Some(map)))
    }

    fn over(mapping: MmapRaw, geometry: Geometry, map: Option<MapData>) -> Self {
        assert!(geometry.ring_bytes() as usize * geometry.rings as usize <= mapping.len());
        let lanes = vec![Lane::default(); geometry.rings as usize];
        Self { _map: map, mapping, geometry, lanes, current: 0, until: 0 }
    }

    /// The next record, in the order of their times as far as they had been written at the last look; `None` when all
    /// rings are empty.
    #[expect(
        clippy::should_implement_trait,
        reason = "an item borrows from the rings, which an Iterator's can't"
    )]
    pub fn next(&mut self) -> Option<&[u8]> {
        if self.time(self.current).is_none_or(|time| time > self.until) && !self.choose() {
            self.look();
            if !self.choose() {
                return None;
            }
        }
        let lane = &mut self.lanes[self.current];
        let position = lane.position;
        lane.position += 1;
        // The program may write over a record once it was told; the one that is handed out now is told later.
        if position - lane.told >= BATCH {
            lane.told = position;
            self.tail(self.current).store(position, Ordering::Release);
        }
        Some(self.record(self.current, position))
    }

    /// Turns to the lane whose next record is the earliest; false when all were read.
    fn choose(&mut self) -> bool {
        let times = || (0..self.lanes.len()).filter_map(|lane| Some((self.time(lane)?, lane)));
        let Some((_, first)) = times().min() else { return false };
        self.until =
            times().filter(|(_, lane)| *lane != first).map(|(time, _)| time).min().unwrap_or(u64::MAX);
        self.current = first;
        true
    }

    /// Tells the program what was read, and looks how far it has come.
    fn look(&mut self) {
        for ring in 0..self.lanes.len() {
            let position = self.lanes[ring].position;
            if self.lanes[ring].told != position {
                self.lanes[ring].told = position;
                self.tail(ring).store(position, Ordering::Release);
            }
            self.lanes[ring].end = self.head(ring).load(Ordering::Acquire);
        }
    }

    /// When the lane's next record was made; `None` when it was read to its end.
    fn time(&self, lane: usize) -> Option<u64> {
        let Lane { position, end, .. } = *self.lanes.get(lane)?;
        if position == end {
            return None;
        }
        let time = self.record(lane, position).first_chunk()?;
        Some(u64::from_ne_bytes(*time))
    }

    fn record(&self, ring: usize, position: u64) -> &[u8] {
        let slot = usize::try_from(position & u64::from(self.geometry.records - 1)).unwrap_or(0);
        let bytes = self.geometry.record_bytes as usize;
        let start = HEADER as usize + slot * bytes;
        let address = self.address(ring, start, bytes);
        // SAFETY: the bytes lie within the mapping; the program has submitted the record and doesn't write to it again
        // before the position is told, which `next` does only when the borrow has ended.
        unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(address), bytes) }
    }

    fn head(&self, ring: usize) -> &AtomicU64 {
        self.word(ring, std::mem::offset_of!(RingHeader, head))
    }

    fn tail(&self, ring: usize) -> &AtomicU64 {
        self.word(ring, std::mem::offset_of!(RingHeader, tail))
    }

    fn word(&self, ring: usize, offset: usize) -> &AtomicU64 {
        let address = self.address(ring, offset, size_of::<u64>());
        // SAFETY: the word lies within the mapping, which is writable, and is aligned; any bits are valid.
        unsafe { &*std::ptr::with_exposed_provenance::<AtomicU64>(address) }
    }

    /// The address of bytes in a ring.
    fn address(&self, ring: usize, offset: usize, bytes: usize) -> usize {
        let start = ring * self.geometry.ring_bytes() as usize + offset;
        assert!(start + bytes <= self.mapping.len());
        self.mapping.as_mut_ptr().expose_provenance() + start
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RECORD: u32 = 16;

    /// Rings in plain memory, written by a stand-in for the program.
    struct Bench {
        rings: Rings,
        written: Vec<u64>,
        refused: u64,
    }

    impl Bench {
        fn new(rings: u32, records: u32) -> Self {
            let geometry = Geometry { rings, record_bytes: RECORD, records };
            let bytes = geometry.ring_bytes() as usize * rings as usize;
            let mapping = memmap2::MmapMut::map_anon(bytes).unwrap();
            Self {
                rings: Rings::over(mapping.into(), geometry, None),
                written: vec![0; rings as usize],
                refused: 0,
            }
        }

        /// What netdrop-ebpf's `ring` does.
        fn write(&mut self, ring: usize, time: u64) -> bool {
            let head = self.written[ring];
            if head - self.rings.tail(ring).load(Ordering::Acquire) >= u64::from(self.rings.geometry.records)
            {
                self.refused += 1;
                return false;
            }
            let slot = usize::try_from(head).unwrap() & (self.rings.geometry.records as usize - 1);
            let at = self.rings.address(ring, HEADER as usize + slot * RECORD as usize, RECORD as usize);
            let words = std::ptr::with_exposed_provenance_mut::<u64>(at);
            // SAFETY: the record lies within the mapping, is aligned, and nobody reads it before it is submitted.
            unsafe {
                words.write(time);
                words.add(1).write(head);
            }
            self.written[ring] += 1;
            self.rings.head(ring).store(self.written[ring], Ordering::Release);
            true
        }

        fn read(&mut self) -> Option<u64> {
            self.rings.next().map(|record| u64::from_ne_bytes(*record.first_chunk().unwrap()))
        }
    }

    #[test]
    fn sizes_are_powers_of_two_that_fit() {
        let size = |each, together| RingSize { each, together };
        let records = |size, rings| Geometry::new(size, 176, rings).records;
        assert_eq!(records(size(1 << 20, u32::MAX), 2), 4096);
        assert_eq!(records(size(1 << 20, 16 << 20), 16), 4096);
        assert_eq!(records(size(1 << 20, 16 << 20), 128), 512);
        assert_eq!(records(size(4096, u32::MAX), 1), 16);
        assert_eq!(records(size(1, 1), 1000), 1);
    }

    #[test]
    fn records_of_several_cpus_come_in_the_order_of_time() {
        let mut bench = Bench::new(3, 8);
        for (ring, time) in [(0, 1), (0, 5), (0, 6), (1, 2), (1, 3), (1, 7), (2, 4)] {
            assert!(bench.write(ring, time));
        }
        let read: Vec<_> = std::iter::from_fn(|| bench.read()).collect();
        assert_eq!(read, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(bench.read(), None);
    }

    #[test]
    fn a_full_ring_refuses_until_its_reader_has_come_further() {
        let mut bench = Bench::new(1, 4);
        let written = (0..6).filter(|time| bench.write(0, *time)).count();
        assert_eq!((written, bench.refused), (4, 2));
        assert_eq!(bench.read(), Some(0));
        assert!(!bench.write(0, 6), "the record that is being looked at is not written over");
        while bench.read().is_some() {}
        assert!(bench.write(0, 7));
        assert_eq!(bench.read(), Some(7));
    }

    proptest! {
        /// However writes and reads alternate: what was written is read once, each ring's in its order, and nothing else.
        #[test]
        fn nothing_is_lost_or_read_twice(steps in prop::collection::vec((0_usize..4, 0_u32..40), 1..400)) {
            let mut bench = Bench::new(3, 16);
            let (mut time, mut wrote, mut read) = (0, Vec::new(), Vec::new());
            for (ring, reads) in steps {
                time += 1;
                if ring < 3 && bench.write(ring, time) {
                    wrote.push(time);
                }
                if ring == 3 {
                    read.extend((0..reads).map_while(|_| bench.read()));
                }
            }
            read.extend(std::iter::from_fn(|| bench.read()));
            let mut sorted = read.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, wrote);
        }
    }
}
