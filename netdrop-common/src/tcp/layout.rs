//! Where the kernel keeps what the programs on TCP's tracepoints read, beside what [`crate::Layout`] has.

use crate::ABSENT;

/// Byte offsets of kernel struct members, as in [`crate::Layout`]; any kernel may lack any: what it is read for is zero then.
///
/// `tcp_sock` is described in `include/linux/tcp.h`, `tcp_skb_cb` in `include/net/tcp.h`, `inet_connection_sock` in
/// `include/net/inet_connection_sock.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpLayout {
    /// `sk_buff.transport_header`, u16: offset from `head`, 0xffff when unset.
    pub skb_transport_header: u32,
    /// `sk_buff.cb`, the control block: `tcp_skb_cb` while TCP has the packet.
    pub cb: u32,
    /// `tcp_skb_cb.seq`, u32.
    pub cb_seq: u32,
    /// `tcp_skb_cb.end_seq`, u32: one past the last, SYN and FIN included.
    pub cb_end_seq: u32,
    /// `tcp_skb_cb.tcp_gso_segs`, u16.
    pub cb_segments: u32,
    /// `tcp_skb_cb.tcp_flags`, u8, or the lower byte of a u16 (6.17 on).
    pub cb_flags: u32,
    /// `tcp_skb_cb.ack_seq`, u32.
    pub cb_ack_seq: u32,
    /// `sock.__sk_common.skc_flags`, unsigned long: bits of `enum sock_flags`.
    pub sk_flags: u32,
    /// `sock.sk_err`, int: an errno.
    pub sk_err: u32,
    /// `sock.sk_shutdown`, u8.
    pub sk_shutdown: u32,
    /// `sock.sk_lock.owned`, int: whether a process has it locked.
    pub sk_owned: u32,
    /// `sock.sk_dst_cache`, pointer to `dst_entry`.
    pub sk_dst: u32,
    /// `inet_sock.inet_sport`, be16: the local port, which stays when the port has been given back.
    pub inet_sport: u32,
    /// `inet_connection_sock.icsk_ca_state`, the byte of a bit-field.
    pub ca_state: u32,
    /// Its lowest bit in that byte.
    pub ca_state_shift: u32,
    /// Its bits, shifted down.
    pub ca_state_mask: u32,
    /// `inet_connection_sock.icsk_retransmits`, u8.
    pub retransmits: u32,
    /// `inet_connection_sock.icsk_pending`, u8: `ICSK_TIME_*`.
    pub pending: u32,
    /// `inet_connection_sock.icsk_probes_out`, u8.
    pub probes: u32,
    /// `inet_connection_sock.icsk_ca_ops`, pointer to `tcp_congestion_ops`.
    pub ca_ops: u32,
    /// `tcp_congestion_ops.name`, 16 bytes.
    pub ca_name: u32,
    /// `tcp_sock.bytes_sent`, u64.
    pub bytes_sent: u32,
    /// `tcp_sock.bytes_retrans`, u64.
    pub bytes_retransmitted: u32,
    /// `tcp_sock.bytes_acked`, u64.
    pub bytes_acked: u32,
    /// `tcp_sock.bytes_received`, u64.
    pub bytes_received: u32,
    /// `tcp_sock.segs_in`, u32.
    pub segments_in: u32,
    /// `tcp_sock.segs_out`, u32.
    pub segments_out: u32,
    /// `tcp_sock.data_segs_in`, u32.
    pub data_segments_in: u32,
    /// `tcp_sock.data_segs_out`, u32.
    pub data_segments_out: u32,
    /// `tcp_sock.total_retrans`, u32.
    pub total_retrans: u32,
    /// `tcp_sock.lost`, u32.
    pub lost: u32,
    /// `tcp_sock.packets_out`, u32.
    pub packets_out: u32,
    /// `tcp_sock.lost_out`, u32.
    pub lost_out: u32,
    /// `tcp_sock.sacked_out`, u32.
    pub sacked_out: u32,
    /// `tcp_sock.retrans_out`, u32.
    pub retransmitted_out: u32,
    /// `tcp_sock.delivered`, u32.
    pub delivered: u32,
    /// `tcp_sock.snd_cwnd`, u32.
    pub cwnd: u32,
    /// `tcp_sock.snd_ssthresh`, u32.
    pub ssthresh: u32,
    /// `tcp_sock.srtt_us`, u32: eight times as much.
    pub srtt_us: u32,
    /// `tcp_sock.mdev_us`, u32: four times as much.
    pub mdev_us: u32,
    /// `tcp_sock.rtt_min`, `struct minmax`: three samples of time and value; the first's value is the least.
    pub min_rtt: u32,
    /// `tcp_sock.rack.rtt_us`, u32.
    pub rack_rtt_us: u32,
    /// `tcp_sock.mss_cache`, u32.
    pub mss: u32,
    /// `tcp_sock.rate_delivered`, u32.
    pub rate_delivered: u32,
    /// `tcp_sock.rate_interval_us`, u32.
    pub rate_interval_us: u32,
    /// `tcp_sock.snd_wnd`, u32.
    pub send_window: u32,
    /// `tcp_sock.rcv_wnd`, u32.
    pub receive_window: u32,
    /// `tcp_sock.snd_una`, u32.
    pub snd_una: u32,
    /// `tcp_sock.snd_nxt`, u32.
    pub snd_nxt: u32,
    /// `tcp_sock.rcv_nxt`, u32.
    pub rcv_nxt: u32,
    /// `tcp_sock.reordering`, u32.
    pub reordering: u32,
    /// `tcp_sock.reord_seen`, u32.
    pub reordering_seen: u32,
    /// `request_sock.num_retrans`, u8.
    pub req_retransmits: u32,
    /// `rtable.rt_gw4`, be32.
    pub rt_gateway4: u32,
    /// `rtable.rt_gw6`, `in6_addr`, which shares its place with `rt_gw4`.
    pub rt_gateway6: u32,
    /// `rtable.rt_gw_family`, u8: `AF_*`, 0 without a gateway.
    pub rt_gateway_family: u32,
    /// `rt6_info.rt6i_gateway`, `in6_addr`.
    pub rt6_gateway: u32,
    /// `rt6_info.rt6i_flags`, u32: `RTF_*`.
    pub rt6_flags: u32,
}

impl TcpLayout {
    /// Nothing is where it should be: what the loader overwrites.
    pub const UNKNOWN: Self = Self {
        skb_transport_header: ABSENT,
        cb: ABSENT,
        cb_seq: ABSENT,
        cb_end_seq: ABSENT,
        cb_segments: ABSENT,
        cb_flags: ABSENT,
        cb_ack_seq: ABSENT,
        sk_flags: ABSENT,
        sk_err: ABSENT,
        sk_shutdown: ABSENT,
        sk_owned: ABSENT,
        sk_dst: ABSENT,
        inet_sport: ABSENT,
        ca_state: ABSENT,
        ca_state_shift: ABSENT,
        ca_state_mask: ABSENT,
        retransmits: ABSENT,
        pending: ABSENT,
        probes: ABSENT,
        ca_ops: ABSENT,
        ca_name: ABSENT,
        bytes_sent: ABSENT,
        bytes_retransmitted: ABSENT,
        bytes_acked: ABSENT,
        bytes_received: ABSENT,
        segments_in: ABSENT,
        segments_out: ABSENT,
        data_segments_in: ABSENT,
        data_segments_out: ABSENT,
        total_retrans: ABSENT,
        lost: ABSENT,
        packets_out: ABSENT,
        lost_out: ABSENT,
        sacked_out: ABSENT,
        retransmitted_out: ABSENT,
        delivered: ABSENT,
        cwnd: ABSENT,
        ssthresh: ABSENT,
        srtt_us: ABSENT,
        mdev_us: ABSENT,
        min_rtt: ABSENT,
        rack_rtt_us: ABSENT,
        mss: ABSENT,
        rate_delivered: ABSENT,
        rate_interval_us: ABSENT,
        send_window: ABSENT,
        receive_window: ABSENT,
        snd_una: ABSENT,
        snd_nxt: ABSENT,
        rcv_nxt: ABSENT,
        reordering: ABSENT,
        reordering_seen: ABSENT,
        req_retransmits: ABSENT,
        rt_gateway4: ABSENT,
        rt_gateway6: ABSENT,
        rt_gateway_family: ABSENT,
        rt6_gateway: ABSENT,
        rt6_flags: ABSENT,
    };
}
