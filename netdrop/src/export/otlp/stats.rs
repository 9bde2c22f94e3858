//! What became of everything that was to be sent.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start; whoever reports them reads, the exporter alone writes.
///
/// Of log records, `read = exported + rate_limited + queue_full + undecodable + rejected + failed` once the exporter has
/// ended; before, the rest is queued or on its way. `lagged` were never read.
#[derive(Debug, Default)]
pub struct Stats {
    /// Metrics that a receiver took.
    pub metrics_exports: AtomicU64,
    /// Metrics that it did not; the next export has their counts.
    pub metrics_failures: AtomicU64,
    /// Data points that a receiver said it left out.
    pub points_rejected: AtomicU64,
    /// Detailed drops that came to the exporter.
    pub logs_read: AtomicU64,
    /// Log records that a receiver took.
    pub logs_exported: AtomicU64,
    /// Detailed drops beyond `logs_per_second`.
    pub logs_rate_limited: AtomicU64,
    /// Those that the queue had no room for, while the receiver was down or slow.
    pub logs_queue_full: AtomicU64,
    /// Lines that are no drops.
    pub logs_undecodable: AtomicU64,
    /// Log records that a receiver said it left out.
    pub logs_rejected: AtomicU64,
    /// Those that were given up: refused, tried for too long, or left over at the end.
    pub logs_failed: AtomicU64,
    /// Detailed drops that came faster than the exporter read.
    pub logs_lagged: AtomicU64,
}

impl Stats {
    /// What was lost of detailed drops, by stage; none of it is lost to the counts.
    pub fn lost(&self) -> [(&'static str, u64); 6] {
        [
            ("otlp_rate_limited", read(&self.logs_rate_limited)),
            ("otlp_queue_full", read(&self.logs_queue_full)),
            ("otlp_undecodable", read(&self.logs_undecodable)),
            ("otlp_rejected", read(&self.logs_rejected)),
            ("otlp_failed", read(&self.logs_failed)),
            ("otlp_lagged", read(&self.logs_lagged)),
        ]
    }

    /// At the end: what was read and has come to no other end was given up.
    pub(super) fn settle(&self) {
        let ended: u64 = [
            &self.logs_exported,
            &self.logs_rate_limited,
            &self.logs_queue_full,
            &self.logs_undecodable,
            &self.logs_rejected,
            &self.logs_failed,
        ]
        .into_iter()
        .map(read)
        .sum();
        add(&self.logs_failed, read(&self.logs_read).saturating_sub(ended));
    }
}

/// Adds to a count.
pub(super) fn add(count: &AtomicU64, number: u64) {
    count.fetch_add(number, Ordering::Relaxed);
}

/// Reads a count.
pub(super) fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}
