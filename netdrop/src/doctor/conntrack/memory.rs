//! What a tracked connection takes of the kernel's memory.

use super::{Part, Place, Unread};
use crate::units::bytes;

/// `struct nf_conn` in its slab, where nobody may look: 248 bytes, in whole cache lines (`nf_conntrack_init_start`).
const ENTRY: u64 = 256;
/// What is allocated beside it for counters, events, timeouts (`NF_CT_EXT_PREALLOC`, `net/netfilter/nf_conntrack_extend.c`).
const EXTENSIONS: u64 = 128;
/// A list's head in the hash table.
pub const BUCKET: u64 = 8;

/// Of this host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Bytes that the slab takes for each; absent where it can't be read.
    pub entry: Option<u64>,
    /// All memory, in bytes; 0 where it isn't known.
    pub total: u64,
}

impl Part for Memory {
    const FROM: &'static str = "/sys/kernel/slab/nf_conntrack and /proc/meminfo";
    const AT_END: bool = true;

    fn read(place: &Place) -> Result<Self, Unread> {
        let text = |path| place.text(path).unwrap_or_default();
        let of_slab = text("/sys/kernel/slab/nf_conntrack/slab_size").trim().parse().ok();
        let entry = of_slab.or_else(|| object_size(&text("/proc/slabinfo"), "nf_conntrack"));
        let total = text("/proc/meminfo")
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Ok(Self { entry, total: total.unwrap_or(0).saturating_mul(1024) })
    }
}

/// The fourth word of a slab's line in `/proc/slabinfo` (slabinfo(5)).
fn object_size(text: &str, slab: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.split_ascii_whitespace().next() == Some(slab))?;
    line.split_ascii_whitespace().nth(3)?.parse().ok()
}

impl Memory {
    /// Bytes of each connection.
    fn each(&self) -> u64 {
        self.entry.unwrap_or(ENTRY) + EXTENSIONS
    }

    /// So many connections take an eighth of the memory: more would leave too little to the rest.
    pub fn bearable(&self) -> u64 {
        if self.total == 0 { u64::MAX } else { self.total / 8 / (self.each() + BUCKET) }
    }

    /// The formula, for so many connections in a hash table of as many buckets.
    pub fn told(&self, connections: u64) -> String {
        let (each, entry) = (self.each(), self.entry.unwrap_or(ENTRY));
        let whence = if self.entry.is_some() { "as its slab tells" } else { "by estimate" };
        let of =
            if self.total == 0 { String::new() } else { format!("; the host has {}", bytes(self.total)) };
        format!(
            "{connections} connections take {} ({connections} × {each}: {entry} {whence}, {EXTENSIONS} for extensions), and the hash table {} ({connections} × {BUCKET}). Neither can be swapped{of}.",
            bytes(connections.saturating_mul(each)),
            bytes(connections.saturating_mul(BUCKET)),
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::made_up;

    #[test]
    fn it_is_read_from_the_slab() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::new(root.path());
        let write = |path: &str, text: &str| made_up::file(root.path(), path, text);
        assert_eq!(Memory::read(&place).unwrap(), Memory::default());
        write(
            "proc/slabinfo",
            "slabinfo - version: 2.1\nnf_conntrack_expect 0 0 208 1\nnf_conntrack  32 32 320 16 1 : tunables\n",
        );
        write("proc/meminfo", "MemTotal:        8000000 kB\nMemFree: 5 kB\n");
        assert_eq!(Memory::read(&place).unwrap(), Memory { entry: Some(320), total: 8_192_000_000 });
        write("sys/kernel/slab/nf_conntrack/slab_size", "256\n");
        let memory = Memory::read(&place).unwrap();
        assert_eq!((memory.entry, memory.bearable()), (Some(256), 2_612_244));
        assert!(memory.told(1000).contains("1000 × 384"), "{}", memory.told(1000));
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in ".{0,80}") {
            let _ = object_size(&text, "nf_conntrack");
        }
    }
}
