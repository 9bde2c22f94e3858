//! Connection tracking: how full its table is, and what that costs.

mod insert_failed;
mod table_full;

use super::{Check, Part, Place, Unread};
use crate::counters::cpu_table::CpuTable;

pub const CHECKS: &[Check] = &[table_full::CHECK, insert_failed::CHECK];

/// What connection tracking of a network namespace counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conntrack(pub CpuTable);

impl Part for Conntrack {
    const FROM: &'static str = "/proc/net/stat/nf_conntrack";

    fn read(place: &Place) -> Result<Self, Unread> {
        let text = place.net("stat/nf_conntrack")?;
        CpuTable::parse(&text).map(Self).map_err(|error| Unread::new(Self::FROM, error))
    }
}
