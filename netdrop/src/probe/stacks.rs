//! Reading the table of call chains (`BPF_MAP_TYPE_STACK_TRACE`, kernel/bpf/stackmap.c).

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use aya::maps::MapData;
use netdrop_common::{STACK_DEPTH, STACK_NONE};

use super::sys;

/// The call chains that the program has met; an entry never changes.
#[derive(Debug)]
pub struct Stacks {
    map: MapData,
    known: HashMap<u32, Arc<[u64]>>,
}

impl Stacks {
    pub(super) fn new(map: MapData) -> Self {
        Self { map, known: HashMap::new() }
    }

    /// The addresses of a call chain, innermost first; `None` for [`STACK_NONE`].
    ///
    /// # Errors
    /// When the kernel doesn't give it.
    pub fn addresses(&mut self, number: u32) -> io::Result<Option<Arc<[u64]>>> {
        if number == STACK_NONE {
            return Ok(None);
        }
        if let Some(known) = self.known.get(&number) {
            return Ok(Some(Arc::clone(known)));
        }
        let mut bytes = [0; STACK_DEPTH * size_of::<u64>()];
        sys::map_lookup(self.map.fd(), &number.to_ne_bytes(), &mut bytes)?;
        let (words, _) = bytes.as_chunks();
        let addresses: Arc<[u64]> =
            words.iter().map(|word| u64::from_ne_bytes(*word)).take_while(|&at| at != 0).collect();
        self.known.insert(number, Arc::clone(&addresses));
        Ok(Some(addresses))
    }
}
