//! The names of traps, as the program met them.

use aya::maps::MapData;
use netdrop_common::{TRAP_WORDS, Trap, read_plain};

use super::sys;

/// What the sites of traps stand for; an entry never changes.
#[derive(Debug)]
pub struct Traps(MapData);

impl Traps {
    pub(super) fn new(map: MapData) -> Self {
        Self(map)
    }

    /// The trap; `None` where the program had no room for it.
    pub fn get(&self, site: u64) -> Option<Trap> {
        let mut bytes = [0; TRAP_WORDS * size_of::<u64>()];
        sys::map_lookup(self.0.fd(), &site.to_ne_bytes(), &mut bytes).ok()?;
        read_plain(&bytes)
    }
}
