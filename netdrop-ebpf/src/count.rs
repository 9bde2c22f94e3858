//! Exact counting. Each CPU has slots of its own in front of a table that all share; whatever the place, a counter is
//! written by one CPU alone, and where the program may be interrupted by itself, on one level of interruption.

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_NOEXIST},
    helpers::generated::{bpf_get_smp_processor_id, bpf_map_lookup_elem, bpf_map_update_elem},
    macros::map,
    maps::{Array, HashMap},
};
use netdrop_common::{Accounts, Counter, CounterKey, CpuState, OverflowKey, SLOTS};

use crate::constants::setting;

/// One element a CPU and level; user space sets the number and reads it through a mapping.
#[map]
static CPUS: Array<CpuState> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Counters that found their slots taken.
#[map]
static COUNTERS: HashMap<OverflowKey, Counter> = HashMap::with_max_entries(16384, 0);

/// Slots that a key may stand in, side by side.
const WAYS: usize = 4;

/// This CPU and what the program writes while it runs there.
pub struct Cpu {
    pub number: u32,
    /// Number of the state, and of the ring.
    pub index: u32,
    state: *mut CpuState,
    /// The CPU's first state, and how many runs were under way on it before this one.
    outermost: *mut CpuState,
    level: u64,
}

impl Cpu {
    /// The CPU that runs the program, until [`Cpu::leave`].
    ///
    /// Before 6.1 an interrupt's drop may come in the middle of another run. It gets a state of its own, so that all
    /// else needs no care; it ends before the other goes on.
    #[inline(always)]
    pub fn enter() -> Option<Self> {
        let number = unsafe { bpf_get_smp_processor_id() };
        let levels = setting!(levels);
        if levels == 1 {
            let state = CPUS.get_ptr_mut(number)?;
            return Some(Self { number, index: number, state, outermost: state, level: 0 });
        }
        let outermost = CPUS.get_ptr_mut(number * levels)?;
        unsafe {
            let level = (&raw const (*outermost).running).read_volatile();
            if level >= u64::from(levels) {
                add_atomically(&raw mut (*outermost).accounts.missed, 1);
                return None;
            }
            let index = number * levels + level as u32;
            let state = CPUS.get_ptr_mut(index)?;
            (&raw mut (*outermost).running).write_volatile(level + 1);
            Some(Self { number, index, state, outermost, level })
        }
    }

    /// The CPU that runs the program for traps, which writes a state of its own: it may come in the middle of the other
    /// program, but not of itself, as drivers report with interrupts' bottom halves off (`devlink_trap_report`).
    #[inline(always)]
    pub fn enter_for_trap() -> Option<Self> {
        let number = unsafe { bpf_get_smp_processor_id() };
        let index = setting!(trap_states) + number;
        let state = CPUS.get_ptr_mut(index)?;
        Some(Self { number, index, state, outermost: state, level: 0 })
    }

    /// Keeps a packet's reason for the program that is about to see it freed on this CPU.
    #[inline(always)]
    pub fn keep_qdisc_reason(skb: u64, reason: u32) {
        let first = unsafe { bpf_get_smp_processor_id() } * setting!(levels);
        if let Some(state) = CPUS.get_ptr_mut(first) {
            unsafe {
                (&raw mut (*state).qdisc_reason).write_volatile(reason.into());
                (&raw mut (*state).qdisc_skb).write_volatile(skb);
            }
        }
    }

    /// The reason that was kept for this packet; once.
    #[inline(always)]
    pub fn take_qdisc_reason(&self, skb: u64) -> Option<u32> {
        unsafe {
            if (&raw const (*self.outermost).qdisc_skb).read_volatile() != skb {
                return None;
            }
            (&raw mut (*self.outermost).qdisc_skb).write_volatile(0);
            Some((&raw const (*self.outermost).qdisc_reason).read_volatile() as u32)
        }
    }

    /// Ends the run.
    #[inline(always)]
    pub fn leave(&self) {
        if setting!(levels) != 1 {
            unsafe { (&raw mut (*self.outermost).running).write_volatile(self.level) }
        }
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
        let first = hash(key);
        for way in 0..WAYS {
            if let Some(counter) = self.slot(first ^ way, key) {
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
        let key = OverflowKey { key: *key, state: self.index, reserved: 0 };
        let map = (&raw const COUNTERS).cast_mut().cast();
        let key_pointer = (&raw const key).cast_mut().cast();
        unsafe {
            let found = bpf_map_lookup_elem(map, key_pointer);
            if !found.is_null() {
                return Some(found.cast());
            }
            let fresh = Counter { key: key.key, ..Counter::EMPTY };
            bpf_map_update_elem(map, key_pointer, (&raw const fresh).cast_mut().cast(), BPF_NOEXIST.into());
            let found = bpf_map_lookup_elem(map, key_pointer);
            if found.is_null() { None } else { Some(found.cast()) }
        }
    }
}

/// Adds to a number that nobody else writes.
#[inline(always)]
pub unsafe fn add(number: *mut u64, amount: u64) {
    unsafe { number.write(number.read() + amount) }
}

/// Adds to a number that runs inside this one may write too: `BPF_ATOMIC` without a fetch, all that kernels before 5.12 have.
#[inline(always)]
unsafe fn add_atomically(number: *mut u64, amount: u64) {
    unsafe {
        core::arch::asm!("lock *(u64 *)({number} + 0) += {amount}", number = in(reg) number, amount = in(reg) amount);
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
///
/// The namespace isn't in it: it is the last thing that is known of a drop, and so the slot is already on its way from memory
/// while the namespace's number is still read.
#[inline(always)]
fn hash(key: &CounterKey) -> usize {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let [site, _, kind] = words_of(key);
    let mixed = (site ^ kind ^ u64::from(key.ifindex) << 16).wrapping_mul(GOLDEN);
    (mixed >> (64 - SLOTS.trailing_zeros())) as usize
}
