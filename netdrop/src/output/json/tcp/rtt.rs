//! `tcp.rtt`: a histogram of round-trip times.

use std::time::Duration;

use netdrop_common::tcp::rtt_bucket_start;

use super::super::super::Clock;
use super::super::owner::push_owner;
use super::super::push::{self, number, string};
use super::super::{push_device, push_netns};
use super::push_buckets;
use crate::model::tcp::{Histogram, RttRow, RttWhat};
use crate::model::{Endpoint, Timestamp};

/// Quantiles that are told, and their members.
const QUANTILES: [(f64, &[u8]); 4] =
    [(0.5, br#","p50_us":"#), (0.9, br#","p90_us":"#), (0.99, br#","p99_us":"#), (0.999, br#","p999_us":"#)];

/// What a line covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The time since the summary before.
    Interval,
    /// The whole run.
    Run,
}

/// The line of a row that holds anything.
pub fn push_rtt(
    clock: &mut Clock,
    (time, interval): (Timestamp, Duration),
    of: Of,
    row: &RttRow,
    out: &mut Vec<u8>,
) {
    let histogram = match of {
        Of::Interval => &row.interval,
        Of::Run => &row.total,
    };
    let Some(mean) = histogram.sum_us.checked_div(histogram.count()) else { return };
    out.extend_from_slice(br#"{"v":1,"kind":"tcp.rtt","time":""#);
    clock.push(time, out);
    out.extend_from_slice(br#"","interval_ms":"#);
    push::decimal(out, interval.as_millis());
    string(
        out,
        br#","of":"#,
        match of {
            Of::Interval => "interval",
            Of::Run => "run",
        },
    );
    string(out, br#","what":"#, name(row.what));
    if row.others {
        out.extend_from_slice(br#","other":true"#);
    }
    push_side(out, br#","local":{"#, row.local, row.local_port);
    push_side(out, br#","remote":{"#, row.remote, row.remote_port);
    if let Some(gateway) = row.gateway {
        out.extend_from_slice(br#","gateway":""#);
        push::address(out, gateway);
        out.push(b'"');
    }
    if let Some(device) = &row.device {
        push_device(out, device);
    }
    if let Some(netns) = &row.netns {
        push_netns(out, netns);
    }
    if let Some(owner) = &row.owner {
        push_owner(out, owner);
    }
    push_histogram(out, histogram, mean);
    out.extend_from_slice(b"}\n");
}

/// Of what.
pub const fn name(what: RttWhat) -> &'static str {
    match what {
        RttWhat::Smoothed => "smoothed",
        RttWhat::Sample => "sample",
    }
}

/// Address, port, or both, as rows tell them apart.
fn push_side(out: &mut Vec<u8>, key: &[u8], endpoint: Option<Endpoint>, port: Option<u16>) {
    let port = endpoint.and_then(|endpoint| endpoint.port).or(port);
    let mut opening = key;
    if let Some(Endpoint { address, .. }) = endpoint {
        out.extend_from_slice(key);
        out.extend_from_slice(br#""address":""#);
        push::address(out, address);
        out.push(b'"');
        opening = b",";
    }
    if let Some(port) = port {
        out.extend_from_slice(opening);
        number(out, br#""port":"#, port);
        opening = b",";
    }
    if opening == b"," {
        out.push(b'}');
    }
}

/// `,"count":…` to the buckets.
pub fn push_histogram(out: &mut Vec<u8>, histogram: &Histogram, mean: u64) {
    number(out, br#","count":"#, histogram.count());
    number(out, br#","sum_us":"#, histogram.sum_us);
    number(out, br#","mean_us":"#, mean);
    for (quantile, key) in QUANTILES {
        if let Some(range) = histogram.quantile(quantile).map(Histogram::range_us) {
            out.extend_from_slice(key);
            number(out, b"[", range.start);
            number(out, b",", range.end);
            out.push(b']');
        }
    }
    let held = histogram.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
    let buckets = held.map(|(place, count)| (rtt_bucket_start(place), rtt_bucket_start(place + 1), *count));
    push_buckets(out, br#","buckets":"#, buckets);
}
