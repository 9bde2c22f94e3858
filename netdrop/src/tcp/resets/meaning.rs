//! Why there was a reset, in words: by the kernel's reason, else by what can be told from the state and the packet that it answers.

use std::sync::Arc;

use netdrop_common::tcp_state as state;

use super::ResetType;
use crate::knowledge;
use crate::model::TcpFlags;
use crate::model::tcp::{Segment, TcpEvent, TcpKind};

impl ResetType {
    /// Of a reset; absent for other events.
    pub fn of(event: &TcpEvent) -> Option<Self> {
        let Meaning { reason, told } = meaning(event)?;
        match &event.kind {
            TcpKind::ResetSent { state, .. } => Some(Self { sent: true, reason, told, state: *state }),
            TcpKind::ResetReceived { state } => Some(Self { sent: false, reason, told, state: Some(*state) }),
            _ => None,
        }
    }
}

/// Why there was a reset.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Meaning {
    /// The kernel's reason, else what was derived, in brackets; absent where nothing tells.
    reason: Option<Arc<str>>,
    /// Whether the kernel said so, or it was derived (before 6.10, and where the kernel says `NOT_SPECIFIED`).
    told: bool,
}

/// Of a reset; absent for other events.
fn meaning(event: &TcpEvent) -> Option<Meaning> {
    match &event.kind {
        TcpKind::ResetSent { reason: Some(reason), .. } if &**reason != "NOT_SPECIFIED" => {
            Some(Meaning { reason: Some(Arc::clone(reason)), told: true })
        }
        TcpKind::ResetSent { state, answers, .. } => {
            let probes = event.numbers.is_some_and(|numbers| numbers.probes > 0);
            Some(Meaning { reason: sent(*state, *answers, probes).map(Into::into), told: false })
        }
        TcpKind::ResetReceived { .. } => Some(Meaning { reason: None, told: false }),
        _ => None,
    }
}

/// What the state and the packet tell: `tcp_set_state` comes before the reset where a process ends the connection, and after it where
/// a timer or an administrator does (`__tcp_close`, `tcp_disconnect`, `tcp_abort`, `tcp_keepalive_timer`; net/ipv4).
fn sent(in_state: Option<u8>, answers: Option<Segment>, probes: bool) -> Option<&'static str> {
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    let opens = |segment: Segment| segment.flags.0 & (SYN | ACK) == SYN;
    let label = match (answers, in_state) {
        (Some(segment), None) if opens(segment) => "(closed port)",
        (Some(_), None) => "(no connection)",
        (Some(_), Some(state::TIME_WAIT)) => "(time-wait)",
        (Some(_), Some(state::LISTEN)) => "(listener)",
        (Some(_), Some(state::SYN_SENT)) => "(wrong answer)",
        (Some(_), Some(state::SYN_RECV | state::NEW_SYN_RECV)) => "(handshake)",
        (
            Some(_),
            Some(state::FIN_WAIT1 | state::FIN_WAIT2 | state::CLOSING | state::LAST_ACK | state::CLOSE),
        ) => "(after close)",
        (None, Some(state::CLOSE)) => "(aborted)",
        (None, Some(state::FIN_WAIT2)) => "(no FIN)",
        (None, Some(_)) if probes => "(keep-alive)",
        (None, Some(_)) => "(given up)",
        _ => return None,
    };
    Some(label)
}

/// What is derived, and what it means.
const DERIVED: [(&str, &str); 11] = [
    ("(closed port)", "Nobody listens at the port: the peer sees its connection refused."),
    ("(no connection)", "The segment belongs to no connection here: it had ended, or is another host's."),
    ("(time-wait)", "A segment came for a connection that is closed here."),
    ("(listener)", "A listener got a segment that belongs to no connection it knows."),
    ("(wrong answer)", "The answer to this host's SYN acknowledges something else: an old connection's."),
    (
        "(handshake)",
        "A connection was refused in the middle of its handshake: a wrong segment, or a full accept queue with tcp_abort_on_overflow.",
    ),
    ("(after close)", "Data came after the process had closed the socket."),
    (
        "(aborted)",
        "A process closed it with unread data, or aborted it (SO_LINGER 0, a closed listener, disconnect).",
    ),
    ("(no FIN)", "It was closed here, and the peer never sent its FIN."),
    ("(keep-alive)", "The peer answered no keep-alive probe."),
    ("(given up)", "It was ended by a timer, for lack of memory, or by an administrator (ss -K)."),
];

/// What resets of a type mean, in one sentence; empty where nothing tells.
pub fn of_type(what: &ResetType) -> &'static str {
    match (&what.reason, what.state) {
        (Some(reason), _) => {
            let derived = DERIVED.iter().find(|(label, _)| *label == &**reason).map(|(_, text)| *text);
            derived.or_else(|| knowledge::reset(reason).map(knowledge::Entry::meaning)).unwrap_or_default()
        }
        (None, Some(state)) if !what.sent => received(state),
        _ => "",
    }
}

/// Of a reset the other side knows why: what its effect is depends on the state.
const fn received(in_state: u8) -> &'static str {
    match in_state {
        state::SYN_SENT => {
            "The peer refuses: nobody listens at its port, or something on the way rejects it."
        }
        state::SYN_RECV | state::NEW_SYN_RECV => "The peer gave up while the connection was being opened.",
        state::ESTABLISHED => {
            "The peer aborted: it closed with unread data or by SO_LINGER 0, crashed, or doesn't know the connection any more."
        }
        state::CLOSE_WAIT => "The peer had closed before: it refuses what was sent to it since.",
        state::FIN_WAIT1 | state::FIN_WAIT2 | state::CLOSING | state::LAST_ACK => {
            "This side had closed before: the peer ends it without the last words."
        }
        _ => "",
    }
}

/// What a reset answers, `SYN seq 5`.
pub(super) fn answered(segment: &Segment) -> String {
    let flags = match segment.flags {
        TcpFlags(0) => "-".to_owned(),
        flags => flags.to_string(),
    };
    format!("{flags} seq {}", segment.sequence)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::samples::sent as event;
    use super::*;

    #[rstest]
    #[case(
        Some("TCP_ABORT_ON_CLOSE"),
        Some(7),
        None,
        Some("TCP_ABORT_ON_CLOSE"),
        "The process closed the socket while"
    )]
    #[case(Some("A_REASON_OF_TOMORROW"), Some(7), None, Some("A_REASON_OF_TOMORROW"), "")]
    #[case(Some("NOT_SPECIFIED"), Some(7), None, Some("(aborted)"), "A process closed it")]
    #[case(None, None, Some(0x02), Some("(closed port)"), "Nobody listens")]
    #[case(None, None, Some(0x12), Some("(no connection)"), "The segment belongs")]
    #[case(None, Some(6), Some(0x10), Some("(time-wait)"), "A segment came")]
    #[case(None, Some(10), Some(0x10), Some("(listener)"), "A listener got")]
    #[case(None, Some(2), Some(0x12), Some("(wrong answer)"), "The answer")]
    #[case(None, Some(12), Some(0x10), Some("(handshake)"), "A connection was refused")]
    #[case(None, Some(5), Some(0x18), Some("(after close)"), "Data came")]
    #[case(None, Some(7), Some(0x18), Some("(after close)"), "Data came")]
    #[case(None, Some(5), None, Some("(no FIN)"), "It was closed here")]
    #[case(None, Some(1), None, Some("(given up)"), "It was ended")]
    #[case(None, Some(1), Some(0x10), None, "")]
    #[case(None, None, None, None, "")]
    fn a_reset_that_was_sent(
        #[case] reason: Option<&str>,
        #[case] state: Option<u8>,
        #[case] flags: Option<u8>,
        #[case] label: Option<&str>,
        #[case] text: &str,
    ) {
        let event = event(reason, state, flags);
        let meaning = meaning(&event).unwrap();
        assert_eq!(meaning.reason.as_deref(), label);
        let means = of_type(&ResetType::of(&event).unwrap());
        assert!(means.starts_with(text) && text.is_empty() == means.is_empty(), "{means}");
        assert_eq!(meaning.told, label.is_some_and(|label| !label.starts_with('(')));
    }

    #[test]
    fn unanswered_probes_tell_of_keep_alive() {
        let mut event = event(None, Some(1), None);
        event.numbers.as_mut().unwrap().probes = 9;
        assert_eq!(meaning(&event).unwrap().reason.as_deref(), Some("(keep-alive)"));
    }
}
