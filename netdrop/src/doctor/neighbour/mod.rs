//! Neighbours: the tables of ARP and NDP, which all network namespaces share.

mod table_full;
mod unresolved;

use super::{Check, Part, Place, Unread};
use crate::counters::cpu_table::CpuTable;
use crate::counters::neighbour_tables::{self, NeighbourTables};

pub const CHECKS: &[Check] = &[table_full::CHECK, unresolved::CHECK];

impl Part for NeighbourTables {
    const FROM: &'static str = "rtnetlink (ip -s ntable)";

    fn read(_: &Place) -> Result<Self, Unread> {
        neighbour_tables::read().map_err(|error| Unread::io(Self::FROM, &error))
    }
}

/// What the tables count that rtnetlink doesn't tell, IPv4's first; the host's own namespace alone has the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NeighbourStats(pub [CpuTable; 2]);

impl Part for NeighbourStats {
    const FROM: &'static str = "/proc/net/stat/arp_cache and ndisc_cache";

    fn read(place: &Place) -> Result<Self, Unread> {
        let table = |text: &str| CpuTable::parse(text).map_err(|error| Unread::new(Self::FROM, error));
        let of_ipv4 = table(&place.net("stat/arp_cache")?)?;
        // Without IPv6 there is no such file.
        Ok(Self([of_ipv4, table(&place.net("stat/ndisc_cache").unwrap_or_default())?]))
    }
}
