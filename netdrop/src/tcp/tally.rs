//! From what was read of the kernel's counters to what was counted since the last time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use netdrop_common::tcp::{RttHistogram, RttKey, SRTT, TRANSITION_BUCKETS, TcpTransition, by};
use netdrop_common::{AF_INET, AF_INET6};

use crate::decode::endpoint;
use crate::model::tcp::{
    Closes, Histogram, HostCounts, RttRow, RttWhat, TcpAccounts, TcpCount, TcpSummary, TcpTotal,
    TransitionRow,
};
use crate::model::{Device, Endpoint, Netns, Owner};
use crate::order::InOrder as _;

/// All counters at one moment; the kernel's own are since the start of the programs, the host's since its start.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Where events went.
    pub accounts: TcpAccounts,
    /// By kind and detail.
    pub totals: HashMap<(u8, u8), TcpTotal>,
    /// By state before and after.
    pub transitions: HashMap<(u8, u8), TcpTransition>,
    /// Round-trip times, those of all CPUs together.
    pub rtt: HashMap<RttKey, RttHistogram>,
    /// What the kernel counts itself.
    pub host: HostCounts,
    /// How connections ended, as details told it.
    pub closes: Closes,
    /// The names of `enum sk_rst_reason` by number; see [`TcpSummary::reset_reasons`].
    pub reset_reasons: Arc<[Arc<str>]>,
}

/// Who knows the names of what round-trip times are told apart by.
pub trait RttNames {
    /// A device of a namespace.
    fn device(&mut self, netns: u32, ifindex: u32) -> Arc<Device>;
    /// A namespace.
    fn netns(&mut self, inode: u32) -> Arc<Netns>;
    /// Whose a socket is, by its inode and its cgroup, 0 where one isn't known.
    fn owner(&mut self, inode: u64, cgroup: u64) -> Option<Arc<Owner>>;
}

/// What is kept from one reading to the next.
#[derive(Debug)]
pub struct Tally {
    start: HostCounts,
    last: Reading,
    /// Bits of netdrop-common's `tcp::by`.
    rtt_by: u32,
    /// Connections that there were at the start.
    existed: Option<u64>,
}

impl Tally {
    /// `host` is what the kernel had counted at the start.
    pub fn new(host: HostCounts, existed: Option<u64>, rtt_by: u32) -> Self {
        Self { start: host, last: Reading { host, ..Reading::default() }, rtt_by, existed }
    }

    /// What was counted since the last time.
    pub fn interval(&mut self, now: Reading, names: &mut impl RttNames) -> TcpSummary {
        let summary = self.summary(&now, &self.last, names);
        self.last = now;
        summary
    }

    /// What was counted in all.
    pub fn whole(&self, now: &Reading, names: &mut impl RttNames) -> TcpSummary {
        self.summary(now, &Reading { host: self.start, ..Reading::default() }, names)
    }

    fn summary(&self, now: &Reading, before: &Reading, names: &mut impl RttNames) -> TcpSummary {
        TcpSummary {
            accounts: now.accounts.since(&before.accounts),
            total: now.accounts,
            counts: counts(now, before),
            transitions: transitions(now, before),
            rtt: self.rtt(now, before, names),
            host: now.host.since(&before.host),
            host_total: now.host.since(&self.start),
            existed: self.existed,
            closes: now.closes.since(&before.closes),
            closes_total: now.closes,
            reset_reasons: Arc::clone(&now.reset_reasons),
            queues: None,
        }
    }

    fn rtt(&self, now: &Reading, before: &Reading, names: &mut impl RttNames) -> Vec<RttRow> {
        let mut keys: Vec<_> = now.rtt.keys().collect();
        keys.sort_unstable();
        let row = |key: &RttKey| {
            let total = histogram(&now.rtt[key]);
            let interval =
                before.rtt.get(key).map_or_else(|| total.clone(), |then| total.since(&histogram(then)));
            self.named(key, interval, total, names)
        };
        keys.into_iter().map(row).collect()
    }

    /// Names what is asked for.
    fn named(
        &self,
        key: &RttKey,
        interval: Histogram,
        total: Histogram,
        names: &mut impl RttNames,
    ) -> RttRow {
        let asked = |bit: u32| self.rtt_by & bit != 0 && key.others == 0;
        let gateway = match key.gateway_family {
            AF_INET | AF_INET6 => endpoint(key.gateway_family, key.gateway, 0).map(|gateway| gateway.address),
            _ => None,
        };
        let side = |address: [u8; 16], port: u16, with_address: bool, with_port: bool| {
            let end = endpoint(key.family, address, if with_port { port } else { 0 });
            // An IPv6 socket may speak IPv4 (RFC 4291, 2.5.5.2): that is the same remote.
            end.filter(|_| with_address).map(|end| Endpoint { address: end.address.to_canonical(), ..end })
        };
        RttRow {
            what: if key.what == SRTT { RttWhat::Smoothed } else { RttWhat::Sample },
            others: key.others != 0,
            local: side(key.local, key.local_port, asked(by::LOCAL), asked(by::LOCAL_PORT)),
            local_port: Some(key.local_port).filter(|_| asked(by::LOCAL_PORT)),
            remote: side(key.remote, key.remote_port, asked(by::REMOTE), asked(by::REMOTE_PORT)),
            remote_port: Some(key.remote_port).filter(|_| asked(by::REMOTE_PORT)),
            gateway: gateway.filter(|_| asked(by::ROUTE)),
            device: (asked(by::DEVICE | by::ROUTE) && key.ifindex != 0)
                .then(|| names.device(key.netns, key.ifindex)),
            netns: (key.netns != 0 && asked(by::NETNS | by::DEVICE | by::ROUTE))
                .then(|| names.netns(key.netns)),
            owner: if asked(by::OWNER | by::CGROUP) { names.owner(key.inode, key.cgroup) } else { None },
            interval,
            total,
        }
    }
}

fn histogram(counted: &RttHistogram) -> Histogram {
    Histogram { sum_us: counted.sum_us, buckets: counted.buckets }
}

fn counts(now: &Reading, before: &Reading) -> Vec<TcpCount> {
    let mut counts: Vec<_> = now.totals.iter().filter(|(_, total)| total.events > 0).collect();
    counts.order_by_key(|(key, _)| **key);
    let count = |(key @ &(kind, detail), total): (&(u8, u8), &TcpTotal)| {
        let then = before.totals.get(key).copied().unwrap_or_default();
        let counts = TcpTotal {
            events: total.events.saturating_sub(then.events),
            bytes: total.bytes.saturating_sub(then.bytes),
            segments: total.segments.saturating_sub(then.segments),
            ..TcpTotal::default()
        };
        TcpCount { kind, detail, counts, total: *total }
    };
    counts.into_iter().map(count).collect()
}

fn transitions(now: &Reading, before: &Reading) -> Vec<TransitionRow> {
    let mut met: Vec<_> = now.transitions.iter().filter(|(_, transition)| transition.count > 0).collect();
    met.order_by_key(|(key, _)| **key);
    let row = |(key @ &(from, to), total): (&(u8, u8), &TcpTransition)| TransitionRow {
        from,
        to,
        count: total.count.saturating_sub(before.transitions.get(key).map_or(0, |then| then.count)),
        total: total.count,
        spent: <[u64; TRANSITION_BUCKETS]>::clone(&total.spent),
        spent_sum: Duration::from_nanos(total.spent_ns),
    };
    met.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use netdrop_common::tcp::{RTT_BUCKETS, SAMPLE, kind, rtt_bucket};

    use super::*;

    struct Nobody;

    impl RttNames for Nobody {
        fn device(&mut self, _: u32, index: u32) -> Arc<Device> {
            Arc::new(Device { index, name: Some("eth0".into()) })
        }

        fn netns(&mut self, inode: u32) -> Arc<Netns> {
            Arc::new(Netns { inode, ..Netns::default() })
        }

        fn owner(&mut self, _: u64, _: u64) -> Option<Arc<Owner>> {
            None
        }
    }

    fn reading(retransmits: u64, rtt_us: &[u32]) -> Reading {
        let mut histogram = RttHistogram { sum_us: 0, buckets: [0; RTT_BUCKETS] };
        for us in rtt_us {
            histogram.sum_us += u64::from(*us);
            histogram.buckets[rtt_bucket(*us)] += 1;
        }
        let mut remote = [0; 16];
        remote[..4].copy_from_slice(&[10, 0, 0, 2]);
        let key = RttKey { remote, family: AF_INET, what: SAMPLE, ..RttKey::default() };
        let total = TcpTotal { events: retransmits, bytes: retransmits * 1448, ..TcpTotal::default() };
        Reading {
            totals: [((kind::RETRANSMIT, 1), total)].into(),
            rtt: [(key, histogram)].into(),
            host: HostCounts { segments_out: 1000 + retransmits, ..HostCounts::default() },
            ..Reading::default()
        }
    }

    #[test]
    fn an_ipv6_socket_that_speaks_ipv4_has_an_ipv4_remote() {
        let mut tally = Tally::new(HostCounts::default(), None, by::REMOTE);
        let remote = "::ffff:10.0.0.2".parse::<std::net::Ipv6Addr>().unwrap().octets();
        let key = RttKey { remote, family: AF_INET6, what: SAMPLE, ..RttKey::default() };
        let rtt = [(key, RttHistogram { sum_us: 0, buckets: [1; RTT_BUCKETS] })].into();
        let summary = tally.interval(Reading { rtt, ..Reading::default() }, &mut Nobody);
        assert_eq!(summary.rtt[0].remote.unwrap().address, IpAddr::from([10, 0, 0, 2]));
    }

    #[test]
    fn intervals_add_up_to_the_whole() {
        let start = HostCounts { segments_out: 1000, ..HostCounts::default() };
        let mut tally = Tally::new(start, Some(3), by::REMOTE);
        let first = tally.interval(reading(2, &[100]), &mut Nobody);
        let second = tally.interval(reading(5, &[100, 3000]), &mut Nobody);
        let whole = tally.whole(&reading(5, &[100, 3000]), &mut Nobody);
        let events = |summary: &TcpSummary| summary.counts[0].counts.events;
        assert_eq!((events(&first), events(&second), events(&whole)), (2, 3, 5));
        assert_eq!((first.host.segments_out, second.host.segments_out, whole.host.segments_out), (2, 3, 5));
        let (interval, total) = (&second.rtt[0].interval, &second.rtt[0].total);
        assert_eq!((interval.count(), interval.sum_us, total.count()), (1, 3000, 2));
        assert_eq!(second.rtt[0].remote.unwrap().address, IpAddr::from([10, 0, 0, 2]));
        assert_eq!(second.rtt[0].local, None, "what isn't asked for isn't told");
    }
}
