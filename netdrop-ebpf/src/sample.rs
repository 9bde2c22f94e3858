//! Fair sampling: each counter has a token bucket of its own, so a flood of one kind never hides another.

use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_ns};
use netdrop_common::Counter;

use crate::{
    constants::{counts_only, every_detail, setting},
    count::add,
};

/// A detail that is due.
pub struct Due {
    /// `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// Drops that it stands for.
    pub weight: u32,
}

/// The time of the drop, where each one's is wanted; at the beginning, where the clock has the least to wait for.
#[inline(always)]
pub fn entry() -> u64 {
    if every_detail() { unsafe { bpf_ktime_get_ns() } } else { 0 }
}

/// Whether this drop's details are due, by the generic cell rate algorithm (ITU-T I.371): a bucket that keeps
/// just the time at which the next detail would be due without a burst.
#[inline(always)]
pub unsafe fn due(counter: *mut Counter, entered: u64) -> Option<Due> {
    if counts_only() {
        return None;
    }
    unsafe {
        if every_detail() {
            return Some(taken(counter, entered));
        }
        // The clock is looked at once a jiffy at most while details are being refused.
        let jiffy = bpf_jiffies64();
        if (*counter).refused_jiffy == jiffy {
            add(&raw mut (*counter).skipped, 1);
            return None;
        }
        let now = bpf_ktime_get_ns();
        let due = if (*counter).due_ns > now { (*counter).due_ns } else { now };
        if due - now > u64::from(setting!(burst_ns)) {
            (*counter).refused_jiffy = jiffy;
            add(&raw mut (*counter).skipped, 1);
            return None;
        }
        (*counter).due_ns = due + u64::from(setting!(interval_ns));
        Some(taken(counter, now))
    }
}

#[inline(always)]
unsafe fn taken(counter: *mut Counter, now: u64) -> Due {
    unsafe {
        let drops = (*counter).skipped + 1;
        let weight = if drops > u64::from(u32::MAX) { u32::MAX } else { drops as u32 };
        (*counter).skipped = drops - u64::from(weight);
        Due { time_ns: now, weight }
    }
}

/// Puts back what couldn't be delivered: the next detail stands for it as well.
#[inline(always)]
pub unsafe fn put_back(counter: *mut Counter, due: &Due) {
    unsafe { add(&raw mut (*counter).skipped, due.weight.into()) }
}
