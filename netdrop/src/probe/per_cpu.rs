//! What each CPU counts in a value of its own, in a map that user space has mapped.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd};

use aya::maps::MapData;
use memmap2::{Mmap, MmapOptions};
use netdrop_common::{Plain, bytes_of, read_plain};

/// An array with one `T` a CPU.
#[derive(Debug)]
pub(super) struct PerCpu<T> {
    /// Keeps the map alive.
    _map: MapData,
    mapping: Mmap,
    values: PhantomData<T>,
}

impl<T> PerCpu<T> {
    /// Maps the values of so many CPUs.
    pub(super) fn map(map: MapData, cpus: usize) -> io::Result<Self> {
        let bytes = cpus * size_of::<T>();
        // SAFETY: the kernel keeps the map's memory as long as the mapping; others' writes are why all reads
        // of it are volatile.
        let mapping = unsafe { MmapOptions::new().len(bytes).map(map.fd().as_fd().as_raw_fd()) }?;
        Ok(Self { _map: map, mapping, values: PhantomData })
    }

    /// Where each CPU's value starts.
    pub(super) fn starts(&self) -> impl Iterator<Item = usize> {
        (0..self.mapping.len()).step_by(size_of::<T>())
    }

    /// Reads the `N` words of a `P` at `offset` that a CPU may be writing just now; each by itself is whole.
    pub(super) fn read<P: Plain, const N: usize>(&self, offset: usize) -> P {
        let end = offset + N * size_of::<u64>();
        assert!(end <= self.mapping.len() && offset.is_multiple_of(align_of::<u64>()));
        let start = self.mapping.as_ptr().expose_provenance() + offset;
        let words = std::ptr::with_exposed_provenance::<u64>(start);
        // SAFETY: the words lie within the mapping, which starts at a page, so they are aligned.
        plain(std::array::from_fn::<_, N, _>(|index| unsafe { words.add(index).read_volatile() }))
    }
}

/// A value of its words.
pub(super) fn plain<P: Plain, const N: usize>(words: [u64; N]) -> P {
    read_plain(bytes_of(&words)).expect("N words are the size of P")
}
