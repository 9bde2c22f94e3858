//! Exact counting. Each CPU has slots of its own in front of a table that all share; whatever the place,
//! a counter is written by one CPU alone.

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_NOEXIST},
    helpers::generated::{bpf_get_smp_processor_id, bpf_map_lookup_elem, bpf_map_update_elem},
    macros::map,
    maps::{Array, HashMap},
};
use netdrop_common::{Accounts, Counter, CounterKey, CpuState, OverflowKey, SLOTS};

use crate::constants::guarded;

/// One element a CPU; user space sets the number and reads it through a mapping.
#[map]
static CPUS: Array<CpuState> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Counters that found their slots taken; all counters on kernels that may run the program inside itself.
#[map]
static COUNTERS: HashMap<OverflowKey, Counter> = HashMap::with_max_entries(16384, 0);

/// This CPU and its state.
pub struct Cpu {
    pub number: u32,
    state: *mut CpuState,
}

impl Cpu {
    /// The CPU that runs the program, until it ends.
    #[inline(always)]
    pub fn this() -> Option<Self> {
        let number = unsafe { bpf_get_smp_processor_id() };
        Some(Self { number, state: CPUS.get_ptr_mut(number)? })
    }

    /// Adds one to an account.
    #[inline(always)]
    pub fn account(&self, account: impl FnOnce(*mut Accounts) -> *mut u64) {
        unsafe { add(account(&raw mut (*self.state).accounts), 1) }
    }

    /// Counts a drop, and gives its counter; `None` when the table is full.
    #[inline(always)]
    pub fn count(&self, key: &CounterKey, length: u32) -> Option<*mut Counter> {
        let counter = self.counter(key)?;
        unsafe {
            add(&raw mut (*counter).packets, 1);
            add(&raw mut (*counter).bytes, length.into());
        }
        Some(counter)
    }

    #[inline(always)]
    fn counter(&self, key: &CounterKey) -> Option<*mut Counter> {
        if guarded() {
            let first = hash(key);
            if let Some(counter) = self.slot(first, key) {
                return Some(counter);
            }
            if let Some(counter) = self.slot(first ^ 1, key) {
                return Some(counter);
            }
        }
        self.in_table(key)
    }

    /// The slot, if it is the key's already or free to take.
    #[inline(always)]
    fn slot(&self, index: usize, key: &CounterKey) -> Option<*mut Counter> {
        let index = index & (SLOTS - 1);
        let counter = unsafe { (&raw mut (*self.state).slots).cast::<Counter>().add(index) };
        let words = unsafe { counter.cast::<[u64; 3]>().read_volatile() };
        let wanted = words_of(key);
        if words[0] == wanted[0] && words[1] == wanted[1] && words[2] == wanted[2] {
            return Some(counter);
        }
        if words[0] != 0 {
            return None;
        }
        // The site goes last: user space takes a slot without one as free.
        unsafe {
            let place = counter.cast::<u64>();
            place.add(1).write_volatile(wanted[1]);
            place.add(2).write_volatile(wanted[2]);
            place.write_volatile(wanted[0]);
        }
        Some(counter)
    }

    #[inline(always)]
    fn in_table(&self, key: &CounterKey) -> Option<*mut Counter> {
        let key = OverflowKey { key: *key, cpu: self.number, reserved: 0 };
        let map = (&raw const COUNTERS).cast_mut().cast();
        let key_pointer = (&raw const key).cast_mut().cast();
        unsafe {
            let found = bpf_map_lookup_elem(map, key_pointer);
            if !found.is_null() {
                return Some(found.cast());
            }
            let fresh = Counter { key: key.key, ..Counter::EMPTY };
            // A nested run may have been first: then the lookup finds its entry.
            bpf_map_update_elem(map, key_pointer, (&raw const fresh).cast_mut().cast(), BPF_NOEXIST.into());
            let found = bpf_map_lookup_elem(map, key_pointer);
            if found.is_null() { None } else { Some(found.cast()) }
        }
    }
}

/// Adds to a number that only this CPU writes; atomically where the program may be interrupted by itself.
#[inline(always)]
pub unsafe fn add(number: *mut u64, amount: u64) {
    unsafe {
        if guarded() {
            number.write(number.read() + amount);
        } else {
            // BPF_ATOMIC without a fetch: all that kernels before 5.12 have.
            core::arch::asm!("lock *(u64 *)({number} + 0) += {amount}", number = in(reg) number, amount = in(reg) amount);
        }
    }
}

#[inline(always)]
fn words_of(key: &CounterKey) -> [u64; 3] {
    [
        key.site,
        u64::from(key.netns) | u64::from(key.ifindex) << 32,
        u64::from(key.reason)
            | u64::from(key.ethertype) << 32
            | u64::from(key.ip_protocol) << 48
            | u64::from(key.flags) << 56,
    ]
}

/// Multiplicative hashing (Knuth, TAOCP 6.4): the upper bits of the product are the good ones.
#[inline(always)]
fn hash(key: &CounterKey) -> usize {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let [site, place, kind] = words_of(key);
    let mixed = (site ^ place.rotate_left(21) ^ kind.rotate_left(42)).wrapping_mul(GOLDEN);
    (mixed >> (64 - SLOTS.trailing_zeros())) as usize
}
