//! `tcp.retransmit`, `tcp.reset`, `tcp.state`, `tcp.close`: an event of TCP's own; `tcp.rtt` and the summaries' `"tcp":{…}`.

mod connection;
mod queues;
mod rtt;
mod summary;
#[cfg(test)]
mod tests;

pub(super) use rtt::{Of, push_rtt};
pub(super) use summary::{Times, push_summary};

use std::borrow::Cow;

use super::super::Clock;
use super::owner::push_owner;
use super::push::{number, string};
use super::{push_device, push_endpoint, push_flags, push_netns};
use crate::model::tcp::{Segment, TcpEvent, TcpKind, state_name};
use crate::tcp::words::error_name;

/// One event's line.
pub(super) fn push_event(clock: &mut Clock, event: &TcpEvent, out: &mut Vec<u8>) {
    string(out, br#"{"v":1,"kind":"#, kind(&event.kind));
    out.extend_from_slice(br#","time":""#);
    clock.push(event.time, out);
    out.push(b'"');
    number(out, br#","weight":"#, event.weight);
    push_happened(out, &event.kind);
    if let Some(local) = event.local {
        push_endpoint(out, br#","local":"#, local);
    }
    if let Some(remote) = event.remote {
        push_endpoint(out, br#","remote":"#, remote);
    }
    if event.v4_mapped {
        out.extend_from_slice(br#","v4_mapped":true"#);
    }
    number(out, br#","cpu":"#, event.cpu);
    if let Some(device) = &event.device {
        push_device(out, device);
    }
    if let Some(netns) = &event.netns {
        push_netns(out, netns);
    }
    push_owner_of(out, event);
    connection::push(out, event);
    out.extend_from_slice(b"}\n");
}

/// The line's kind.
fn kind(kind: &TcpKind) -> &'static str {
    match kind {
        TcpKind::Retransmit { .. } => "tcp.retransmit",
        TcpKind::ResetSent { .. } | TcpKind::ResetReceived { .. } => "tcp.reset",
        TcpKind::State { .. } => "tcp.state",
        TcpKind::Close { .. } => "tcp.close",
    }
}

fn push_happened(out: &mut Vec<u8>, kind: &TcpKind) {
    match kind {
        TcpKind::Retransmit { by, segment, attempt, state, failed } => {
            string(out, br#","type":"#, by.as_str());
            push_state(out, br#","state":"#, *state);
            push_segment(out, br#","segment":{"sequence":"#, *segment);
            number(out, br#","attempt":"#, *attempt);
            if let Some(errno) = failed {
                string(out, br#","failed":"#, &error_name(*errno));
            }
        }
        TcpKind::ResetSent { reason, state, answers } => {
            out.extend_from_slice(br#","direction":"sent""#);
            if let Some(reason) = reason {
                string(out, br#","reason":"#, reason);
            }
            if let Some(state) = state {
                push_state(out, br#","state":"#, *state);
            }
            if let Some(answers) = answers {
                push_answered(out, *answers);
            }
        }
        TcpKind::ResetReceived { state } => {
            out.extend_from_slice(br#","direction":"received""#);
            push_state(out, br#","state":"#, *state);
        }
        TcpKind::State { from, to, spent } => {
            push_state(out, br#","from":"#, *from);
            push_state(out, br#","to":"#, *to);
            if let Some(spent) = spent {
                number(out, br#","spent_us":"#, spent.as_micros());
            }
        }
        TcpKind::Close { kind, from, error } => {
            string(out, br#","close":"#, kind.as_str());
            push_state(out, br#","from":"#, *from);
            if let Some(errno) = error {
                string(out, br#","error":"#, &error_name(*errno));
            }
        }
    }
}

fn push_segment(out: &mut Vec<u8>, key: &[u8], segment: Segment) {
    number(out, key, segment.sequence);
    number(out, br#","length":"#, segment.length);
    number(out, br#","segments":"#, segment.segments);
    push_flags(out, br#","flags":"#, segment.flags);
    out.push(b'}');
}

/// The packet that a reset answers: the kernel's event doesn't tell how long it was.
fn push_answered(out: &mut Vec<u8>, Segment { sequence, flags, .. }: Segment) {
    number(out, br#","answers":{"sequence":"#, sequence);
    push_flags(out, br#","flags":"#, flags);
    out.push(b'}');
}

/// `key` and a state's name.
fn push_state(out: &mut Vec<u8>, key: &[u8], state: u8) {
    string(out, key, &name_of(state));
}

/// A state's name, which may be newer than this netdrop.
fn name_of(state: u8) -> Cow<'static, str> {
    state_name(state).map_or_else(|| format!("state-{state}").into(), Cow::Borrowed)
}

/// Where it is known, how that is so.
fn push_owner_of(out: &mut Vec<u8>, event: &TcpEvent) {
    let Some(owner) = &event.owner else { return };
    let before = out.len();
    push_owner(out, &owner.owner);
    if out.len() > before {
        string(out, br#","owner_known_by":"#, owner.by.as_str());
    }
}

/// `"buckets":[[from,to,count],…]`, those that hold something, after `key`.
fn push_buckets(out: &mut Vec<u8>, key: &[u8], buckets: impl Iterator<Item = (u64, u64, u64)>) {
    out.extend_from_slice(key);
    out.push(b'[');
    for (index, (from, to, count)) in buckets.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        number(out, b"[", from);
        number(out, b",", to);
        number(out, b",", count);
        out.push(b']');
    }
    out.push(b']');
}
