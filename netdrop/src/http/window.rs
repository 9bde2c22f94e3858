//! Counts between two readings. Whoever asks for a reading ends the loop's interval for all, so that everybody here reckons from
//! the counts since the start.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::tcp::TcpSummary;
use crate::model::{Counts, Row, Summary};
use crate::order::InOrder as _;

/// What all drops since the start were.
pub(crate) fn since_start(summary: &Summary) -> Summary {
    let row = |row: &Row| Row { counts: row.total, ..row.clone() };
    let rows = summary.rows.iter().map(row).collect();
    let tcp = summary.tcp.as_deref().map(TcpSummary::since_start);
    summarize(summary, summary.elapsed, summary.total, rows, tcp)
}

/// What was added since `earlier`.
pub(crate) fn since(earlier: &Summary, summary: &Summary) -> Summary {
    let before: HashMap<Key<'_>, Counts> = earlier.rows.iter().map(|row| (key(row), row.total)).collect();
    let added = |row: &Row| {
        let counts = row.total.since(before.get(&key(row)).copied().unwrap_or_default());
        (counts.packets > 0).then(|| Row { counts, ..row.clone() })
    };
    let rows = summary.rows.iter().filter_map(added).collect();
    let interval = summary.elapsed.saturating_sub(earlier.elapsed);
    let tcp = summary.tcp.as_deref().map(|tcp| match &earlier.tcp {
        Some(earlier) => tcp.since(earlier),
        None => tcp.since_start(),
    });
    summarize(summary, interval, summary.total.since(&earlier.total), rows, tcp)
}

fn summarize(
    of: &Summary,
    interval: std::time::Duration,
    accounts: crate::model::Accounts,
    mut rows: Vec<Row>,
    tcp: Option<TcpSummary>,
) -> Summary {
    rows.order_by_key(|row| std::cmp::Reverse(row.counts.packets));
    Summary {
        time: of.time,
        interval,
        elapsed: of.elapsed,
        rows,
        accounts,
        total: of.total,
        attribution: of.attribution.clone(),
        tcp: tcp.map(Arc::new),
        findings: Arc::clone(&of.findings),
    }
}

/// What tells a row from others of its summary: all that rows may be told apart by.
type Key<'a> = (Place<'a>, Flow<'a>, bool);
type Place<'a> = (
    Option<(u64, Option<&'a str>)>,
    Option<&'a str>,
    Option<(&'a str, &'a str)>,
    Option<u32>,
    Option<u32>,
    Option<crate::model::Protocol>,
);
type Flow<'a> = (
    Option<crate::model::Endpoint>,
    Option<crate::model::Endpoint>,
    Option<u16>,
    Option<&'a crate::model::OwnerName>,
    Option<&'a crate::model::Workload>,
);

fn key(row: &Row) -> Key<'_> {
    let place = (
        row.site.as_deref().map(|site| (site.address, site.function.as_deref())),
        row.function.as_deref(),
        row.reason.as_deref().map(|reason| (reason.subsystem.as_str(), reason.name.as_str())),
        row.device.as_deref().map(|device| device.index),
        row.netns.as_deref().map(|netns| netns.inode),
        row.protocol,
    );
    let flow = (row.source, row.destination, row.port, row.owner.as_ref(), row.workload.as_deref());
    (place, flow, row.other)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::knowledge::Class;
    use crate::model::Accounts;
    use crate::output::samples::{counts, device, reason, site};

    fn row(number: u32, packets: u64) -> Row {
        Row {
            total: counts(packets, packets * 100),
            site: Some(site(if number.is_multiple_of(2) { "ip_rcv" } else { "udp_rcv" }, 4)),
            reason: Some(reason("NO_SOCKET", Class::NoReceiver)),
            device: Some(device(number, "eth0")),
            ..Row::default()
        }
    }

    fn summary(seconds: u64, packets: &[u64]) -> Summary {
        let rows = packets.iter().zip(1..).map(|(packets, number)| row(number, *packets)).collect();
        let seen = packets.iter().sum();
        let total = Accounts { seen, sampled_out: seen, ..Accounts::default() };
        Summary { elapsed: Duration::from_secs(seconds), rows, total, ..Summary::default() }
    }

    #[test]
    fn an_interval_has_what_was_added() {
        let (earlier, later) = (summary(10, &[5, 7]), summary(12, &[5, 9, 3]));
        let added = since(&earlier, &later);
        let rows: Vec<_> =
            added.rows.iter().map(|row| (row.device.as_ref().unwrap().index, row.counts)).collect();
        assert_eq!(rows, [(3, counts(3, 300)), (2, counts(2, 200))]);
        assert_eq!(added.interval, Duration::from_secs(2));
        assert_eq!((added.accounts.seen, added.total.seen), (5, 17));
    }

    #[test]
    fn the_same_site_read_again_is_the_same_row() {
        let (earlier, mut later) = (summary(1, &[5]), summary(2, &[5]));
        later.rows[0].site = Some(Arc::new((**later.rows[0].site.as_ref().unwrap()).clone()));
        assert!(since(&earlier, &later).rows.is_empty());
    }

    /// Whoever asks ends the loop's interval for all: totals tell what each has not seen.
    #[test]
    fn tcp_is_reckoned_from_its_totals() {
        let mut sum = None;
        let mut read = |second| {
            let tcp = crate::tcp::samples::counted().summed(&mut sum);
            Summary { tcp: Some(Arc::new(tcp)), ..summary(second, &[]) }
        };
        let (first, _, third) = (read(1), read(2), read(3));
        let ends = |summary: &Summary| summary.tcp.as_ref().unwrap().closes.total();
        assert_eq!(
            [since_start(&first), since(&first, &third), since_start(&third)].map(|one| ends(&one)),
            [2, 4, 6]
        );
        assert_eq!(ends(&since(&Summary::default(), &third)), 6, "TCP is followed only now");
    }

    proptest! {
        /// Whatever is read in between, the intervals sum to the whole.
        #[test]
        fn intervals_sum_to_the_whole(steps in prop::collection::vec(prop::collection::vec(0_u64..1000, 4), 1..6)) {
            let mut totals = vec![0; 4];
            let mut earlier = Summary::default();
            let mut sum = 0;
            for (second, step) in (1..).zip(steps) {
                totals.iter_mut().zip(step).for_each(|(total, added)| *total += added);
                let later = summary(second, &totals);
                sum += since(&earlier, &later).rows.iter().map(|row| row.counts.packets).sum::<u64>();
                earlier = later;
            }
            let all = since_start(&earlier);
            prop_assert_eq!(sum, all.rows.iter().map(|row| row.counts.packets).sum::<u64>());
            prop_assert_eq!(sum, all.accounts.seen);
        }
    }
}
