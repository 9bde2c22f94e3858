//! Reading the ring of events (`BPF_MAP_TYPE_RINGBUF`, kernel/bpf/ringbuf.c).

use std::io;

use aya::maps::{Map, MapData, RingBuf};
use netdrop_common::read_plain;
use netdrop_common::tcp::TcpEvent;

use crate::probe::ProbeError;

/// The one reader of the ring.
pub struct TcpEvents(RingBuf<MapData>);

impl TcpEvents {
    pub(super) fn map(map: MapData) -> Result<Self, ProbeError> {
        let failed =
            |error| ProbeError::Read { what: "the ring of TCP's events", error: io::Error::other(error) };
        Map::RingBuf(map).try_into().map(Self).map_err(failed)
    }

    /// The next event, in the order in which the ring had room for them; `None` when all were read.
    #[expect(
        clippy::should_implement_trait,
        reason = "there may be more later: an Iterator would have ended"
    )]
    pub fn next(&mut self) -> Option<TcpEvent> {
        loop {
            let record = self.0.next()?;
            // The kernel's program writes nothing else; a record of another size isn't one of its.
            if let Some(event) = read_plain(&record) {
                return Some(event);
            }
        }
    }

    /// Hands out up to `limit` events; gives how many there were. Fewer than `limit`: all were read.
    pub fn drain(&mut self, limit: usize, mut each: impl FnMut(&TcpEvent)) -> usize {
        let mut count = 0;
        while count < limit
            && let Some(event) = self.next()
        {
            each(&event);
            count += 1;
        }
        count
    }
}
