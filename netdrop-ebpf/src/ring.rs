//! This CPU's ring buffer: one writer, which is the program, and one reader. No helper is called for a record.

use aya_ebpf::{bindings::BPF_F_MMAPABLE, macros::map, maps::Array};
use netdrop_common::RingHeader;

use crate::{constants::setting, count::Cpu};

/// One ring a CPU and level; user space sets their number and size, and reads them through a mapping.
#[map]
static RINGS: Array<RingHeader> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Room for one record, until it is submitted.
pub struct Reserved {
    ring: *mut RingHeader,
    head: u64,
    /// The record's first byte.
    pub record: *mut u8,
}

/// Reserves the next record; `None` when the ring is full.
#[inline(always)]
pub fn reserve(cpu: &Cpu) -> Option<Reserved> {
    let ring = RINGS.get_ptr_mut(cpu.index)?;
    let mask = u64::from(setting!(ring_mask));
    unsafe {
        let head = (*ring).head;
        if head - (*ring).tail_seen > mask {
            (*ring).tail_seen = (&raw const (*ring).tail).read_volatile();
            if head - (*ring).tail_seen > mask {
                return None;
            }
        }
        let at = (head & mask) * u64::from(setting!(record_bytes));
        // Never so; but verifiers before 6.12 lose the product's bounds.
        if at > u64::from(setting!(ring_last)) {
            return None;
        }
        Some(Reserved { ring, head, record: ring.add(1).cast::<u8>().add(at as usize) })
    }
}

impl Reserved {
    /// Gives the record to the reader. Nobody is woken: that would cost this CPU microseconds, and more in a virtual machine.
    ///
    /// The record shall be seen before the position, so that is exchanged, which is a full barrier (5.12 on). Where other
    /// CPUs see stores in their order anyway, the loader makes it a store.
    #[inline(always)]
    pub fn submit(self) {
        unsafe {
            core::arch::asm!(
                "{position} = xchg_64({head} + 0, {position})",
                head = in(reg) &raw mut (*self.ring).head,
                position = inout(reg) self.head + 1 => _,
            );
        }
    }
}
