//! The ring buffer of details.

use std::io;

use aya::maps::{MapData, RingBuf, ring_buf::RingBufItem};
use tokio::io::unix::AsyncFd;

/// Details as they come; what isn't taken in time, the kernel counts as `ring_full`.
pub struct Events {
    ring: AsyncFd<RingBuf<MapData>>,
}

impl Events {
    pub(super) fn new(ring: RingBuf<MapData>) -> io::Result<Self> {
        // SAFETY: the ring's descriptor stays the same and open as long as the ring, which the AsyncFd owns.
        Ok(Self { ring: unsafe { AsyncFd::register(ring) }? })
    }

    /// Waits until there may be an event.
    ///
    /// # Errors
    /// When the ring can't be watched.
    pub async fn ready(&mut self) -> io::Result<()> {
        // The readiness is cleared at once: `next` is called until it gives nothing, and an event that comes
        // after that raises it anew.
        self.ring.readable_mut().await?.clear_ready();
        Ok(())
    }

    /// The next event's bytes; they are given back to the kernel when dropped.
    pub fn next(&mut self) -> Option<RingBufItem<'_>> {
        self.ring.get_mut().next()
    }
}
