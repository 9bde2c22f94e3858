//! Where this kernel keeps what the programs on TCP's tracepoints read. A kernel may lack any of it: it stays unknown then.

use netdrop_common::ABSENT;
use netdrop_common::tcp::TcpLayout;

use crate::kernel::btf::Btf;

/// A struct, a member's path in it, and its bytes.
type Wanted = (&'static str, &'static str, u32);

/// Says for each field of the layout what to ask BTF for; what each is, stands in [`TcpLayout`].
macro_rules! wanted {
    ($($field:ident = $structure:literal . $path:literal, $size:literal;)*) => {
        const WANTED: &[Wanted] = &[$(($structure, $path, $size),)*];

        fn from_offsets(mut offsets: impl Iterator<Item = u32>) -> TcpLayout {
            TcpLayout {
                $($field: offsets.next().unwrap_or(ABSENT),)*
                ..TcpLayout::UNKNOWN
            }
        }
    };
}

wanted! {
    skb_transport_header = "sk_buff"."transport_header", 2;
    cb = "sk_buff"."cb", 48;
    cb_seq = "tcp_skb_cb"."seq", 4;
    cb_end_seq = "tcp_skb_cb"."end_seq", 4;
    cb_segments = "tcp_skb_cb"."tcp_gso_segs", 2;
    cb_flags = "tcp_skb_cb"."tcp_flags", 1;
    cb_ack_seq = "tcp_skb_cb"."ack_seq", 4;
    sk_flags = "sock"."__sk_common.skc_flags", 8;
    sk_err = "sock"."sk_err", 4;
    sk_shutdown = "sock"."sk_shutdown", 1;
    sk_owned = "sock"."sk_lock.owned", 4;
    sk_dst = "sock"."sk_dst_cache", 8;
    inet_sport = "inet_sock"."inet_sport", 2;
    retransmits = "inet_connection_sock"."icsk_retransmits", 1;
    pending = "inet_connection_sock"."icsk_pending", 1;
    probes = "inet_connection_sock"."icsk_probes_out", 1;
    ca_ops = "inet_connection_sock"."icsk_ca_ops", 8;
    ca_name = "tcp_congestion_ops"."name", 16;
    bytes_sent = "tcp_sock"."bytes_sent", 8;
    bytes_retransmitted = "tcp_sock"."bytes_retrans", 8;
    bytes_acked = "tcp_sock"."bytes_acked", 8;
    bytes_received = "tcp_sock"."bytes_received", 8;
    segments_in = "tcp_sock"."segs_in", 4;
    segments_out = "tcp_sock"."segs_out", 4;
    data_segments_in = "tcp_sock"."data_segs_in", 4;
    data_segments_out = "tcp_sock"."data_segs_out", 4;
    total_retrans = "tcp_sock"."total_retrans", 4;
    lost = "tcp_sock"."lost", 4;
    packets_out = "tcp_sock"."packets_out", 4;
    lost_out = "tcp_sock"."lost_out", 4;
    sacked_out = "tcp_sock"."sacked_out", 4;
    retransmitted_out = "tcp_sock"."retrans_out", 4;
    delivered = "tcp_sock"."delivered", 4;
    cwnd = "tcp_sock"."snd_cwnd", 4;
    ssthresh = "tcp_sock"."snd_ssthresh", 4;
    srtt_us = "tcp_sock"."srtt_us", 4;
    mdev_us = "tcp_sock"."mdev_us", 4;
    min_rtt = "tcp_sock"."rtt_min", 24;
    rack_rtt_us = "tcp_sock"."rack.rtt_us", 4;
    mss = "tcp_sock"."mss_cache", 4;
    rate_delivered = "tcp_sock"."rate_delivered", 4;
    rate_interval_us = "tcp_sock"."rate_interval_us", 4;
    send_window = "tcp_sock"."snd_wnd", 4;
    receive_window = "tcp_sock"."rcv_wnd", 4;
    snd_una = "tcp_sock"."snd_una", 4;
    snd_nxt = "tcp_sock"."snd_nxt", 4;
    rcv_nxt = "tcp_sock"."rcv_nxt", 4;
    reordering = "tcp_sock"."reordering", 4;
    reordering_seen = "tcp_sock"."reord_seen", 4;
    req_retransmits = "request_sock"."num_retrans", 1;
    rt_gateway4 = "rtable"."rt_gw4", 4;
    rt_gateway6 = "rtable"."rt_gw6", 16;
    rt_gateway_family = "rtable"."rt_gw_family", 1;
    rt6_gateway = "rt6_info"."rt6i_gateway", 16;
    rt6_flags = "rt6_info"."rt6i_flags", 4;
}

/// A bit-field.
const CA_STATE: (&str, &str) = ("inet_connection_sock", "icsk_ca_state");
/// A word since 6.17 (accurate ECN); the flags that are wanted are in its lower byte, which stands first.
const FLAGS: (&str, &str) = ("tcp_skb_cb", "tcp_flags");

/// The structs and member paths that a layout is made from: what a test's reduced BTF must keep.
pub fn wanted_members() -> Vec<(&'static str, &'static str)> {
    WANTED.iter().map(|(structure, path, _)| (*structure, *path)).chain([CA_STATE]).collect()
}

/// Reads all offsets in one pass over the BTF.
pub fn layout(btf: &Btf) -> TcpLayout {
    let questions: Vec<_> = WANTED.iter().map(|(structure, path, _)| (*structure, *path)).collect();
    let found = btf.members(&questions);
    let offsets = found.into_iter().zip(WANTED).map(|(found, wanted)| {
        found
            .ok()
            .filter(|member| member.size == wanted.2 || (wanted.0, wanted.1) == FLAGS && member.size == 2)
            .map_or(ABSENT, |member| member.offset)
    });
    let mut layout = from_offsets(offsets);
    (layout.ca_state_shift, layout.ca_state_mask) = (0, 0);
    if let Ok(bits) = btf.bit_field(CA_STATE.0, CA_STATE.1)
        && bits.offset % 8 + bits.width <= 8
    {
        layout.ca_state = bits.offset / 8;
        layout.ca_state_shift = bits.offset % 8;
        layout.ca_state_mask = (1 << bits.width) - 1;
    }
    layout
}
