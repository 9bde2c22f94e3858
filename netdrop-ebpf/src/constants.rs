//! Constants that user space patches in before load. The verifier reads them from the frozen map: it knows their values.

use netdrop_common::{ABSENT, Filter, Layout, RATE_ALL, Settings};

#[unsafe(no_mangle)]
pub static LAYOUT: Layout = Layout::UNKNOWN;

#[unsafe(no_mangle)]
pub static SETTINGS: Settings = Settings {
    arguments: 2,
    guarded: 0,
    rate: 0,
    snaplen: 0,
    iphdr_type_id: 0,
    ipv6hdr_type_id: 0,
    interval_ns: 0,
    burst_ns: 0,
};

#[unsafe(no_mangle)]
pub static FILTER: Filter = Filter::NONE;

/// Reads a patched constant, in a way that the compiler can't fold.
#[inline(always)]
pub fn read<T: Copy>(constant: &'static T) -> T {
    // SAFETY: a reference is valid, aligned and initialized.
    unsafe { core::ptr::from_ref(constant).read_volatile() }
}

/// Reads a member of a patched constant.
macro_rules! constant {
    ($global:ident . $($member:tt)+) => {
        $crate::constants::read(&$crate::constants::$global.$($member)+)
    };
}
pub(crate) use constant;

/// The offset of a kernel member.
macro_rules! offset {
    ($member:ident) => {
        $crate::constants::constant!(LAYOUT.$member)
    };
}
pub(crate) use offset;

/// Whether this kernel lacks the member.
#[inline(always)]
pub fn is_absent(offset: u32) -> bool {
    offset == ABSENT
}

/// How many arguments the tracepoint has.
#[inline(always)]
pub fn arguments() -> u32 {
    constant!(SETTINGS.arguments)
}

/// Whether the kernel keeps the program from running inside itself.
#[inline(always)]
pub fn guarded() -> bool {
    constant!(SETTINGS.guarded) != 0
}

/// Whether no details are wanted.
#[inline(always)]
pub fn counts_only() -> bool {
    constant!(SETTINGS.rate) == 0
}

/// Whether every drop's details are wanted.
#[inline(always)]
pub fn every_detail() -> bool {
    constant!(SETTINGS.rate) == RATE_ALL
}

/// Bytes of the packet in an event.
#[inline(always)]
pub fn snaplen() -> u32 {
    constant!(SETTINGS.snaplen)
}
