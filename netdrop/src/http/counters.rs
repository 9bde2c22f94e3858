//! What the server counts of itself.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counted since the start. Reading costs nothing.
#[derive(Debug, Default)]
pub struct Counters {
    connections: AtomicU64,
    refused: AtomicU64,
    handshakes_failed: AtomicU64,
    requests: AtomicU64,
    unauthorized: AtomicU64,
}

/// A counter's place in [`Counters`].
type Place = fn(&Counters) -> &AtomicU64;

/// Counts one.
pub(super) const CONNECTION: Place = |counters| &counters.connections;
pub(super) const REFUSED: Place = |counters| &counters.refused;
pub(super) const HANDSHAKE_FAILED: Place = |counters| &counters.handshakes_failed;
pub(super) const REQUEST: Place = |counters| &counters.requests;
pub(super) const UNAUTHORIZED: Place = |counters| &counters.unauthorized;

impl Counters {
    pub(super) fn count(&self, place: Place) {
        place(self).fetch_add(1, Ordering::Relaxed);
    }

    /// Connections that were accepted and served.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Connections that were closed at once, because `max_connections` were open.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Connections whose TLS handshake failed or took too long.
    pub fn handshakes_failed(&self) -> u64 {
        self.handshakes_failed.load(Ordering::Relaxed)
    }

    /// Requests, those that were refused included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Requests without the right token.
    pub fn unauthorized(&self) -> u64 {
        self.unauthorized.load(Ordering::Relaxed)
    }
}
