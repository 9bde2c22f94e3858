//! The details as they come.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use aya::maps::MapData;
use tokio::io::unix::AsyncFd;

use super::ring::Ring;

/// Details as they come; what isn't taken in time, the kernel counts as `ring_full`.
#[derive(Debug)]
pub struct Events {
    map: AsyncFd<RingMap>,
    ring: Ring,
    not_drained: bool,
}

/// The map, to be watched.
#[derive(Debug)]
struct RingMap(MapData);

impl AsRawFd for RingMap {
    fn as_raw_fd(&self) -> RawFd {
        self.0.fd().as_fd().as_raw_fd()
    }
}

impl Events {
    pub(super) fn new(map: MapData, bytes: u32) -> io::Result<Self> {
        let ring = Ring::map(map.fd(), bytes)?;
        // SAFETY: the map's descriptor stays the same and open as long as the map, which the AsyncFd owns.
        let map = unsafe { AsyncFd::register(RingMap(map)) }?;
        Ok(Self { map, ring, not_drained: false })
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
        self.map.readable_mut().await?.clear_ready();
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
    /// The next event's bytes.
    pub fn next(&mut self) -> Option<&[u8]> {
        self.ring.next()
    }
}
