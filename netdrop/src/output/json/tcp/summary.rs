//! `"tcp":{…}` of summaries and ends.

use super::super::push::{number, string};
use super::queues::push_queues;
use super::rtt::{name, push_histogram};
use super::{push_buckets, push_state};
use crate::model::tcp::{
    Closes, Histogram, HostCounts, RttRow, RttWhat, TcpAccounts, TcpCount, TcpSummary, TransitionRow,
};

/// Where round-trip times stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// In lines of their own.
    Apart,
    /// In the member `rtt`: those of the interval.
    Inside,
}

/// `,"tcp":{…}`. `whole` says that it is of the whole run.
pub fn push_summary(out: &mut Vec<u8>, tcp: &TcpSummary, whole: bool, times: Times) {
    out.extend_from_slice(br#","tcp":{"accounts":"#);
    push_accounts(out, &tcp.accounts);
    out.extend_from_slice(br#","counts":["#);
    let mut opening: &[u8] = b"{";
    for count in tcp.counts.iter().filter(|count| count.counts.events > 0) {
        push_count(out, opening, tcp, count);
        opening = b",{";
    }
    out.push(b']');
    push_closes(out, &tcp.closes);
    push_transitions(out, &tcp.transitions, whole);
    if times == Times::Inside {
        push_times(out, &tcp.rtt);
    }
    push_host(out, &tcp.host);
    if let Some(queues) = tcp.queues.as_ref().filter(|_| whole) {
        push_queues(out, queues);
    }
    if let Some(existed) = tcp.existed {
        number(out, br#","existed":"#, existed);
    }
    out.push(b'}');
}

fn push_accounts(out: &mut Vec<u8>, accounts: &TcpAccounts) {
    number(out, br#"{"seen":"#, accounts.seen);
    number(out, br#","detailed":"#, accounts.detailed);
    number(out, br#","sampled_out":"#, accounts.sampled_out);
    number(out, br#","ring_full":"#, accounts.ring_full);
    number(out, br#","filtered":"#, accounts.filtered);
    number(out, br#","untracked":"#, accounts.untracked);
    number(out, br#","rtt_seen":"#, accounts.rtt_seen);
    number(out, br#","rtt_others":"#, accounts.rtt_others);
    number(out, br#","recursion_misses":"#, accounts.recursion_misses);
    out.push(b'}');
}

fn push_count(out: &mut Vec<u8>, opening: &[u8], tcp: &TcpSummary, count: &TcpCount) {
    out.extend_from_slice(opening);
    string(out, br#""event":"#, count.counted().as_str());
    if let Some(detail) = tcp.detail_name(count) {
        string(out, br#","detail":"#, detail);
    }
    if count.has_failed() {
        out.extend_from_slice(br#","failed":true"#);
    }
    number(out, br#","count":"#, count.counts.events);
    if count.counts.segments > 0 {
        number(out, br#","segments":"#, count.counts.segments);
    }
    if count.counts.bytes > 0 {
        number(out, br#","bytes":"#, count.counts.bytes);
    }
    out.push(b'}');
}

fn push_closes(out: &mut Vec<u8>, closes: &Closes) {
    let mut opening: &[u8] = br#","closes":[{"close":"#;
    for (kind, count) in closes.iter().filter(|(_, count)| *count > 0) {
        string(out, opening, kind.as_str());
        number(out, br#","count":"#, count);
        out.push(b'}');
        opening = br#",{"close":"#;
    }
    if closes.total() > 0 {
        out.push(b']');
    }
}

/// Those that are told apart by nothing but what they are.
fn push_times(out: &mut Vec<u8>, rtt: &[RttRow]) {
    let mut opening: &[u8] = br#","rtt":[{"what":"#;
    for what in [RttWhat::Smoothed, RttWhat::Sample] {
        let mut sum = Histogram::default();
        rtt.iter().filter(|row| row.what == what).for_each(|row| sum.add(&row.interval));
        if let Some(mean) = sum.sum_us.checked_div(sum.count()) {
            string(out, opening, name(what));
            push_histogram(out, &sum, mean);
            out.push(b'}');
            opening = br#",{"what":"#;
        }
    }
    if opening == br#",{"what":"# {
        out.push(b']');
    }
}

/// The times in a state are those since the start, so that they stand at the end alone.
fn push_transitions(out: &mut Vec<u8>, transitions: &[TransitionRow], whole: bool) {
    let mut opening: &[u8] = br#","transitions":[{"#;
    for row in transitions.iter().filter(|row| row.count > 0) {
        out.extend_from_slice(opening);
        push_state(out, br#""from":"#, row.from);
        push_state(out, br#","to":"#, row.to);
        number(out, br#","count":"#, row.count);
        if whole {
            number(out, br#","spent_us":"#, row.spent_sum.as_micros());
            let held = row.spent.iter().enumerate().filter(|(_, count)| **count > 0);
            let bucket = |(place, count): (usize, &u64)| (start(place), 1 << place, *count);
            push_buckets(out, br#","spent":"#, held.map(bucket));
        }
        out.push(b'}');
        opening = b",{";
    }
    if opening == b",{" {
        out.push(b']');
    }
}

/// The least time in a bucket of times in a state, µs.
const fn start(bucket: usize) -> u64 {
    if bucket == 0 { 0 } else { 1 << (bucket - 1) }
}

/// Nothing where it couldn't be read.
fn push_host(out: &mut Vec<u8>, host: &HostCounts) {
    number(out, br#","host":{"segments_out":"#, host.segments_out);
    number(out, br#","segments_retransmitted":"#, host.segments_retransmitted);
    number(out, br#","segments_in":"#, host.segments_in);
    number(out, br#","resets_out":"#, host.resets_out);
    number(out, br#","established_resets":"#, host.established_resets);
    number(out, br#","active_opens":"#, host.active_opens);
    number(out, br#","passive_opens":"#, host.passive_opens);
    number(out, br#","attempt_fails":"#, host.attempt_fails);
    out.push(b'}');
}
