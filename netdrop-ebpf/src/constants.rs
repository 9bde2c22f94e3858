//! Numbers that user space writes into the program's instructions before load (netdrop-common's `placeholder`).
//! The verifier knows them: branches on what is off, or what the kernel lacks, it prunes.

use netdrop_common::{ABSENT, Filter, RATE_ALL};

/// Rules are walked by index, so they stay in memory; it is read-only, and the verifier knows what it holds.
#[unsafe(no_mangle)]
pub static FILTER: Filter = Filter::NONE;

/// Reads a member of [`FILTER`], in a way that the compiler can't fold.
macro_rules! rules {
    ($($member:tt)+) => {
        // SAFETY: a reference is valid, aligned and initialized.
        unsafe { (&raw const $crate::constants::FILTER.$($member)+).read_volatile() }
    };
}
pub(crate) use rules;

/// The number that user space wrote for this member of a struct of placeholders; it is below 2³¹.
#[inline(always)]
pub fn patched<const STRUCT: i32, const MEMBER: usize>() -> u32 {
    let value: u64;
    // SAFETY: it moves a number into a register; the loader exchanges the number.
    unsafe {
        core::arch::asm!(
            "{value} = {number}",
            value = lateout(reg) value,
            number = const STRUCT as usize + MEMBER,
            options(pure, nomem, nostack),
        );
        // Saves cutting it to 32 bits.
        core::hint::assert_unchecked(value <= i32::MAX as u64);
    }
    value as u32
}

/// The number of a member in a struct of 32-bit words.
macro_rules! member {
    ($struct:ident . $member:ident) => {
        core::mem::offset_of!(netdrop_common::$struct, $member) / size_of::<u32>()
    };
}
pub(crate) use member;

/// A setting.
macro_rules! setting {
    ($member:ident) => {
        $crate::constants::patched::<
            { netdrop_common::placeholder::SETTINGS },
            { $crate::constants::member!(Settings.$member) },
        >()
    };
}
pub(crate) use setting;

/// The offset of a kernel member.
#[inline(always)]
pub fn offset_of<const MEMBER: usize>() -> u32 {
    patched::<{ netdrop_common::placeholder::LAYOUT }, MEMBER>()
}

/// The offset of a kernel member, by its name.
macro_rules! offset {
    ($member:ident) => {
        $crate::constants::offset_of::<{ $crate::constants::member!(Layout.$member) }>()
    };
}
pub(crate) use offset;

/// Whether this kernel lacks the member.
#[inline(always)]
pub fn is_absent(offset: u32) -> bool {
    offset == ABSENT
}

/// Whether no details are wanted.
#[inline(always)]
pub fn counts_only() -> bool {
    setting!(rate) == 0
}

/// Whether every drop's details are wanted.
#[inline(always)]
pub fn every_detail() -> bool {
    setting!(rate) == RATE_ALL
}
