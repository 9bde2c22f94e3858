//! How kernel memory is read.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use netdrop_common::RDONLY_CAST;

/// One way to read members of kernel structs.
pub trait Memory {
    /// Reads a `T` at `base + offset`: zero where the memory can't be read.
    ///
    /// # Safety
    /// For [`Typed`], `base` must be a pointer whose type the verifier knows.
    unsafe fn load<T: Copy>(base: *const u8, offset: u32) -> T;
}

/// Plain loads, which the verifier checks against the kernel's own types and guards against faults (`tp_btf`).
pub struct Typed;

impl Memory for Typed {
    #[inline(always)]
    unsafe fn load<T: Copy>(base: *const u8, offset: u32) -> T {
        // SAFETY: the verifier checks the access; a fault in it reads as zero.
        unsafe { base.add(offset as usize).cast::<T>().read_volatile() }
    }
}

/// `bpf_probe_read_kernel` at the same offsets (raw tracepoint).
pub struct Probed;

impl Memory for Probed {
    #[inline(always)]
    unsafe fn load<T: Copy>(base: *const u8, offset: u32) -> T {
        // SAFETY: the helper takes any address.
        unsafe { probe(base.wrapping_add(offset as usize)) }
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
