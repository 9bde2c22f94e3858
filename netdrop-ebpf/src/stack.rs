//! The way through the kernel that led to a drop. Equal ones are kept once.

use aya_ebpf::{EbpfContext, helpers::generated::bpf_get_stackid, macros::map, maps::StackTrace};
use netdrop_common::STACK_NONE;

use crate::{constants::setting, count::Cpu};

/// User space sets the size: one, unless call chains are asked for.
#[map]
static STACKS: StackTrace = StackTrace::with_max_entries(1, 0);

/// The number of this call chain; one that finds its place taken by another, or no memory, is counted.
#[inline(always)]
pub fn number(context: &impl EbpfContext, cpu: &Cpu) -> u32 {
    if setting!(stacks) == 0 {
        return STACK_NONE;
    }
    let map = (&raw const STACKS).cast_mut().cast();
    // Without flags whole chains are compared: equal hashes alone may be another chain's.
    let id = unsafe { bpf_get_stackid(context.as_ptr(), map, 0) };
    if id < 0 {
        cpu.account(|accounts| unsafe { &raw mut (*accounts).stackless });
        return STACK_NONE;
    }
    id as u32
}
