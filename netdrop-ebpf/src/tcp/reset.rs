//! Resets, sent and received.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use netdrop_common::{
    tcp::{FLAG_RESET_RECEIVED, FLAG_RESET_SENT, TASK_AT_CLOSE, TASK_NONE, TCP_DETAILS, TcpConnection, kind},
    tcp_state,
};

use crate::{
    connection,
    count::{Counted, Cpu},
    ends::tcp_header,
    event::{self, Subject},
    member::{setting, shared},
    memory::{is_kernel_address, probe},
    program::{number, pointer},
};

/// The kernel tells no reason.
const NO_REASON: u32 = u32::MAX;

/// `(const struct sock *, const struct sk_buff *, enum sk_rst_reason)`: the last from 6.10 on. There may be no socket
/// (`tcp_v4_send_reset`), or no packet that is answered (`tcp_send_active_reset`).
#[raw_tracepoint(tracepoint = "tcp_send_reset")]
pub fn tcp_send_reset(context: RawTracePointContext) -> i32 {
    unsafe { sent(&context) };
    0
}

#[inline(always)]
unsafe fn sent(context: &RawTracePointContext) {
    let Some(cpu) = Cpu::current() else { return };
    unsafe {
        let (sk, skb) = (pointer(context, 0), pointer(context, 1));
        let reason = if setting!(reset_arguments) >= 3 { number(context, 2) as u32 } else { NO_REASON };
        let subject = whose(sk, skb);
        if subject.is_whole && subject.packet.is_null() {
            remember(&subject, FLAG_RESET_SENT);
        }
        let most = TCP_DETAILS as u32 - 1;
        let counted = Counted {
            kind: kind::RESET_SENT,
            detail: if reason < most { reason as u8 } else { most as u8 },
            bytes: 0,
            segments: 0,
        };
        event::tell(&cpu, &subject, &counted, setting!(resets) != 0, |event| {
            (*event).reason = reason;
            if is_kernel_address(skb) {
                let header = tcp_header(skb);
                (*event).sequence = u32::from_be(probe(header.wrapping_add(4)));
                (*event).tcp_flags = probe(header.wrapping_add(13));
            } else if (*event).task_at == TASK_NONE && (*event).new_state == tcp_state::CLOSE {
                // Closed before its reset (`__tcp_close`, `tcp_disconnect`): who does so runs, and has no descriptor any more by which
                // it could be found.
                (*event).task_at = TASK_AT_CLOSE;
                connection::current_task(&raw mut (*event).task);
            }
        });
    }
}

/// Keeps for the connection's end that there was a reset; also of one that was there before netdrop.
#[inline(always)]
unsafe fn remember(subject: &Subject, flag: u16) {
    unsafe {
        if !subject.connection.is_null() {
            connection::mark(subject.connection, flag);
        } else if setting!(tracked) != 0 {
            let state: u8 = shared!(subject.sk, sk_state);
            // Its end was told already.
            if state != tcp_state::CLOSE {
                connection::begin(subject.sk, &TcpConnection { flags: flag, ..TcpConnection::default() });
            }
        }
    }
}

/// Whose reset it is. A listener is nobody's other end: the packet tells the addresses then.
#[inline(always)]
unsafe fn whose(sk: *const u8, skb: *const u8) -> Subject {
    let mut subject = Subject {
        sk: core::ptr::null(),
        is_whole: false,
        packet: core::ptr::null(),
        connection: core::ptr::null_mut(),
        is_remote: false,
    };
    let mut has_ends = false;
    if is_kernel_address(sk) {
        let state: u8 = unsafe { shared!(sk, sk_state) };
        subject.sk = sk;
        subject.is_whole = state != tcp_state::TIME_WAIT && state != tcp_state::NEW_SYN_RECV;
        has_ends = state != tcp_state::LISTEN;
        if subject.is_whole && has_ends {
            subject.connection = unsafe { connection::find(sk) };
        }
    }
    if !has_ends && is_kernel_address(skb) {
        subject.packet = skb;
    }
    subject
}

/// `(struct sock *)`, before it is closed (`tcp_reset`).
#[raw_tracepoint(tracepoint = "tcp_receive_reset")]
pub fn tcp_receive_reset(context: RawTracePointContext) -> i32 {
    unsafe { received(&context) };
    0
}

#[inline(always)]
unsafe fn received(context: &RawTracePointContext) {
    let Some(cpu) = Cpu::current() else { return };
    unsafe {
        let sk = pointer(context, 0);
        let state: u8 = shared!(sk, sk_state);
        let subject = Subject { is_remote: true, ..Subject::whole(sk, connection::find(sk)) };
        remember(&subject, FLAG_RESET_RECEIVED);
        let counted = Counted { kind: kind::RESET_RECEIVED, detail: state, bytes: 0, segments: 0 };
        event::tell(&cpu, &subject, &counted, setting!(resets) != 0, |_| {});
    }
}
