//! What waited at listeners, and what ports were taken: sampled while netdrop ran, not counted.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::super::{Endpoint, Netns, Owner};

/// Samples of listeners' queues and of the ports in use, since the start.
#[derive(Debug, Clone, Default)]
pub struct TcpQueues {
    /// Listeners, deepest queue first.
    pub listeners: Vec<ListenerRow>,
    /// Where most ports are taken, first; a few.
    pub pressure: Vec<PortPressure>,
    /// Each namespace that was looked at.
    pub namespaces: Vec<NetnsPorts>,
}

/// A listener; several that share address and port (`SO_REUSEPORT`) are one.
#[derive(Debug, Clone)]
pub struct ListenerRow {
    /// Its network namespace.
    pub netns: Arc<Netns>,
    /// What it listens on; `0.0.0.0` or `::` for every address.
    pub local: SocketAddr,
    /// Sockets with this address and port.
    pub sockets: u32,
    /// The first one's inode.
    pub inode: u32,
    /// Whose it is; absent where it wasn't looked for.
    pub owner: Option<Arc<Owner>>,
    /// How many connections each of its queues is meant to hold: `listen(2)`'s backlog, at most `net.core.somaxconn`. The kernel lets one more
    /// into the accept queue (`sk_acceptq_is_full`).
    pub limit: u32,
    /// Connections that wait to be accepted.
    pub accept: Depth,
    /// Connections that are being opened (`SYN_RECV`).
    pub syn: Depth,
    /// Whether it was there at the last look.
    pub is_open: bool,
}

/// Buckets of [`Depth::buckets`].
pub const DEPTH_BUCKETS: usize = 33;

/// How deep a queue was, in samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// At the last sample.
    pub now: u32,
    /// At most.
    pub most: u32,
    /// Samples.
    pub samples: u64,
    /// Sum of their depths.
    pub sum: u64,
    /// Of those samples: the ones with more in the queue than its limit, or as many (SYN queue), so that another one was refused.
    pub full: u64,
    /// Samples by depth: none, 1, 2 to 3, 4 to 7, …
    pub buckets: [u64; DEPTH_BUCKETS],
}

impl Default for Depth {
    fn default() -> Self {
        Self { now: 0, most: 0, samples: 0, sum: 0, full: 0, buckets: [0; DEPTH_BUCKETS] }
    }
}

impl Depth {
    /// One more sample.
    pub fn add(&mut self, depth: u32, is_full: bool) {
        self.now = depth;
        self.most = self.most.max(depth);
        self.samples += 1;
        self.sum += u64::from(depth);
        self.full += u64::from(is_full);
        self.buckets[(u32::BITS - depth.leading_zeros()) as usize] += 1;
    }

    /// The mean depth; absent without samples.
    pub fn mean(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a mean of connections")]
        (self.samples > 0).then(|| self.sum as f64 / self.samples as f64)
    }

    /// The depths among which the quantile `q` (0 to 1) lies; absent without samples.
    pub fn quantile(&self, q: f64) -> Option<RangeInclusive<u32>> {
        let bucket = super::quantile_bucket(&self.buckets, q)?;
        let above = 1_u64 << bucket;
        let last = u32::try_from(above - 1).unwrap_or(u32::MAX).min(self.most);
        Some(u32::try_from(above / 2).unwrap_or(u32::MAX).min(last)..=last)
    }
}

/// How many ports connections to one destination take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortPressure {
    /// The network namespace.
    pub netns: Arc<Netns>,
    /// From this address.
    pub local: IpAddr,
    /// To this one and port.
    pub remote: Endpoint,
    /// Ports in use, those in `TIME_WAIT` included.
    pub used: u32,
    /// Of those: in `TIME_WAIT`.
    pub time_wait: u32,
    /// Ports that there are for it, in use or not.
    pub available: u32,
}

/// What is limited in a network namespace.
#[derive(Debug, Clone)]
pub struct NetnsPorts {
    /// Which.
    pub netns: Arc<Netns>,
    /// Connections in `TIME_WAIT` now, and at most of all samples; absent where the kernel doesn't tell.
    pub time_wait: Option<(u64, u64)>,
    /// `net.ipv4.tcp_max_tw_buckets`.
    pub time_wait_limit: Option<u64>,
    /// `net.ipv4.ip_local_port_range`: first and last.
    pub range: Option<(u16, u16)>,
    /// Of that range: `net.ipv4.ip_local_reserved_ports`.
    pub reserved: u32,
    /// How often accept queues were looked at, SYN queues, ports.
    pub samples: [u64; 3],
    /// Why it can't be looked at (any more).
    pub failed: Option<String>,
}

impl NetnsPorts {
    /// Ports that outgoing connections may take; 0 when the range isn't known.
    pub fn available(&self) -> u32 {
        let ports = self.range.map_or(0, |(first, last)| u32::from(last.saturating_sub(first)) + 1);
        ports.saturating_sub(self.reserved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depths_are_counted_by_powers_of_two() {
        let mut depth = Depth::default();
        for waiting in [0, 0, 1, 3, 4, 129, u32::MAX] {
            depth.add(waiting, waiting > 128);
        }
        assert_eq!((depth.samples, depth.full, depth.most), (7, 2, u32::MAX));
        assert_eq!(depth.buckets[..4], [2, 1, 1, 1]);
        assert_eq!(depth.quantile(0.0), Some(0..=0));
        assert_eq!(depth.quantile(0.5), Some(2..=3));
        assert_eq!(depth.quantile(0.8), Some(128..=255));
        assert_eq!(depth.quantile(1.0), Some(1 << 31..=u32::MAX));
        assert_eq!(Depth::default().quantile(0.5), None);
    }

    #[test]
    fn no_quantile_is_beyond_the_most() {
        let mut depth = Depth::default();
        depth.add(5, false);
        assert_eq!(depth.quantile(0.99), Some(4..=5));
    }
}
