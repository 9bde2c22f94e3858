//! Where every drop and every detail went.

use serde::{Deserialize, Serialize};

/// The accounts of promise 2: `detailed + sampled_out + ring_full + filtered = seen`, always.
///
/// Each is counted in the kernel where it happens; none is derived from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Accounts {
    /// Drops that the program saw.
    pub seen: u64,
    /// Drops whose details went into the ring buffer.
    pub detailed: u64,
    /// Drops counted without details, because their counter's token bucket was empty or details are off.
    pub sampled_out: u64,
    /// Drops counted without details, because the ring buffer was full.
    pub ring_full: u64,
    /// Drops that a filter of the user's left out: not counted in any row.
    pub filtered: u64,
    /// Drops that are in `seen` but in no row, because the kernel's counter table was full.
    pub table_full: u64,
    /// Drops that happened inside this very program and that the kernel's recursion guard kept from it.
    /// Not in `seen`; read from the program's own statistics (`bpf_prog_info.recursion_misses`).
    pub recursion_misses: u64,
    /// Details without the call chain that was asked for, because the kernel's table of stacks had no place for it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stackless: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Accounts {
    /// Whether the first five add up, as they must.
    pub fn balance(&self) -> bool {
        self.detailed + self.sampled_out + self.ring_full + self.filtered == self.seen
    }

    /// Drops that the filter let through.
    pub fn passed(&self) -> u64 {
        self.seen.saturating_sub(self.filtered)
    }

    /// What was added since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            seen: self.seen.saturating_sub(earlier.seen),
            detailed: self.detailed.saturating_sub(earlier.detailed),
            sampled_out: self.sampled_out.saturating_sub(earlier.sampled_out),
            ring_full: self.ring_full.saturating_sub(earlier.ring_full),
            filtered: self.filtered.saturating_sub(earlier.filtered),
            table_full: self.table_full.saturating_sub(earlier.table_full),
            recursion_misses: self.recursion_misses.saturating_sub(earlier.recursion_misses),
            stackless: self.stackless.saturating_sub(earlier.stackless),
        }
    }

    /// These and `others` together.
    #[must_use]
    pub fn plus(&self, others: &Self) -> Self {
        Self {
            seen: self.seen.saturating_add(others.seen),
            detailed: self.detailed.saturating_add(others.detailed),
            sampled_out: self.sampled_out.saturating_add(others.sampled_out),
            ring_full: self.ring_full.saturating_add(others.ring_full),
            filtered: self.filtered.saturating_add(others.filtered),
            table_full: self.table_full.saturating_add(others.table_full),
            recursion_misses: self.recursion_misses.saturating_add(others.recursion_misses),
            stackless: self.stackless.saturating_add(others.stackless),
        }
    }
}
