//! Exact totals and where each event went, per CPU; and fair sampling of details.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_ns},
    macros::map,
    maps::Array,
};
use netdrop_common::{
    RATE_ALL,
    tcp::{TCP_DETAILS, TcpAccounts, TcpCpu, TcpTotal},
};

use crate::member::setting;

/// One element a CPU; user space sets the number and reads it through a mapping.
#[map]
static TCP_CPUS: Array<TcpCpu> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// This CPU.
#[derive(Clone, Copy)]
pub struct Cpu {
    pub number: u32,
    state: *mut TcpCpu,
}

/// What is counted of one event.
#[derive(Clone, Copy)]
pub struct Counted {
    pub kind: u8,
    pub detail: u8,
    pub bytes: u32,
    pub segments: u32,
}

/// A detail that is due.
pub struct Due {
    /// Events that it stands for.
    pub weight: u32,
}

impl Cpu {
    #[inline(always)]
    pub fn current() -> Option<Self> {
        let number = unsafe { bpf_get_smp_processor_id() };
        Some(Self { number, state: TCP_CPUS.get_ptr_mut(number)? })
    }

    /// Adds one to an account.
    #[inline(always)]
    pub fn account(&self, account: impl FnOnce(*mut TcpAccounts) -> *mut u64) {
        unsafe { add(account(&raw mut (*self.state).accounts), 1) }
    }

    /// Counts an event.
    #[inline(always)]
    pub fn count(&self, counted: &Counted) -> *mut TcpTotal {
        let detail = bounded(counted.detail);
        unsafe {
            let totals = (&raw mut (*self.state).totals).cast::<TcpTotal>();
            let total = totals.add(usize::from(counted.kind) * TCP_DETAILS).add(detail);
            add(&raw mut (*total).events, 1);
            if counted.bytes != 0 {
                add(&raw mut (*total).bytes, counted.bytes.into());
            }
            if counted.segments != 0 {
                add(&raw mut (*total).segments, counted.segments.into());
            }
            total
        }
    }
}

/// A detail as an index. The compiler may know that it is small enough and leave out what would tell the verifier.
#[inline(always)]
fn bounded(detail: u8) -> usize {
    let mut index = u64::from(detail);
    unsafe {
        core::arch::asm!(
            "{index} &= {last}",
            index = inout(reg) index,
            last = const TCP_DETAILS - 1,
            options(pure, nomem, nostack),
        );
    }
    index as usize
}

/// Whether this event's details are due, by the generic cell rate algorithm (ITU-T I.371).
#[inline(always)]
pub unsafe fn due(total: *mut TcpTotal) -> Option<Due> {
    let rate = setting!(rate);
    if rate == 0 {
        return None;
    }
    unsafe {
        if rate != RATE_ALL {
            let now = bpf_ktime_get_ns();
            let planned = (&raw const (*total).due_ns).read_volatile();
            let due = if planned > now { planned } else { now };
            if due - now > u64::from(setting!(burst_ns)) {
                add(&raw mut (*total).skipped, 1);
                return None;
            }
            (&raw mut (*total).due_ns).write_volatile(due + u64::from(setting!(interval_ns)));
        }
        Some(taken(total))
    }
}

/// Before 6.1 an interrupt's event may come in the middle of this. Both take what was skipped then, which leaves less than nothing: the
/// next ones stand for themselves alone until it is made up for, so that the sum of all weights stays right.
#[inline(always)]
unsafe fn taken(total: *mut TcpTotal) -> Due {
    const MOST: i64 = u32::MAX as i64 - 1;
    unsafe {
        let skipped = (&raw const (*total).skipped).read_volatile() as i64;
        if skipped <= 0 {
            return Due { weight: 1 };
        }
        let skipped = if skipped > MOST { MOST } else { skipped };
        add(&raw mut (*total).skipped, skipped.wrapping_neg() as u64);
        Due { weight: skipped as u32 + 1 }
    }
}

/// Puts back what couldn't be delivered: the next detail stands for it as well.
#[inline(always)]
pub unsafe fn put_back(total: *mut TcpTotal, due: &Due) {
    unsafe { add(&raw mut (*total).skipped, due.weight.into()) }
}

/// Adds to a number that another program on this CPU may write too: `BPF_ATOMIC` without a fetch, all that kernels before 5.12 have.
#[inline(always)]
pub unsafe fn add(number: *mut u64, amount: u64) {
    unsafe {
        core::arch::asm!("lock *(u64 *)({number} + 0) += {amount}", number = in(reg) number, amount = in(reg) amount);
    }
}
