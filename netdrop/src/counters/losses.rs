//! Which counters of a device count losses, and what each means: a data file and a lookup.
//!
//! Drivers name their counters as they like. The table has the names of the common ones, and at its end what a name
//! says by itself (`drop`, `discard`, `err`): a counter of losses that nobody knows shall be shown all the same.

use std::sync::LazyLock;

/// What is known of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Whether netdrop can have seen it.
    pub kind: LossKind,
    /// What it means, in a phrase.
    pub meaning: &'static str,
}

/// How a counter of losses goes together with drops of skbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossKind {
    /// There never was an skb.
    Hardware,
    /// The kernel freed an skb, as far as the stack counts in it.
    Stack,
    /// An XDP program took it.
    Xdp,
    /// A sum of others.
    Total,
}

/// What is wrong when a counter moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Frames damaged on the wire.
    Crc,
    /// Frames that are too short, or begin or end in the wrong place.
    Framing,
    /// Frames that are too long.
    Length,
    /// Symbols that are none.
    Symbol,
    /// Two sent at once.
    Collision,
    /// No carrier while sending.
    Carrier,
    /// No room in the receive ring.
    Ring,
    /// No room in the ring for a while; the device held the frame.
    Near,
    /// No memory for a receive buffer.
    Memory,
    /// More than the instance of the cloud may have.
    Allowance,
    /// The other end asked to pause.
    Paused,
    /// The other end was asked to pause.
    Pausing,
    /// Frames for everybody.
    Broadcast,
    /// Dropped by driver or stack.
    Discard,
    /// Dropped by an XDP program: that is its will.
    Program,
}

impl Trouble {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "crc" => Self::Crc,
            "framing" => Self::Framing,
            "length" => Self::Length,
            "symbol" => Self::Symbol,
            "collision" => Self::Collision,
            "carrier" => Self::Carrier,
            "ring" => Self::Ring,
            "near" => Self::Near,
            "memory" => Self::Memory,
            "allowance" => Self::Allowance,
            "paused" => Self::Paused,
            "pausing" => Self::Pausing,
            "broadcast" => Self::Broadcast,
            "discard" => Self::Discard,
            "program" => Self::Program,
            _ => return None,
        })
    }
}

/// A pattern, what it means (nothing for what is no loss), and what it is a sign of.
type Line = (&'static str, Option<Loss>, Option<Trouble>);

static TABLE: LazyLock<Vec<Line>> =
    LazyLock::new(|| include_str!("losses.tsv").lines().filter_map(line).collect());

fn line(line: &'static str) -> Option<Line> {
    let mut fields = line.split('\t');
    let pattern = fields.next().filter(|pattern| !pattern.starts_with('#'))?;
    let kind = match fields.next()? {
        "hardware" => LossKind::Hardware,
        "stack" => LossKind::Stack,
        "xdp" => LossKind::Xdp,
        "total" => LossKind::Total,
        _ => return Some((pattern, None, fields.nth(1).and_then(Trouble::of))),
    };
    let loss = Loss { kind, meaning: fields.next()? };
    Some((pattern, Some(loss), fields.next().and_then(Trouble::of)))
}

/// What the counter called `name` means, if it counts losses. Capitals don't matter.
pub fn loss(name: &str) -> Option<Loss> {
    line_of(name).and_then(|(_, loss, _)| *loss)
}

/// What is wrong when the counter called `name` moves, if that is known. Capitals don't matter.
pub fn trouble(name: &str) -> Option<Trouble> {
    line_of(name).and_then(|(_, _, trouble)| *trouble)
}

fn line_of(name: &str) -> Option<&'static Line> {
    let name = name.to_ascii_lowercase();
    // gve writes its queue behind: `rx_drops_packet_over_mru[2]`.
    let name = name.rsplit_once('[').filter(|_| name.ends_with(']')).map_or(name.as_str(), |(name, _)| name);
    TABLE.iter().find(|(pattern, ..)| fits(pattern, name))
}

/// The queue whose received packets this counts, by the names of ixgbe, igb, ice and, up to 6.9, `virtio_net`; of i40e and iavf, mlx5, ena, bnxt, gve;
/// of mana, ionic, sfc and nfp.
pub fn receive_queue(name: &str) -> Option<u32> {
    const NAMES: [&str; 10] = [
        "rx_queue_*_packets",
        "rx-*.packets",
        "rx*_packets",
        "queue_*_rx_cnt",
        "[*]: rx_ucast_packets",
        "rx_completed_desc[*]",
        "rx_*_packets",
        "rx_*_pkts",
        "rx-*.rx_packets",
        "rvec_*_rx_pkts",
    ];
    if !NAMES.contains(&without_queue(name).as_str()) {
        return None;
    }
    let digits = name.trim_start_matches(|char: char| !char.is_ascii_digit());
    digits.split(|char: char| !char.is_ascii_digit()).next()?.parse().ok()
}

/// The counter's name with a `*` in the place of a queue's number: `rx_queue_3_drops` → `rx_queue_*_drops`. The number in
/// a name's last part may be something else (`tx_512_to_1023`), but such are no losses.
pub fn without_queue(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for char in name.chars() {
        if !char.is_ascii_digit() {
            out.push(char);
        } else if !out.ends_with('*') {
            out.push('*');
        }
    }
    out
}

/// Whether `name` fits a pattern in which each `*` stands for any characters.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return name.ends_with(part);
        }
        let Some(at) = name.find(part) else { return false };
        name = &name[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names that drivers really use, each with what is said of it.
    #[rstest::rstest]
    #[case::link("rx_missed_errors", Some(LossKind::Hardware))]
    #[case::link_stack("rx_dropped", Some(LossKind::Stack))]
    #[case::veth("rx_queue_0_xdp_drops", Some(LossKind::Xdp))]
    #[case::veth_packets("rx_queue_0_xdp_packets", None)]
    #[case::veth_errors("tx_queue_0_xdp_xmit_errors", Some(LossKind::Xdp))]
    #[case::mlx5("rx_out_of_buffer", Some(LossKind::Hardware))]
    #[case::mlx5_phy("rx_discards_phy", Some(LossKind::Hardware))]
    #[case::mlx5_xdp("rx12_xdp_drop", Some(LossKind::Xdp))]
    #[case::mlx5_priority("rx_prio3_discards", Some(LossKind::Hardware))]
    #[case::mlx5_no_loss("rx_corrected_bits_phy", None)]
    #[case::ixgbe("rx_no_dma_resources", Some(LossKind::Hardware))]
    #[case::ixgbe_no_loss("fdir_miss", None)]
    #[case::ice("rx_crc_errors.nic", Some(LossKind::Hardware))]
    #[case::i40e("port.rx_discards", Some(LossKind::Hardware))]
    #[case::igb("rx_queue_1_csum_err", Some(LossKind::Stack))]
    #[case::e1000e_no_loss("tx_deferred_ok", None)]
    #[case::bnxt("[3]: rx_discards", Some(LossKind::Hardware))]
    #[case::bnxt_total("rx_total_ring_discards", Some(LossKind::Total))]
    #[case::bnxt_bytes("rx_discard_bytes_cos3", None)]
    #[case::bnxt_interrupts("[3]: missed_irqs", None)]
    #[case::ena("pps_allowance_exceeded", Some(LossKind::Hardware))]
    #[case::ena_interrupts("queue_5_tx_unmask_interrupt", None)]
    #[case::ena_completions("queue_5_tx_missed_tx", None)]
    #[case::ena_queue("queue_5_rx_refil_partial", Some(LossKind::Hardware))]
    #[case::gve("rx_drops_packet_over_mru[2]", Some(LossKind::Hardware))]
    #[case::virtio("rx0_drops", Some(LossKind::Hardware))]
    #[case::vmxnet3("drv dropped tx total", Some(LossKind::Stack))]
    #[case::vmxnet3_part("hdr err", None)]
    #[case::vmxnet3_xdp("xdp drops", Some(LossKind::Xdp))]
    #[case::qede_others("mac_filter_discards", None)]
    #[case::sfc_repaired("fec_corrected_errors", None)]
    #[case::unknown("FooBar_Overflow", Some(LossKind::Hardware))]
    #[case::packets("rx_packets", None)]
    #[case::bytes("tx_queue_0_bytes", None)]
    #[case::sizes("tx_512_to_1023_bytes", None)]
    #[case::transmissions("tx_retransmissions", None)]
    fn what_a_name_means(#[case] name: &str, #[case] kind: Option<LossKind>) {
        assert_eq!(loss(name).map(|loss| loss.kind), kind);
    }

    #[rstest::rstest]
    #[case::link("rx_missed_errors", Some(Trouble::Ring))]
    #[case::standard("FrameCheckSequenceErrors", Some(Trouble::Crc))]
    #[case::i40e("port.link_xoff_rx", Some(Trouble::Paused))]
    #[case::ice("rx_dropped.nic", Some(Trouble::Ring))]
    #[case::ice_crc("rx_crc_errors.nic", Some(Trouble::Crc))]
    #[case::mlx5("rx_prio3_pause", Some(Trouble::Paused))]
    #[case::bnxt("[12]: rx_discards", Some(Trouble::Ring))]
    #[case::ena("queue_1_rx_page_alloc_fail", Some(Trouble::Memory))]
    #[case::gve("rx_drops_packet_over_mru[0]", Some(Trouble::Length))]
    #[case::virtio("rx0_drops", Some(Trouble::Discard))]
    #[case::vmxnet3("pkts rx OOB", Some(Trouble::Ring))]
    #[case::i40e_ring("port.rx_discards", Some(Trouble::Ring))]
    #[case::i40e_priority("port.rx_priority_3_xoff_rx", Some(Trouble::Paused))]
    #[case::i40e_pauses("port.rx_priority_3_xon_2_xoff", None)]
    #[case::ice_length("rx_oversize.nic", Some(Trouble::Length))]
    #[case::ixgbe("tx_pb_3_pxoff", Some(Trouble::Pausing))]
    #[case::mlx5_global("tx_global_pause", Some(Trouble::Pausing))]
    #[case::mlx5_buffer("rx_prio0_buf_discard", Some(Trouble::Ring))]
    #[case::bnxt_memory("rx_total_oom_discards", Some(Trouble::Memory))]
    #[case::bnxt_symbols("rx_pcs_symbol_err", Some(Trouble::Symbol))]
    #[case::igb("rx_align_errors", Some(Trouble::Framing))]
    #[case::e1000e("tx_abort_late_coll", Some(Trouble::Collision))]
    #[case::tg3("rx_xoff_pause_rcvd", Some(Trouble::Paused))]
    #[case::tg3_length("rx_frame_too_long_errors", Some(Trouble::Length))]
    #[case::bnx2x("rx_brb_discard", Some(Trouble::Ring))]
    #[case::nfp("mac.rx_alignment_errors", Some(Trouble::Framing))]
    #[case::nfp_crc("mac.rx_frame_check_sequence_errors", Some(Trouble::Crc))]
    #[case::qede("no_buff_discards", Some(Trouble::Ring))]
    #[case::sfc("port_rx_nodesc_drops", Some(Trouble::Ring))]
    #[case::mana("hc_rx_discards_no_wqe", Some(Trouble::Ring))]
    #[case::ionic("frames_rx_pripause", Some(Trouble::Paused))]
    #[case::ionic_crc("frames_rx_bad_fcs", Some(Trouble::Crc))]
    #[case::cxgb4("rx_bg0_frames_dropped", Some(Trouble::Ring))]
    #[case::mlx4("rx_pause_prio_2", Some(Trouble::Paused))]
    #[case::no_loss("rx_packets", None)]
    fn what_is_wrong(#[case] name: &str, #[case] expected: Option<Trouble>) {
        assert_eq!(trouble(name), expected);
    }

    #[rstest::rstest]
    #[case("rx_queue_13_packets", Some(13))]
    #[case("rx-2.packets", Some(2))]
    #[case("rx0_packets", Some(0))]
    #[case("queue_7_rx_cnt", Some(7))]
    #[case("[3]: rx_ucast_packets", Some(3))]
    #[case("rx_completed_desc[1]", Some(1))]
    #[case("rx_4_packets", Some(4))]
    #[case("rx_5_pkts", Some(5))]
    #[case("rx-6.rx_packets", Some(6))]
    #[case("rvec_7_rx_pkts", Some(7))]
    #[case("rx_packets", None)]
    #[case("tx_queue_1_packets", None)]
    #[case("rx99999999999_packets", None)]
    fn queues(#[case] name: &str, #[case] queue: Option<u32>) {
        assert_eq!(receive_queue(name), queue);
    }

    #[test]
    fn every_counter_of_the_kernels_own_is_named() {
        for name in super::super::links::LOSSES.map(|(_, name)| name) {
            assert!(TABLE.iter().any(|(pattern, loss, _)| *pattern == name && loss.is_some()), "{name}");
        }
    }

    #[test]
    fn every_line_of_the_table_is_whole() {
        for line in include_str!("losses.tsv").lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split('\t').collect();
            assert!(
                matches!(fields[..], [_, "-", "-", _] | [_, "hardware" | "stack" | "xdp" | "total", _, _]),
                "{line}"
            );
            let (pattern, trouble) = (fields[0], fields[3]);
            assert!(trouble == "-" || Trouble::of(trouble).is_some(), "{line}");
            assert_eq!(pattern, pattern.to_ascii_lowercase());
        }
    }

    #[rstest::rstest]
    #[case("rx_queue_13_xdp_drops", "rx_queue_*_xdp_drops")]
    #[case("rx0_drops", "rx*_drops")]
    #[case("rx_missed_errors", "rx_missed_errors")]
    fn queues_are_summed(#[case] name: &str, #[case] summed: &str) {
        assert_eq!(without_queue(name), summed);
    }

    #[rstest::rstest]
    #[case("a", "a", true)]
    #[case("a", "ab", false)]
    #[case("*", "", true)]
    #[case("*a", "ba", true)]
    #[case("*a", "ab", false)]
    #[case("*a*", "ab", true)]
    #[case("a*b*c", "a-b-c", true)]
    #[case("a*b*c", "a-c-b", false)]
    #[case("ab*ab", "ab", false)]
    fn patterns(#[case] pattern: &str, #[case] name: &str, #[case] expected: bool) {
        assert_eq!(fits(pattern, name), expected);
    }
}
