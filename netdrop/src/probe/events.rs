//! The ring buffer of details.

use std::io;

use aya::maps::{MapData, RingBuf, ring_buf::RingBufItem};
use tokio::io::unix::AsyncFd;

/// Details as they come; what isn't taken in time, the kernel counts as `ring_full`.
pub struct Events {
    ring: AsyncFd<RingBuf<MapData>>,
    not_drained: bool,
}

impl Events {
    pub(super) fn new(ring: RingBuf<MapData>) -> io::Result<Self> {
        // SAFETY: the ring's descriptor stays the same and open as long as the ring, which the AsyncFd owns.
        Ok(Self { ring: unsafe { AsyncFd::register(ring) }?, not_drained: false })
    }

    /// Waits until there may be an event.
    ///
    /// # Errors
    /// When the ring can't be watched.
    pub async fn ready(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.not_drained) {
            return Ok(());
        }
        // The readiness is cleared at once: `next` is called until it gives nothing, and an event that comes
        // after that raises it anew.
        self.ring.readable_mut().await?.clear_ready();
        Ok(())
    }

    /// Says that the ring was left with events in it, for which no further readiness will come.
    pub fn not_drained(&mut self) {
        self.not_drained = true;
    }

    #[expect(
        clippy::should_implement_trait,
        reason = "an item borrows from the ring, which an Iterator's can't"
    )]
    /// The next event's bytes; they are given back to the kernel when dropped.
    pub fn next(&mut self) -> Option<RingBufItem<'_>> {
        self.ring.get_mut().next()
    }
}
