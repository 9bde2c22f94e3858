//! Settings and members of kernel structs that these programs have beside the shared ones.

/// A setting.
macro_rules! setting {
    ($member:ident) => {
        $crate::constants::patched::<
            { netdrop_common::placeholder::TCP_SETTINGS },
            { core::mem::offset_of!(netdrop_common::tcp::TcpSettings, $member) / size_of::<u32>() },
        >()
    };
}
pub(crate) use setting;

/// The offset of a member of `TcpLayout`.
macro_rules! offset {
    ($member:ident) => {
        $crate::constants::patched::<
            { netdrop_common::placeholder::TCP_LAYOUT },
            { core::mem::offset_of!(netdrop_common::tcp::TcpLayout, $member) / size_of::<u32>() },
        >()
    };
}
pub(crate) use offset;

/// Reads a member of `TcpLayout`: zeros where this kernel lacks it.
macro_rules! member {
    ($base:expr, $member:ident) => {
        $crate::member::at($base, $crate::member::offset!($member))
    };
}
pub(crate) use member;

/// Reads a member of `Layout`, likewise.
macro_rules! shared {
    ($base:expr, $member:ident) => {
        $crate::member::at($base, $crate::constants::offset!($member))
    };
}
pub(crate) use shared;

use crate::{constants::is_absent, memory::probe};

/// Reads an integer, or bytes.
///
/// # Safety
/// All zeros must be a valid `T`.
#[inline(always)]
pub unsafe fn at<T: Copy>(base: *const u8, offset: u32) -> T {
    // The helper takes any address.
    unsafe { if is_absent(offset) { core::mem::zeroed() } else { probe(base.wrapping_add(offset as usize)) } }
}

/// Follows a pointer's member: null where it isn't one.
///
/// # Safety
/// `at`'s.
#[inline(always)]
pub unsafe fn pointer(base: *const u8, offset: u32) -> *const u8 {
    // As a number: the verifier compares typed pointers with null alone.
    let address: u64 = unsafe { at(base, offset) };
    let address = address as *const u8;
    if crate::memory::is_kernel_address(address) { address } else { core::ptr::null() }
}
