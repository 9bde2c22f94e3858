//! How the programs on TCP's tracepoints shall work.

/// Patched in before load, as [`crate::Settings`] are. All below 2³¹.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpSettings {
    /// Arguments of `tcp_send_reset`: 2, or 3 with the reason (6.10 on).
    pub reset_arguments: u32,
    /// Arguments of `tcp_retransmit_skb`: 2, or 3 with the error (6.16 on).
    pub retransmit_arguments: u32,
    /// Details a kind, detail, CPU and second: 0 for counts alone, [`crate::RATE_ALL`] for every event.
    pub rate: u32,
    /// Nanoseconds that one detail costs: 1e9 / rate.
    pub interval_ns: u32,
    /// Nanoseconds of credit that a quiet one saves up.
    pub burst_ns: u32,
    /// 1 when there is any rule in the filter.
    pub filtered: u32,
    /// 1 when retransmissions are wanted in detail.
    pub retransmits: u32,
    /// 1 when resets are wanted in detail.
    pub resets: u32,
    /// 1 when connections are followed: what is known of their past.
    pub tracked: u32,
    /// 1 when events of states other than the end are wanted in detail.
    pub states: u32,
    /// 1 when ends of connections are wanted in detail.
    pub closes: u32,
    /// 1 when smoothed round-trip times are wanted.
    pub rtt_smoothed: u32,
    /// 1 when those of each acknowledgement are wanted.
    pub rtt_samples: u32,
    /// What histograms are kept by: [`crate::tcp::by`].
    pub rtt_by: u32,
    /// BTF type id of `struct tcp_sock`, for `bpf_rdonly_cast`; 0 where the kernel doesn't offer it (before 6.2).
    pub tcp_sock_type_id: u32,
}
