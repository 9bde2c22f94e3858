//! Rows for tests.

use std::sync::Arc;

use netdrop_common::tcp::rtt_bucket;

use crate::model::tcp::{Histogram, RttRow, RttWhat, TcpAccounts, TcpSummary};
use crate::model::{Endpoint, Holding, Owner, Process, Summary};
use crate::tcp::samples::summary;

/// So many times of so many µs.
pub fn histogram(times: &[(u32, u64)]) -> Histogram {
    let mut histogram = Histogram::default();
    for (us, count) in times {
        histogram.sum_us += u64::from(*us) * count;
        histogram.buckets[rtt_bucket(*us)] += count;
    }
    histogram
}

/// A row that tells nothing apart, counted within the interval.
pub fn of_all(histogram: Histogram) -> RttRow {
    RttRow {
        what: RttWhat::Sample,
        others: false,
        local: None,
        local_port: None,
        remote: None,
        remote_port: None,
        gateway: None,
        device: None,
        netns: None,
        owner: None,
        interval: histogram.clone(),
        total: histogram,
    }
}

pub fn to(address: &str, histogram: Histogram) -> RttRow {
    let remote = Endpoint { address: address.parse().unwrap(), port: None };
    RttRow { remote: Some(remote), ..of_all(histogram) }
}

pub fn owned(pid: u32, command: &str, histogram: Histogram) -> RttRow {
    let process = Process { pid, command: command.into(), holding: Holding::Open };
    let owner = Owner { processes: vec![process], ..Owner::default() };
    RttRow { owner: Some(Arc::new(owner)), ..of_all(histogram) }
}

/// A path of 20 ms whose queue fills at times, and some that waited for a retransmission.
pub fn slow() -> Histogram {
    histogram(&[(19_800, 412), (20_400, 5040), (22_000, 640), (27_000, 130), (45_000, 41), (221_000, 3)])
}

pub fn fast() -> Histogram {
    histogram(&[(38, 120), (45, 900), (60, 210), (130, 4)])
}

/// What is told of these rows.
pub fn told(rows: Vec<RttRow>) -> Summary {
    let seen = rows.iter().map(|row| row.total.count()).sum();
    let others = rows.iter().filter(|row| row.others).map(|row| row.total.count()).sum();
    let accounts = TcpAccounts { rtt_seen: seen, rtt_others: others, ..TcpAccounts::default() };
    summary(TcpSummary { rtt: rows, accounts, total: accounts, ..TcpSummary::default() })
}
