//! What TCP knows of a connection.

use netdrop_common::tcp::TcpNumbers;

use crate::member::{member, offset, pointer};

/// Reads `struct tcp_sock`, member by member into the event's memory, which holds zeros.
#[inline(always)]
pub unsafe fn read(numbers: *mut TcpNumbers, sk: *const u8) {
    unsafe {
        (*numbers).bytes_sent = member!(sk, bytes_sent);
        (*numbers).bytes_retransmitted = member!(sk, bytes_retransmitted);
        (*numbers).bytes_acked = member!(sk, bytes_acked);
        (*numbers).bytes_received = member!(sk, bytes_received);
        (*numbers).segments_in = member!(sk, segments_in);
        (*numbers).segments_out = member!(sk, segments_out);
        (*numbers).data_segments_in = member!(sk, data_segments_in);
        (*numbers).data_segments_out = member!(sk, data_segments_out);
        (*numbers).retransmits = member!(sk, total_retrans);
        (*numbers).lost = member!(sk, lost);
        (*numbers).packets_out = member!(sk, packets_out);
        (*numbers).lost_out = member!(sk, lost_out);
        (*numbers).sacked_out = member!(sk, sacked_out);
        (*numbers).retransmitted_out = member!(sk, retransmitted_out);
        (*numbers).delivered = member!(sk, delivered);
        (*numbers).cwnd = member!(sk, cwnd);
        (*numbers).ssthresh = member!(sk, ssthresh);
        let srtt: u32 = member!(sk, srtt_us);
        (*numbers).srtt_us = srtt >> 3;
        let deviation: u32 = member!(sk, mdev_us);
        (*numbers).rttvar_us = deviation >> 2;
        // `struct minmax`: three samples, each a time and a value.
        let [_, least]: [u32; 2] = member!(sk, min_rtt);
        (*numbers).min_rtt_us = least;
        (*numbers).rtt_us = member!(sk, rack_rtt_us);
        (*numbers).mss = member!(sk, mss);
        (*numbers).rate_delivered = member!(sk, rate_delivered);
        (*numbers).rate_interval_us = member!(sk, rate_interval_us);
        (*numbers).send_window = member!(sk, send_window);
        (*numbers).receive_window = member!(sk, receive_window);
        (*numbers).snd_una = member!(sk, snd_una);
        (*numbers).snd_nxt = member!(sk, snd_nxt);
        (*numbers).rcv_nxt = member!(sk, rcv_nxt);
        (*numbers).reordering = member!(sk, reordering);
        (*numbers).reordering_seen = member!(sk, reordering_seen);
        (*numbers).ca_state = ca_state(sk);
        (*numbers).timeouts = member!(sk, retransmits);
        (*numbers).probes = member!(sk, probes);
        (*numbers).shutdown = member!(sk, sk_shutdown);
        let algorithm = pointer(sk, offset!(ca_ops));
        if !algorithm.is_null() {
            (*numbers).algorithm = member!(algorithm, ca_name);
        }
    }
}

/// `icsk_ca_state`, a bit-field.
#[inline(always)]
pub unsafe fn ca_state(sk: *const u8) -> u8 {
    let byte: u8 = unsafe { member!(sk, ca_state) };
    (u32::from(byte) >> offset!(ca_state_shift) & offset!(ca_state_mask)) as u8
}
