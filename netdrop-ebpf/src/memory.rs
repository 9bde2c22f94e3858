//! How kernel memory is read.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use netdrop_common::placeholder::{LOAD, RDONLY_CAST};

use crate::constants::offset_of;

/// One way to read members of kernel structs.
pub trait Memory {
    /// Reads the member of netdrop-common's `Layout` that has this number: zero where the memory can't be read.
    ///
    /// # Safety
    /// For [`Typed`], `base` must be a pointer whose type the verifier knows. All zeros must be a valid `T`.
    unsafe fn load<T: Copy, const MEMBER: usize>(base: *const u8) -> T;
}

/// Reads a member of a kernel struct: `load!(M, skb.skb_len)` is `sk_buff.len` of `skb`.
macro_rules! load {
    ($memory:ident, $base:expr, $member:ident) => {
        <$memory as $crate::memory::Memory>::load::<_, { $crate::constants::member!(Layout.$member) }>($base)
    };
}
pub(crate) use load;

/// Plain loads, which the verifier checks against the kernel's own types and guards against faults (`tp_btf`).
pub struct Typed;

impl Memory for Typed {
    #[inline(always)]
    unsafe fn load<T: Copy, const MEMBER: usize>(base: *const u8) -> T {
        // The loader exchanges the offset. Kernel memory is none of the compiler's, so the load may be moved or left out.
        macro_rules! load {
            ($type:ty, $instruction:literal) => {{
                let value: u64;
                unsafe {
                    core::arch::asm!(
                        $instruction,
                        value = lateout(reg) value,
                        base = in(reg) base,
                        offset = const LOAD as usize + MEMBER,
                        options(pure, nomem, nostack),
                    );
                    core::hint::assert_unchecked(value <= <$type>::MAX as u64);
                }
                // SAFETY: the types have the same size.
                unsafe { core::mem::transmute_copy::<$type, T>(&(value as $type)) }
            }};
        }
        match size_of::<T>() {
            1 => load!(u8, "{value} = *(u8 *)({base} + {offset})"),
            2 => load!(u16, "{value} = *(u16 *)({base} + {offset})"),
            4 => load!(u32, "{value} = *(u32 *)({base} + {offset})"),
            _ => load!(u64, "{value} = *(u64 *)({base} + {offset})"),
        }
    }
}

/// `bpf_probe_read_kernel` at the same offsets (raw tracepoint).
pub struct Probed;

impl Memory for Probed {
    #[inline(always)]
    unsafe fn load<T: Copy, const MEMBER: usize>(base: *const u8) -> T {
        // SAFETY: the helper takes any address.
        unsafe { probe(base.wrapping_add(offset_of::<MEMBER>() as usize)) }
    }
}

/// Reads a `T` from any kernel address: all zeros where it can't be read.
///
/// # Safety
/// All zeros must be a valid `T`.
#[inline(always)]
pub unsafe fn probe<T: Copy>(address: *const u8) -> T {
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: the helper checks the source itself and zeroes the destination when it fails.
    unsafe {
        bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, address.cast());
        value.assume_init()
    }
}

/// Lets the verifier take any address for a pointer to a kernel struct (`bpf_rdonly_cast`, kernel/bpf/helpers.c; 6.2 on).
/// It costs nothing, and a load through it, which is guarded against faults, costs a third of a probe.
///
/// # Safety
/// `type_id` must be a struct's, and not 0.
#[inline(always)]
pub unsafe fn cast(address: *const u8, type_id: u32) -> *const u8 {
    let pointer: *const u8;
    unsafe {
        core::arch::asm!(
            "call {cast}",
            cast = const RDONLY_CAST,
            inlateout("r1") address => _,
            inlateout("r2") u64::from(type_id) => _,
            lateout("r0") pointer,
            lateout("r3") _,
            lateout("r4") _,
            lateout("r5") _,
        );
    }
    pointer
}

/// Whether a word from a union that may hold something else is a kernel address: they have the highest bit set.
#[inline(always)]
pub fn is_kernel_address(pointer: *const u8) -> bool {
    // Null is compared by itself, as that is how the verifier learns that the pointer can be followed.
    !pointer.is_null() && (pointer as i64) < 0
}
