//! Neighbours: the tables of ARP and NDP, which all network namespaces share.

mod table_full;

use super::{Check, Part, Place, Unread};
use crate::counters::neighbour_tables::{self, NeighbourTables};

pub const CHECKS: &[Check] = &[table_full::CHECK];

impl Part for NeighbourTables {
    const FROM: &'static str = "rtnetlink (ip -s ntable)";

    fn read(_: &Place) -> Result<Self, Unread> {
        neighbour_tables::read().map_err(|error| Unread::io(Self::FROM, &error))
    }
}
