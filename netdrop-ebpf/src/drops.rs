//! The programs on `kfree_skb` (net/core/skbuff.c), two ways to attach one body.

use aya_ebpf::{
    EbpfContext,
    macros::{btf_tracepoint, raw_tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext},
};
use aya_log_ebpf::debug;
use netdrop_common::REASON_NONE;

use crate::{
    constants::setting,
    count::Cpu,
    event, filter,
    key::{Drop, Subject},
    memory::{Memory, Probed, Typed},
    qdisc::finer,
    sample,
};

/// Through `tp_btf`: arguments and loads are typed.
#[btf_tracepoint(function = "kfree_skb")]
pub fn kfree_skb(context: BtfTracePointContext) -> i32 {
    unsafe { dropped::<Typed>(&context) };
    0
}

/// Through the raw tracepoint, where the kernel doesn't take the first.
#[raw_tracepoint(tracepoint = "kfree_skb")]
pub fn kfree_skb_raw(context: RawTracePointContext) -> i32 {
    unsafe { dropped::<Probed>(&context) };
    0
}

/// The tracepoint's arguments, as many as this kernel's prototype has.
#[inline(always)]
unsafe fn drop_of(context: &impl EbpfContext, cpu: &Cpu) -> Drop {
    let argument = |index: usize| unsafe { context.as_ptr().cast::<u64>().add(index).read_volatile() };
    let pointer = |index: usize| unsafe { context.as_ptr().cast::<*const u8>().add(index).read_volatile() };
    let skb = pointer(0);
    Drop {
        skb,
        location: argument(1),
        reason: if setting!(arguments) >= 3 { finer(argument(2) as u32, skb, cpu) } else { REASON_NONE },
        rx_sk: if setting!(arguments) >= 4 { pointer(3) } else { core::ptr::null() },
        is_trapped: false,
        trapped_on: core::ptr::null(),
    }
}

#[inline(always)]
unsafe fn dropped<M: Memory>(context: &impl EbpfContext) {
    if let Some(cpu) = Cpu::enter() {
        unsafe { follow::<M>(context, &cpu, || drop_of(context, &cpu)) };
        cpu.leave();
    }
}

/// The way of a drop.
#[inline(always)]
pub unsafe fn follow<M: Memory>(context: &impl EbpfContext, cpu: &Cpu, drop: impl FnOnce() -> Drop) {
    let entered = sample::entry();
    cpu.account(|accounts| unsafe { &raw mut (*accounts).seen });
    let subject = unsafe { Subject::read::<M>(drop()) };
    if !unsafe { filter::passes::<M>(context, &subject) } {
        cpu.account(|accounts| unsafe { &raw mut (*accounts).filtered });
        return;
    }
    let Some(counter) = cpu.count(&subject.key, subject.length) else {
        debug!(context, "counter table full");
        cpu.account(|accounts| unsafe { &raw mut (*accounts).table_full });
        cpu.account(|accounts| unsafe { &raw mut (*accounts).sampled_out });
        return;
    };
    let Some(due) = (unsafe { sample::due(counter, entered) }) else {
        cpu.account(|accounts| unsafe { &raw mut (*accounts).sampled_out });
        return;
    };
    if unsafe { event::send::<M>(context, &subject, &due, cpu) }.is_some() {
        cpu.account(|accounts| unsafe { &raw mut (*accounts).detailed });
    } else {
        unsafe { sample::put_back(counter, &due) };
        cpu.account(|accounts| unsafe { &raw mut (*accounts).ring_full });
    }
}
