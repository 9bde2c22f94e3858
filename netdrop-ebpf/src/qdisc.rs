//! The program on `qdisc_drop`: why a queueing discipline drops a packet. `tcf_kfree_skb_list` (net/sched/sch_generic.c, 7.1 on) tells it
//! there, and frees the packet at once with the reason `QDISC_DROP`: so it is kept for the program on `kfree_skb`, which finds the
//! same packet on the same CPU.

use aya_ebpf::{EbpfContext, macros::raw_tracepoint, programs::RawTracePointContext};

use crate::{constants::setting, count::Cpu};

/// `(struct Qdisc *, const struct netdev_queue *, struct net_device *, struct sk_buff *, enum qdisc_drop_reason)`.
#[raw_tracepoint(tracepoint = "qdisc_drop")]
pub fn qdisc_drop(context: RawTracePointContext) -> i32 {
    let argument = |index: usize| unsafe { context.as_ptr().cast::<u64>().add(index).read_volatile() };
    Cpu::keep_qdisc_reason(argument(3), argument(4) as u32);
    0
}

/// The reason that the packet's queueing discipline gave just now, in place of `QDISC_DROP`.
#[inline(always)]
pub fn finer(reason: u32, skb: *const u8, cpu: &Cpu) -> u32 {
    let qdisc_drop = setting!(qdisc_drop);
    if qdisc_drop == 0 || reason != qdisc_drop {
        return reason;
    }
    cpu.take_qdisc_reason(skb as u64).unwrap_or(reason)
}
