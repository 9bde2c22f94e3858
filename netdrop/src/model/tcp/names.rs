//! The words for what was counted by kind and detail.

use netdrop_common::tcp::retransmit::FAILED;
use netdrop_common::tcp::{TCP_DETAILS, kind, retransmit};

use super::{Retransmit, TcpCount, TcpSummary, state_name};

/// The detail of resets whose reason isn't told: the last.
#[expect(clippy::cast_possible_truncation, reason = "there are 32 details")]
pub const WITHOUT_REASON: u8 = TCP_DETAILS as u8 - 1;

/// What kind of event was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counted {
    /// Segments sent again; SYN-ACKs too.
    Retransmit,
    /// Resets sent.
    ResetSent,
    /// Resets received.
    ResetReceived,
    /// Changes of state, but for ends.
    State,
    /// Ends of connections.
    Close,
}

impl Counted {
    /// As lines tell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retransmit => "retransmit",
            Self::ResetSent => "reset-sent",
            Self::ResetReceived => "reset-received",
            Self::State => "state",
            Self::Close => "close",
        }
    }

    /// The one that lines call so.
    pub fn called(name: &str) -> Option<Self> {
        [Self::Retransmit, Self::ResetSent, Self::ResetReceived, Self::State, Self::Close]
            .into_iter()
            .find(|counted| counted.as_str() == name)
    }
}

impl TcpCount {
    /// What kind of event it counts.
    pub const fn counted(&self) -> Counted {
        match self.kind {
            kind::RESET_SENT => Counted::ResetSent,
            kind::RESET_RECEIVED => Counted::ResetReceived,
            kind::STATE => Counted::State,
            kind::CLOSE => Counted::Close,
            _ => Counted::Retransmit,
        }
    }

    /// Of retransmissions, what made TCP send again.
    pub const fn retransmit(&self) -> Option<Retransmit> {
        if matches!(self.counted(), Counted::Retransmit) {
            Some(Retransmit::of_detail(self.detail))
        } else {
            None
        }
    }

    /// Whether it counts retransmissions that couldn't be sent, and so are none.
    pub const fn has_failed(&self) -> bool {
        matches!(self.counted(), Counted::Retransmit) && self.detail & FAILED != 0
    }
}

impl Retransmit {
    /// The one that lines call so.
    pub fn called(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// Kind and detail (netdrop-common's `kind` and `retransmit`) under which it is counted.
    pub const fn counted_as(self) -> (u8, u8) {
        match self {
            Self::Rto => (kind::RETRANSMIT, retransmit::RTO),
            Self::Fast => (kind::RETRANSMIT, retransmit::FAST),
            Self::LossProbe => (kind::RETRANSMIT, retransmit::LOSS_PROBE),
            Self::Syn => (kind::RETRANSMIT, retransmit::SYN),
            Self::SynAck => (kind::RETRANSMIT_SYN_ACK, retransmit::SYN_ACK),
            Self::Other => (kind::RETRANSMIT, retransmit::OTHER),
        }
    }
}

impl TcpSummary {
    /// The detail's name: what made TCP send again, the kernel's reason of a reset sent, the state (before a reset received or an
    /// end; else after); absent where the kernel tells none.
    pub fn detail_name(&self, count: &TcpCount) -> Option<&str> {
        match count.counted() {
            Counted::Retransmit => Some(Retransmit::of_detail(count.detail).as_str()),
            Counted::ResetSent if count.detail == WITHOUT_REASON => None,
            Counted::ResetSent => {
                let name = self.reset_reasons.get(usize::from(count.detail))?;
                (!name.is_empty()).then_some(name)
            }
            Counted::ResetReceived | Counted::State | Counted::Close => state_name(count.detail),
        }
    }

    /// How many events of these counts there were in the interval.
    pub fn events(&self, of: impl Fn(&TcpCount) -> bool) -> u64 {
        self.counts.iter().filter(|count| of(count)).map(|count| count.counts.events).sum()
    }
}
