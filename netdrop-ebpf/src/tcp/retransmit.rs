//! What is sent again.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use netdrop_common::{
    tcp::{kind, retransmit},
    tcp_state,
};

use crate::{
    connection,
    count::{Counted, Cpu},
    event::{self, Subject},
    member::{member, offset, setting, shared},
    numbers,
    program::{number, pointer},
};

/// `(const struct sock *, const struct sk_buff *, int err)`: the last from 6.16 on; before, only what went out is told
/// (`__tcp_retransmit_skb`).
#[raw_tracepoint(tracepoint = "tcp_retransmit_skb")]
pub fn tcp_retransmit_skb(context: RawTracePointContext) -> i32 {
    unsafe { segment(&context) };
    0
}

#[inline(always)]
unsafe fn segment(context: &RawTracePointContext) {
    let Some(cpu) = Cpu::current() else { return };
    unsafe {
        let (sk, skb) = (pointer(context, 0), pointer(context, 1));
        let error = if setting!(retransmit_arguments) >= 3 { number(context, 2) as i32 } else { 0 };
        let segment = Segment::read(skb);
        let state: u8 = shared!(sk, sk_state);
        let why = why(sk, state);
        let counted = Counted {
            kind: kind::RETRANSMIT,
            detail: if error == 0 { why } else { why | retransmit::FAILED },
            bytes: segment.length,
            segments: segment.segments,
        };
        let subject = Subject::whole(sk, connection::find(sk));
        event::tell(&cpu, &subject, &counted, setting!(retransmits) != 0, |event| {
            (*event).sequence = segment.sequence;
            (*event).length = segment.length;
            (*event).segments = segment.segments;
            (*event).tcp_flags = segment.flags;
            (*event).failed = error.wrapping_neg() as u32;
        });
    }
}

/// What made TCP send it, by what it was doing when it did.
#[inline(always)]
unsafe fn why(sk: *const u8, state: u8) -> u8 {
    const ICSK_TIME_LOSS_PROBE: u8 = 5;
    const TCP_CA_RECOVERY: u8 = 3;
    const TCP_CA_LOSS: u8 = 4;
    if state == tcp_state::SYN_SENT {
        return retransmit::SYN;
    }
    unsafe {
        match numbers::ca_state(sk) {
            TCP_CA_LOSS => retransmit::RTO,
            TCP_CA_RECOVERY => retransmit::FAST,
            _ => {
                // The timer is still marked as this one while it runs (`tcp_send_loss_probe`).
                let pending: u8 = member!(sk, pending);
                if pending == ICSK_TIME_LOSS_PROBE { retransmit::LOSS_PROBE } else { retransmit::OTHER }
            }
        }
    }
}

/// A segment before it gets its header: what its control block says.
struct Segment {
    sequence: u32,
    length: u32,
    segments: u32,
    flags: u8,
}

impl Segment {
    #[inline(always)]
    unsafe fn read(skb: *const u8) -> Self {
        const FIN: u8 = 1;
        const SYN: u8 = 2;
        unsafe {
            let block = skb.wrapping_add(offset!(cb) as usize);
            let (sequence, end): (u32, u32) = (member!(block, cb_seq), member!(block, cb_end_seq));
            let flags: u8 = member!(block, cb_flags);
            let segments: u16 = member!(block, cb_segments);
            let marks = u32::from(flags & FIN != 0) + u32::from(flags & SYN != 0);
            let space = end.wrapping_sub(sequence);
            Self {
                sequence,
                length: if space > marks { space - marks } else { 0 },
                segments: if segments == 0 { 1 } else { segments.into() },
                flags,
            }
        }
    }
}

/// `(const struct sock *, const struct request_sock *)`: the listener and the request (`tcp_rtx_synack`).
#[raw_tracepoint(tracepoint = "tcp_retransmit_synack")]
pub fn tcp_retransmit_synack(context: RawTracePointContext) -> i32 {
    unsafe { syn_ack(&context) };
    0
}

#[inline(always)]
unsafe fn syn_ack(context: &RawTracePointContext) {
    let Some(cpu) = Cpu::current() else { return };
    unsafe {
        let request = pointer(context, 1);
        let counted =
            Counted { kind: kind::RETRANSMIT_SYN_ACK, detail: retransmit::SYN_ACK, bytes: 0, segments: 1 };
        let subject = Subject {
            sk: request,
            is_whole: false,
            packet: core::ptr::null(),
            connection: core::ptr::null_mut(),
            is_remote: false,
        };
        event::tell(&cpu, &subject, &counted, setting!(retransmits) != 0, |event| {
            let before: u8 = member!(request, req_retransmits);
            (*event).attempt = u32::from(before) + 1;
            (*event).segments = 1;
        });
    }
}
