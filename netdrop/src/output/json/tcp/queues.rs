//! `"queues":{…}` of an end: listeners' queues and ports in use, as they were sampled.

use super::super::owner::push_owner;
use super::super::push::{number, string};
use super::super::{push_endpoint, push_netns};
use crate::model::Endpoint;
use crate::model::tcp::{Depth, ListenerRow, NetnsPorts, PortPressure, TcpQueues};

/// `,"queues":{…}`.
pub fn push_queues(out: &mut Vec<u8>, queues: &TcpQueues) {
    out.extend_from_slice(br#","queues":{"#);
    let mut is_first = true;
    list(out, br#""listeners":["#, &queues.listeners, &mut is_first, listener);
    list(out, br#""ports":["#, &queues.pressure, &mut is_first, pressure);
    list(out, br#""namespaces":["#, &queues.namespaces, &mut is_first, namespace);
    out.push(b'}');
}

/// A list that holds something; each item begins with a comma, for which its brace takes the place.
fn list<T>(out: &mut Vec<u8>, key: &[u8], items: &[T], is_first: &mut bool, push: fn(&mut Vec<u8>, &T)) {
    if items.is_empty() {
        return;
    }
    if !std::mem::replace(is_first, false) {
        out.push(b',');
    }
    out.extend_from_slice(key);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let start = out.len();
        push(out, item);
        if let Some(comma) = out.get_mut(start) {
            *comma = b'{';
        }
        out.push(b'}');
    }
    out.push(b']');
}

fn listener(out: &mut Vec<u8>, row: &ListenerRow) {
    let local = Endpoint { address: row.local.ip(), port: Some(row.local.port()) };
    push_endpoint(out, br#","local":"#, local);
    push_netns(out, &row.netns);
    number(out, br#","sockets":"#, row.sockets);
    if row.inode > 0 {
        number(out, br#","inode":"#, row.inode);
    }
    if let Some(owner) = &row.owner {
        push_owner(out, owner);
    }
    number(out, br#","limit":"#, row.limit);
    depth(out, br#","accept":{"now":"#, &row.accept);
    depth(out, br#","syn":{"now":"#, &row.syn);
    if !row.is_open {
        out.extend_from_slice(br#","closed":true"#);
    }
}

fn depth(out: &mut Vec<u8>, key: &[u8], depth: &Depth) {
    number(out, key, depth.now);
    number(out, br#","most":"#, depth.most);
    number(out, br#","samples":"#, depth.samples);
    number(out, br#","sum":"#, depth.sum);
    number(out, br#","full":"#, depth.full);
    let held = depth.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
    let bucket = |(place, count): (usize, &u64)| ((1_u64 << place) / 2, 1_u64 << place, *count);
    super::push_buckets(out, br#","depths":"#, held.map(bucket));
    out.push(b'}');
}

fn pressure(out: &mut Vec<u8>, row: &PortPressure) {
    push_endpoint(out, br#","local":"#, Endpoint { address: row.local, port: None });
    push_endpoint(out, br#","remote":"#, row.remote);
    push_netns(out, &row.netns);
    number(out, br#","used":"#, row.used);
    number(out, br#","time_wait":"#, row.time_wait);
    number(out, br#","available":"#, row.available);
}

fn namespace(out: &mut Vec<u8>, row: &NetnsPorts) {
    push_netns(out, &row.netns);
    if let Some((now, most)) = row.time_wait {
        number(out, br#","time_wait":"#, now);
        number(out, br#","time_wait_most":"#, most);
    }
    if let Some(limit) = row.time_wait_limit {
        number(out, br#","time_wait_limit":"#, limit);
    }
    number(out, br#","ports_available":"#, row.available());
    number(out, br#","samples":"#, row.samples[0]);
    if let Some(why) = &row.failed {
        string(out, br#","failed":"#, why);
    }
}
