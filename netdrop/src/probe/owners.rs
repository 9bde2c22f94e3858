//! What the filter's containers and processes are in the kernel's numbers, as the program asks for it.

use std::collections::HashMap;
use std::io;

use aya::maps::MapData;
use netdrop_common::{OwnerKey, bytes_of};

use super::{ProbeError, sys};

/// The program's map of owners; it may be changed at any time.
#[derive(Debug)]
pub struct OwnerMap {
    map: MapData,
    held: HashMap<OwnerKey, u32>,
}

impl OwnerMap {
    pub(super) fn new(map: MapData) -> Self {
        Self { map, held: HashMap::new() }
    }

    /// Makes `wanted` all that is in it. What stays as it is isn't touched, so the program misses none of it meanwhile.
    ///
    /// # Errors
    /// When the kernel refuses a change; the next call tries again.
    pub fn set(&mut self, wanted: &HashMap<OwnerKey, u32>) -> Result<(), ProbeError> {
        self.change(wanted).map_err(|error| ProbeError::Map { name: "OWNERS".into(), error })
    }

    fn change(&mut self, wanted: &HashMap<OwnerKey, u32>) -> io::Result<()> {
        // First those that go: the map may be full.
        let gone: Vec<_> = self.held.keys().filter(|key| !wanted.contains_key(key)).copied().collect();
        for key in gone {
            sys::map_delete(self.map.fd(), bytes_of(&key))?;
            self.held.remove(&key);
        }
        for (key, value) in wanted {
            if self.held.get(key) != Some(value) {
                sys::map_update(self.map.fd(), bytes_of(key), &value.to_ne_bytes())?;
                self.held.insert(*key, *value);
            }
        }
        Ok(())
    }
}
