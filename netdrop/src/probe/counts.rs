//! What the kernel counted.

use std::io;

use aya::maps::MapData;
use netdrop_common::{Accounts, Counter, CounterKey, CpuState, OverflowKey, SLOTS, bytes_of, read_plain};

use super::per_cpu::{PerCpu, plain};
use super::{ProbeError, object::Words};

/// The counters of all CPUs.
#[derive(Debug)]
pub struct Counts {
    cpus: PerCpu<CpuState>,
    table: aya::maps::HashMap<MapData, Words<4>, Words<8>>,
}

impl Counts {
    pub(super) fn new(
        cpus: MapData,
        table: aya::maps::HashMap<MapData, Words<4>, Words<8>>,
    ) -> Result<Self, ProbeError> {
        let info = cpus
            .info()
            .map_err(|error| ProbeError::Read { what: "the counters", error: io::Error::other(error) })?;
        let count = info.max_entries() as usize;
        let cpus =
            PerCpu::map(cpus, count).map_err(|error| ProbeError::Read { what: "the counters", error })?;
        Ok(Self { cpus, table })
    }

    /// The sum of all CPUs' accounts.
    pub fn accounts(&self) -> Accounts {
        self.cpus.starts().map(|start| self.cpus.read::<Accounts, 8>(start)).fold(Accounts::default(), sum)
    }

    /// All counters in use, as they stand; a key may come once for each CPU.
    ///
    /// # Errors
    /// When the shared table can't be read to its end.
    pub fn counters(&self) -> Result<Vec<Counter>, ProbeError> {
        let mut counters = Vec::new();
        for start in self.cpus.starts() {
            let slots = start + std::mem::offset_of!(CpuState, slots);
            let counter = |slot| self.cpus.read::<Counter, 8>(slots + slot * size_of::<Counter>());
            counters.extend((0..SLOTS).map(counter).filter(|counter| counter.key.site != 0));
        }
        for entry in &self.table {
            let (_, words) = entry.map_err(|error| ProbeError::Read {
                what: "the table of counters",
                error: io::Error::other(error),
            })?;
            counters.push(plain(words));
        }
        Ok(counters)
    }

    /// Takes counters out of the shared table; gives what they had counted. A counter in a CPU's slots stays, whatever
    /// `gone` says of it. A drop that is being counted at this very moment is lost: take only what has long been quiet.
    ///
    /// # Errors
    /// When the table can't be read to its end.
    pub fn evict(&mut self, gone: impl Fn(&CounterKey) -> bool) -> Result<Vec<Counter>, ProbeError> {
        let failed =
            |error| ProbeError::Read { what: "the table of counters", error: io::Error::other(error) };
        let keys: Vec<Words<4>> = self.table.keys().collect::<Result<_, _>>().map_err(failed)?;
        let key_of = |words: &Words<4>| read_plain::<OverflowKey>(bytes_of(words)).map(|key| key.key);
        let mut evicted = Vec::new();
        for key in keys.iter().filter(|key| key_of(key).is_some_and(|key| gone(&key))) {
            // Nobody else removes them.
            let words = self.table.get(key, 0).map_err(failed)?;
            self.table.remove(key).map_err(failed)?;
            evicted.push(plain(words));
        }
        Ok(evicted)
    }
}

fn sum(a: Accounts, b: Accounts) -> Accounts {
    Accounts {
        seen: a.seen + b.seen,
        detailed: a.detailed + b.detailed,
        sampled_out: a.sampled_out + b.sampled_out,
        ring_full: a.ring_full + b.ring_full,
        filtered: a.filtered + b.filtered,
        table_full: a.table_full + b.table_full,
        missed: a.missed + b.missed,
        stackless: a.stackless + b.stackless,
    }
}
