//! The programs' arguments.
//!
//! A program that reads its arguments by probing is the same whether it is loaded for `tp_btf` or for a raw tracepoint: the kernel
//! gives it an array of words in both cases. So each is in the object once, and the loader says what it shall be.

use aya_ebpf::EbpfContext;

/// An argument that is a number.
#[inline(always)]
pub unsafe fn number(context: &impl EbpfContext, index: usize) -> u64 {
    unsafe { context.as_ptr().cast::<u64>().add(index).read_volatile() }
}

/// An argument that is a pointer, as a number. It is read by probing: some verifiers take for granted that none is null, and leave out
/// what looks whether it is (fixed in 6.13).
#[inline(always)]
pub unsafe fn pointer(context: &impl EbpfContext, index: usize) -> *const u8 {
    let address: u64 = unsafe { crate::memory::probe(context.as_ptr().cast::<u64>().add(index).cast()) };
    address as *const u8
}
