//! What a connection carried: payload, without the SYN and FIN that the kernel's sequence numbers count as well.

use std::time::Duration;

use netdrop_common::tcp_state;

use super::{CloseKind, Opened, TcpEvent, TcpKind};

/// `TCP_INFINITE_SSTHRESH` (`include/net/tcp.h`): there is no threshold yet.
const NO_THRESHOLD: u32 = 0x7fff_ffff;

/// Bytes of payload, each counted once however often it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Payload {
    /// Sent, whether it arrived or not.
    pub sent: u64,
    /// Received in order, whether a process has read it or not.
    pub received: u64,
    /// Of what was sent: acknowledged by the other side.
    pub acked: u64,
}

impl TcpEvent {
    /// The payload up to this event; absent without TCP's numbers.
    ///
    /// **Received** is `bytes_received`, which `tcp_rcv_nxt_update` (`net/ipv4/tcp_input.c`) raises by whatever `rcv_nxt` moves: payload, and
    /// one for the FIN, which it sees before `tcp_fin` sets `SOCK_DONE`. The SYN is not in it: both `tcp_rcv_synsent_state_process`
    /// and `tcp_create_openreq_child` set `rcv_nxt` themselves. Exact, but for a FIN in a SYN of TCP Fast Open
    /// (`tcp_fastopen_add_skb` counts payload alone): one byte too few.
    ///
    /// **Sent** has two witnesses. The sequence space that went out is `bytes_acked`, which `tcp_snd_una_update` raises by whatever `snd_una`
    /// moves, and what is on the way, `snd_nxt - snd_una`. It holds the SYN of who opened the connection (`tcp_connect_init` starts
    /// `snd_una` before it; the listener's child begins behind its own), and the FIN once that was sent. That it was is certain
    /// when it was acknowledged, in `FIN_WAIT2`, `TIME_WAIT`, `LAST_ACK` and `CLOSING` that ended well; else it may still have stood in the queue.
    /// The second witness is `bytes_sent - bytes_retransmitted`, without SYN and FIN; but `__tcp_transmit_skb` (`net/ipv4/tcp_output.c`) counts
    /// a segment before the local host may refuse it (a full queue, a firewall's rule), and counts it once more when it is tried again. So the
    /// first decides, and the second only where it can't: about a FIN that may have been sent, and about the SYN when the
    /// connection's beginning was not seen. Exact, unless such a doubt and a local refusal come together: then at most 2 too many.
    ///
    /// **Acknowledged** is `bytes_acked` without the SYN and never more than was sent, as the FIN comes last. Where the beginning
    /// was not seen and not all is acknowledged, it may be 1 too many.
    pub fn payload(&self) -> Option<Payload> {
        let numbers = self.numbers.as_ref()?;
        let on_the_way = u64::from(numbers.snd_nxt.wrapping_sub(numbers.snd_una));
        let syn = u64::from(self.connection.opened == Some(Opened::Active));
        let fin = u64::from(self.fin_was_acknowledged());
        let unsure = u64::from(self.connection.opened.is_none())
            + u64::from(self.connection.fin_sent && !self.fin_was_acknowledged());
        let sequence = (numbers.bytes_acked + on_the_way).saturating_sub(syn + fin);
        let by_segments = numbers.bytes_sent.saturating_sub(numbers.bytes_retransmitted);
        let sent = by_segments.clamp(sequence.saturating_sub(unsure), sequence);
        let received = numbers.bytes_received.saturating_sub(u64::from(self.connection.fin_received));
        Some(Payload { sent, received, acked: numbers.bytes_acked.saturating_sub(syn).min(sent) })
    }

    /// Whether the other side has acknowledged this side's FIN, for certain.
    fn fin_was_acknowledged(&self) -> bool {
        matches!(
            self.kind,
            TcpKind::Close { from: tcp_state::FIN_WAIT2 | tcp_state::TIME_WAIT, .. }
                | TcpKind::State { from: tcp_state::FIN_WAIT2 | tcp_state::TIME_WAIT, .. }
                | TcpKind::Close { kind: CloseKind::Fin, from: tcp_state::LAST_ACK | tcp_state::CLOSING, .. }
        )
    }

    /// How long it lasted: since its first state; absent when that wasn't seen.
    pub fn lasted(&self) -> Option<Duration> {
        self.connection.age
    }

    /// Smoothed round-trip time; absent before there is one.
    pub fn srtt(&self) -> Option<Duration> {
        let us = self.numbers.as_ref()?.srtt_us;
        (us > 0).then(|| Duration::from_micros(us.into()))
    }

    /// Smallest round-trip time of late; absent before there is one.
    pub fn min_rtt(&self) -> Option<Duration> {
        let us = self.numbers.as_ref()?.min_rtt_us;
        (us != u32::MAX).then(|| Duration::from_micros(us.into()))
    }

    /// Slow-start threshold, segments; absent before there is one.
    pub fn ssthresh(&self) -> Option<u32> {
        Some(self.numbers.as_ref()?.ssthresh).filter(|segments| *segments < NO_THRESHOLD)
    }

    /// The latest delivery rate, bytes of payload a second, as `tcpi_delivery_rate` has it (`tcp_compute_delivery_rate`,
    /// `net/ipv4/tcp.c`); absent before there is one.
    pub fn delivery_rate(&self) -> Option<u64> {
        let numbers = self.numbers.as_ref()?;
        let (segments, us) = (numbers.rate_delivered, numbers.rate_interval_us);
        let bytes = u128::from(segments) * u128::from(numbers.mss);
        (segments > 0 && us > 0)
            .then(|| u64::try_from(bytes * 1_000_000 / u128::from(us)).unwrap_or(u64::MAX))
    }

    /// The congestion algorithm's name; absent where it isn't known.
    pub fn algorithm(&self) -> Option<String> {
        let name = self.numbers.as_ref()?.algorithm;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        (end > 0).then(|| String::from_utf8_lossy(&name[..end]).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Connection, TcpNumbers};
    use super::*;
    use crate::tcp::samples;

    /// What happened to a connection, from which the kernel's numbers follow.
    #[derive(Debug, Clone)]
    struct Past {
        opened: Opened,
        sent: u64,
        received: u64,
        retransmitted: u64,
        refused_here: u64,
        /// Of what was sent.
        unacknowledged: u64,
        fin: Fin,
        fin_received: bool,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Fin {
        No,
        Queued,
        Sent,
        Acknowledged,
    }

    fn event(past: &Past) -> TcpEvent {
        let isn: u32 = 0xffff_ff00;
        let syn = u64::from(past.opened == Opened::Active);
        let fin_out = u64::from(matches!(past.fin, Fin::Sent | Fin::Acknowledged));
        let fin_acked = u64::from(past.fin == Fin::Acknowledged);
        let low = |sum: u64| isn.wrapping_add(u32::try_from(sum & 0xffff_ffff).unwrap());
        let acked = syn + past.sent - past.unacknowledged + fin_acked;
        let numbers = TcpNumbers {
            bytes_sent: past.sent + past.retransmitted + past.refused_here,
            bytes_retransmitted: past.retransmitted,
            bytes_acked: acked,
            bytes_received: past.received + u64::from(past.fin_received),
            snd_una: low(acked),
            snd_nxt: low(syn + past.sent + fin_out),
            ..TcpNumbers::default()
        };
        let (kind, from) = match past.fin {
            Fin::Acknowledged if past.fin_received => (CloseKind::Fin, tcp_state::LAST_ACK),
            Fin::Acknowledged => (CloseKind::Fin, tcp_state::FIN_WAIT2),
            Fin::Sent | Fin::Queued => (CloseKind::ResetReceived, tcp_state::FIN_WAIT1),
            Fin::No => (CloseKind::ResetReceived, tcp_state::ESTABLISHED),
        };
        let connection = Connection {
            opened: Some(past.opened),
            fin_received: past.fin_received,
            fin_sent: past.fin != Fin::No,
            ..Connection::default()
        };
        let close = TcpKind::Close { kind, from, error: None };
        TcpEvent { connection, numbers: Some(numbers), ..samples::event(close) }
    }

    prop_compose! {
        fn past()(
            opened in prop_oneof![Just(Opened::Active), Just(Opened::Passive)],
            fin in prop_oneof![Just(Fin::No), Just(Fin::Queued), Just(Fin::Sent), Just(Fin::Acknowledged)],
            sent in 0..10_000_000_000_u64,
            received in 0..10_000_000_000_u64,
            retransmitted in 0..10_000_u64,
            refused_here in prop_oneof![Just(0), 0..10_000_u64],
            unacknowledged in 0..100_000_u64,
            fin_received in any::<bool>(),
        ) -> Past {
            // What follows a FIN's acknowledgement is nothing; and a FIN that waits does so behind what waits.
            let unacknowledged = if fin == Fin::Acknowledged { 0 } else { unacknowledged.min(sent) };
            Past { opened, sent, received, retransmitted, refused_here, unacknowledged, fin, fin_received }
        }
    }

    proptest! {
        #[test]
        fn payload_is_exact(past in past()) {
            let payload = event(&past).payload().unwrap();
            prop_assert_eq!(payload.received, past.received);
            let unsure = past.fin == Fin::Sent && past.refused_here > 0;
            prop_assert!(payload.sent == past.sent || unsure && payload.sent == past.sent + 1, "{:?}", payload);
            prop_assert_eq!(payload.acked, past.sent - past.unacknowledged);
        }

        #[test]
        fn without_the_beginning_what_was_sent_is_exact_where_nothing_was_refused_here(past in past()) {
            let mut event = event(&past);
            event.connection.opened = None;
            let payload = event.payload().unwrap();
            prop_assert!(payload.sent == past.sent || past.refused_here > 0 && payload.sent <= past.sent + 2);
            prop_assert!(payload.acked - (past.sent - past.unacknowledged) <= 2);
        }

        #[test]
        fn any_numbers_will_do(a in any::<[u32; 2]>(), b in any::<[u64; 4]>(), flags in any::<[bool; 2]>()) {
            let [snd_una, snd_nxt] = a;
            let [bytes_sent, bytes_retransmitted, bytes_acked, bytes_received] = b.map(|bytes| bytes >> 1);
            let mut event = samples::event(TcpKind::ResetReceived { state: 1 });
            event.numbers = Some(TcpNumbers { snd_una, snd_nxt, bytes_sent, bytes_retransmitted, bytes_acked, bytes_received, ..TcpNumbers::default() });
            event.connection = Connection { fin_received: flags[0], fin_sent: flags[1], ..Connection::default() };
            let payload = event.payload().unwrap();
            prop_assert!(payload.acked <= payload.sent);
        }
    }

    #[test]
    fn a_syn_without_an_answer_is_no_payload() {
        let mut event = samples::event(TcpKind::Close {
            kind: CloseKind::NoAnswer,
            from: tcp_state::SYN_SENT,
            error: Some(110),
        });
        event.numbers = Some(TcpNumbers { snd_una: 7, snd_nxt: 8, ..TcpNumbers::default() });
        assert_eq!(event.payload(), Some(Payload::default()));
    }

    #[test]
    fn what_was_not_measured_is_absent() {
        let mut event = samples::event(TcpKind::ResetReceived { state: 1 });
        event.numbers =
            Some(TcpNumbers { min_rtt_us: u32::MAX, ssthresh: NO_THRESHOLD, ..TcpNumbers::default() });
        assert_eq!((event.srtt(), event.min_rtt(), event.ssthresh()), (None, None, None));
        assert_eq!((event.delivery_rate(), event.algorithm()), (None, None));
        let event = samples::event(TcpKind::ResetReceived { state: 1 });
        assert_eq!(event.delivery_rate(), Some(724_000));
        assert_eq!(event.algorithm().as_deref(), Some("cubic"));
    }
}
