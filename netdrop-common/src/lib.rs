//! What the eBPF program and user space agree on: constants patched in before load, counters, events.
//!
//! Everything is `repr(C)` without padding, so that both sides see the same bytes.
#![no_std]

mod counter;
mod event;
mod filter;
mod layout;
pub mod placeholder;
pub mod protocol;
mod ring;
mod settings;
mod socket;
pub mod tcp;
mod trap;

pub use counter::{
    Accounts, Counter, CounterKey, CpuState, KEY_HAS_IP_PROTOCOL, OverflowKey, REASON_NONE, SLOTS,
};
pub use event::{
    Event, HEADER_AT_LINK, HEADER_AT_NETWORK, HEADER_NONE, OFFSET_NONE, SNAPLEN_MAX, STACK_DEPTH, STACK_NONE,
};
pub use filter::{
    AddressRule, DeviceRule, Filter, FunctionRule, MAX_PIECES, MAX_RULES, NetnsRule, OWNER_CGROUP,
    OWNER_EXCLUDED, OWNER_NETNS, OWNER_SOCKET, OWNER_TASK, OwnerKey, Piece, PortRule, ProtocolRule,
    REASON_BY_SITE, REASON_EXCLUDED, REASON_INCLUDED, Rule, SIDE_DESTINATION, SIDE_EITHER, SIDE_SOURCE,
    group,
};
pub use layout::{ABSENT, Layout};
pub use ring::RingHeader;
pub use settings::{RATE_ALL, Settings};
pub use socket::{
    AF_INET, AF_INET6, Extra, SOCKET_FULL, SOCKET_NONE, SOCKET_OF_PACKET, SOCKET_RECEIVING, SOCKET_REQUEST,
    SOCKET_TIME_WAIT, Socket, Task, WITH_TASK, tcp_state,
};
pub use trap::{TRAP_WORDS, TRAPS, Trap, is_trap, site_of_trap};

/// Marks a type as plain bytes: `repr(C)`, no padding, any bit pattern valid.
///
/// # Safety
/// The type must be all that.
pub unsafe trait Plain: Copy + 'static {}

macro_rules! plain {
    ($($type:ty = $size:expr),+ $(,)?) => {$(
        // SAFETY: repr(C), integers only, and the size shows that there is no padding.
        unsafe impl Plain for $type {}
        const _: () = assert!(size_of::<$type>() == $size);
    )+};
}

plain! {
    Accounts = 64,
    Counter = 64,
    CounterKey = 24,
    OverflowKey = 32,
    CpuState = 64 + 64 + SLOTS * 64,
    Event = 64,
    Layout = 65 * 4,
    Settings = 18 * 4,
    Socket = 24 + 36 + 8 + 4 + 32,
    Task = 24,
    Extra = 128,
    RingHeader = 128,
    Trap = TRAP_WORDS * 8,
    OwnerKey = 16,
    Piece = 16,
    tcp::TcpEvent = 376,
    tcp::TcpNumbers = 160,
    tcp::TcpTotal = 40,
    tcp::TcpAccounts = 64,
    tcp::TcpCpu = 64 + tcp::TCP_KINDS * tcp::TCP_DETAILS * 40,
    tcp::TcpTransition = 24 + tcp::TRANSITION_BUCKETS * 8,
    tcp::RttKey = 88,
    tcp::RttHistogram = 8 + tcp::RTT_BUCKETS * 8,
    tcp::TcpSettings = 15 * 4,
    tcp::TcpLayout = 58 * 4,
    tcp::TcpConnection = 72,
    Filter = 40 + MAX_RULES * (24 + 32 + 12 + 12 + 40 + 12),
}

// SAFETY: words without padding.
unsafe impl<const N: usize> Plain for [u64; N] {}
// SAFETY: likewise.
unsafe impl<const N: usize> Plain for [u32; N] {}

/// The bytes of a plain value, as they are patched into the program.
pub fn bytes_of<T: Plain>(value: &T) -> &[u8] {
    // SAFETY: Plain types have no padding, so every byte is initialized; the lifetime is the value's.
    unsafe { core::slice::from_raw_parts(core::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// A plain struct of 32-bit words as these words, which are numbered from 0.
pub fn words_of<T: Plain>(value: &T) -> &[u32] {
    const { assert!(align_of::<T>() == align_of::<u32>() && size_of::<T>().is_multiple_of(size_of::<u32>())) };
    // SAFETY: Plain types have no padding, and the length and alignment are words'; the lifetime is the value's.
    unsafe {
        core::slice::from_raw_parts(core::ptr::from_ref(value).cast(), size_of::<T>() / size_of::<u32>())
    }
}

/// Reads a plain value from the front of `bytes`; `None` when there are too few.
pub fn read_plain<T: Plain>(bytes: &[u8]) -> Option<T> {
    let bytes = bytes.get(..size_of::<T>())?;
    // SAFETY: the length was checked, any bit pattern is valid, and the read doesn't need alignment.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}
