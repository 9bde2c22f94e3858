//! TCP's events, named.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use netdrop_common::tcp::{
    FLAG_ACTIVE, FLAG_FIN_RECEIVED, FLAG_FIN_SENT, FLAG_KNOWN_SINCE_BIRTH, FLAG_PASSIVE, FLAG_RESET_RECEIVED,
    FLAG_RESET_SENT, FLAG_WITHOUT_SOCKET, TASK_AT_CLOSE, TASK_AT_CONNECT, TcpEvent as Raw, kind,
};
use netdrop_common::tcp_state;

use super::{Beyond, Enricher, Named};
use crate::aggregate::Names as _;
use crate::decode::{endpoint, socket};
use crate::model::tcp::{CloseKind, Connection, KnownBy, Opened, Retransmit, Segment, TcpEvent, TcpKind};
use crate::model::{CpuTask, Endpoint, SocketKind, TcpFlags, Whose};

impl Enricher {
    /// Gives an event of TCP's its names. `reset_reason` names the kernel's `enum sk_rst_reason`; `None` for a kind that this netdrop
    /// doesn't know.
    pub fn tcp(
        &mut self,
        raw: &Raw,
        reset_reason: impl Fn(u32) -> Option<Arc<str>>,
        beyond: &mut impl Beyond,
    ) -> Option<TcpEvent> {
        let flag = |flag: u16| raw.flags & flag != 0;
        let known_socket = (!flag(FLAG_WITHOUT_SOCKET)).then(|| socket(Whose::Packet, &raw.socket));
        let task = CpuTask { pid: raw.task.pid, command: raw.task.command };
        let task = match raw.task_at {
            TASK_AT_CONNECT => Some((task, KnownBy::Connect)),
            TASK_AT_CLOSE => Some((task, KnownBy::Close)),
            _ => None,
        };
        let (local, mapped) = unmapped(endpoint(raw.socket.family, raw.socket.local, raw.socket.local_port));
        let (remote, _) = unmapped(endpoint(raw.socket.family, raw.socket.remote, raw.socket.remote_port));
        let is_whole = known_socket.as_ref().is_some_and(|socket| socket.kind == SocketKind::Full);
        let mut names = Named { enricher: self, beyond };
        Some(TcpEvent {
            kind: happened(raw, reset_reason)?,
            weight: raw.weight,
            local,
            remote,
            v4_mapped: mapped,
            netns: (raw.netns != 0).then(|| names.netns(raw.netns)),
            device: (raw.ifindex != 0).then(|| names.device(raw.netns, raw.ifindex)),
            owner: names.beyond.of_tcp(known_socket.as_ref(), task),
            socket: known_socket,
            connection: connection(raw),
            numbers: is_whole.then_some(raw.numbers),
            cpu: raw.cpu,
            time: names.enricher.clock.wall_time(raw.time_ns),
        })
    }
}

/// An IPv4 address of an IPv6 socket (RFC 4291, 2.5.5.2) as what it is.
fn unmapped(endpoint: Option<Endpoint>) -> (Option<Endpoint>, bool) {
    let Some(Endpoint { address: IpAddr::V6(address), port }) = endpoint else { return (endpoint, false) };
    match address.to_ipv4_mapped() {
        Some(address) => (Some(Endpoint { address: IpAddr::V4(address), port }), true),
        None => (endpoint, false),
    }
}

fn known(number: u32) -> Option<u32> {
    (number != 0).then_some(number)
}

fn happened(raw: &Raw, reset_reason: impl Fn(u32) -> Option<Arc<str>>) -> Option<TcpKind> {
    let segment = Segment {
        sequence: raw.sequence,
        length: raw.length,
        segments: raw.segments,
        flags: TcpFlags(raw.tcp_flags),
    };
    Some(match raw.kind {
        kind::RETRANSMIT | kind::RETRANSMIT_SYN_ACK => TcpKind::Retransmit {
            by: Retransmit::of_detail(raw.detail),
            segment,
            attempt: if raw.kind == kind::RETRANSMIT { raw.numbers.timeouts.into() } else { raw.attempt },
            state: raw.new_state,
            failed: known(raw.failed),
        },
        kind::RESET_SENT => TcpKind::ResetSent {
            reason: if raw.reason == u32::MAX { None } else { reset_reason(raw.reason) },
            state: (raw.flags & FLAG_WITHOUT_SOCKET == 0).then_some(raw.new_state),
            // The program tells flags and sequence number of the packet, where there is one; no packet is without flags.
            answers: (raw.tcp_flags != 0).then_some(segment),
        },
        kind::RESET_RECEIVED => TcpKind::ResetReceived { state: raw.new_state },
        kind::STATE => {
            TcpKind::State { from: raw.old_state, to: raw.new_state, spent: since(raw.time_ns, raw.since_ns) }
        }
        kind::CLOSE => TcpKind::Close { kind: close(raw), from: raw.old_state, error: known(raw.error) },
        _ => return None,
    })
}

/// The time from `earlier` on; absent when it wasn't seen.
fn since(now_ns: u64, earlier_ns: u64) -> Option<Duration> {
    (earlier_ns != 0).then(|| Duration::from_nanos(now_ns.saturating_sub(earlier_ns)))
}

fn connection(raw: &Raw) -> Connection {
    let flag = |flag: u16| raw.flags & flag != 0;
    Connection {
        known_since_birth: flag(FLAG_KNOWN_SINCE_BIRTH),
        opened: match (flag(FLAG_ACTIVE), flag(FLAG_PASSIVE)) {
            (true, _) => Some(Opened::Active),
            (_, true) => Some(Opened::Passive),
            _ => None,
        },
        age: since(raw.time_ns, raw.started_ns),
        established: since(raw.time_ns, raw.established_ns),
        in_state: since(raw.time_ns, raw.since_ns),
        reset_sent: flag(FLAG_RESET_SENT),
        reset_received: flag(FLAG_RESET_RECEIVED),
        fin_received: flag(FLAG_FIN_RECEIVED),
        fin_sent: flag(FLAG_FIN_SENT),
    }
}

/// How it ended: by what was seen of resets, by `sk_err`, by the state before.
///
/// What ends a connection sets `sk_err` just before: `tcp_reset` (`net/ipv4/tcp_input.c`) `ECONNREFUSED`, `EPIPE` or `ECONNRESET`, by the state;
/// `tcp_write_err` (`net/ipv4/tcp_timer.c`) `ETIMEDOUT`, or what ICMP had told of the way meanwhile; `tcp_abort` `ECONNABORTED`. This side's resets
/// mostly follow the change of state (`__tcp_close` with unread data, `tcp_disconnect` with `SO_LINGER` 0; `net/ipv4/tcp.c`): a
/// connection that goes without an error from a state in which its peer must be told so (`tcp_need_reset`) is reset by this side.
fn close(raw: &Raw) -> CloseKind {
    const ECONNREFUSED: u32 = libc::ECONNREFUSED.cast_unsigned();
    const ECONNRESET: u32 = libc::ECONNRESET.cast_unsigned();
    const ECONNABORTED: u32 = libc::ECONNABORTED.cast_unsigned();
    const EPIPE: u32 = libc::EPIPE.cast_unsigned();
    const ETIMEDOUT: u32 = libc::ETIMEDOUT.cast_unsigned();
    let flag = |flag: u16| raw.flags & flag != 0;
    if matches!(raw.old_state, tcp_state::SYN_SENT | tcp_state::SYN_RECV) {
        return match raw.error {
            ECONNREFUSED | ECONNRESET => CloseKind::Refused,
            ETIMEDOUT => CloseKind::NoAnswer,
            _ => CloseKind::NotOpened,
        };
    }
    match raw.error {
        _ if flag(FLAG_RESET_RECEIVED) => return CloseKind::ResetReceived,
        ECONNRESET | EPIPE | ECONNREFUSED => return CloseKind::ResetReceived,
        ECONNABORTED => return CloseKind::ResetSent,
        ETIMEDOUT => return CloseKind::Timeout,
        _ if flag(FLAG_RESET_SENT) => return CloseKind::ResetSent,
        0 => {}
        _ => return CloseKind::Timeout,
    }
    match raw.old_state {
        tcp_state::LAST_ACK | tcp_state::TIME_WAIT | tcp_state::CLOSING | tcp_state::FIN_WAIT2 => {
            CloseKind::Fin
        }
        tcp_state::ESTABLISHED | tcp_state::CLOSE_WAIT | tcp_state::FIN_WAIT1 => CloseKind::ResetSent,
        _ => CloseKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::both_fins(tcp_state::LAST_ACK, 0, 0, CloseKind::Fin)]
    #[case::into_time_wait(tcp_state::FIN_WAIT2, 0, FLAG_FIN_RECEIVED, CloseKind::Fin)]
    #[case::simultaneous(tcp_state::CLOSING, 0, FLAG_FIN_RECEIVED, CloseKind::Fin)]
    #[case::reset(tcp_state::ESTABLISHED, libc::ECONNRESET, 0, CloseKind::ResetReceived)]
    #[case::reset_after_the_fin(tcp_state::CLOSE_WAIT, libc::EPIPE, 0, CloseKind::ResetReceived)]
    #[case::reset_without_an_error(tcp_state::FIN_WAIT2, 0, FLAG_RESET_RECEIVED, CloseKind::ResetReceived)]
    #[case::linger_0(tcp_state::ESTABLISHED, 0, 0, CloseKind::ResetSent)]
    #[case::unread_data(tcp_state::CLOSE_WAIT, 0, FLAG_FIN_RECEIVED, CloseKind::ResetSent)]
    #[case::aborted_by_ss(tcp_state::ESTABLISHED, libc::ECONNABORTED, FLAG_RESET_SENT, CloseKind::ResetSent)]
    #[case::timed_out(tcp_state::ESTABLISHED, libc::ETIMEDOUT, 0, CloseKind::Timeout)]
    #[case::keepalive(tcp_state::ESTABLISHED, libc::ETIMEDOUT, FLAG_RESET_SENT, CloseKind::Timeout)]
    #[case::timed_out_on_a_broken_way(tcp_state::ESTABLISHED, libc::EHOSTUNREACH, 0, CloseKind::Timeout)]
    #[case::refused(tcp_state::SYN_SENT, libc::ECONNREFUSED, FLAG_RESET_RECEIVED, CloseKind::Refused)]
    #[case::no_answer(tcp_state::SYN_SENT, libc::ETIMEDOUT, 0, CloseKind::NoAnswer)]
    #[case::unreachable(tcp_state::SYN_SENT, libc::EHOSTUNREACH, 0, CloseKind::NotOpened)]
    #[case::given_up(tcp_state::SYN_SENT, 0, 0, CloseKind::NotOpened)]
    #[case::reset_before_it_opened(tcp_state::SYN_RECV, libc::ECONNRESET, 0, CloseKind::Refused)]
    #[case::a_state_of_tomorrow(14, 0, 0, CloseKind::Other)]
    fn ends(#[case] old_state: u8, #[case] error: i32, #[case] flags: u16, #[case] expected: CloseKind) {
        let raw = Raw { kind: kind::CLOSE, old_state, error: error.cast_unsigned(), flags, ..Raw::default() };
        assert_eq!(close(&raw), expected);
    }
}
