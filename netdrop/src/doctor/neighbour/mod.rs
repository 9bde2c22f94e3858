//! Neighbours: the tables of ARP and NDP, which all network namespaces share, and what waits for their answers.

mod failed;
mod forced_gc;
mod table_full;
mod unresolved;

use std::collections::BTreeMap;
use std::fs;

use super::{Check, Evidence, Part, Place, Remedy, Unread};
use crate::counters::cpu_table::CpuTable;
use crate::counters::neighbour_tables::{self, NeighbourTable, NeighbourTables};
use crate::counters::neighbours::{self, Neighbours};

pub const CHECKS: &[Check] = &[table_full::CHECK, forced_gc::CHECK, unresolved::CHECK, failed::CHECK];

/// What they are called, and how their settings begin.
const FAMILIES: [(&str, &str); 2] = [("IPv4", "net/ipv4/neigh"), ("IPv6", "net/ipv6/neigh")];

impl Part for NeighbourTables {
    const FROM: &'static str = "rtnetlink (ip -s ntable)";

    fn read(_: &Place) -> Result<Self, Unread> {
        neighbour_tables::read().map_err(|error| Unread::io(Self::FROM, &error))
    }
}

impl Part for Neighbours {
    const FROM: &'static str = "rtnetlink (ip neigh)";
    const AT_END: bool = true;

    fn read(_: &Place) -> Result<Self, Unread> {
        neighbours::read().map_err(|error| Unread::io(Self::FROM, &error))
    }
}

/// What the tables count that rtnetlink doesn't tell, IPv4's first. The host's own namespace alone has the files (`neigh_table_init`,
/// net/core/neighbour.c): elsewhere they are read by its first process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NeighbourStats(pub [CpuTable; 2]);

impl Part for NeighbourStats {
    const FROM: &'static str = "/proc/net/stat/arp_cache and ndisc_cache";

    fn read(place: &Place) -> Result<Self, Unread> {
        let table = |text: &str| CpuTable::parse(text).map_err(|error| Unread::new(Self::FROM, error));
        let text = |name: &str| {
            let here = place.net(&format!("stat/{name}"));
            here.or_else(|error| place.text(&format!("/proc/1/net/stat/{name}")).map_err(|_| error))
        };
        let of_ipv4 = table(&text("arp_cache")?)?;
        // Without IPv6 there is no such file.
        Ok(Self([of_ipv4, table(&text("ndisc_cache").unwrap_or_default())?]))
    }
}

/// How much may wait for each next hop of a device, in bytes of the packets' buffers: `unres_qlen_bytes`, by family and device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaitingRoom(pub BTreeMap<(usize, String), u64>);

impl Part for WaitingRoom {
    const FROM: &'static str = "/proc/sys/net/ipv4/neigh and ipv6/neigh";
    const AT_END: bool = true;

    fn read(place: &Place) -> Result<Self, Unread> {
        let mut found = BTreeMap::new();
        for (family, (_, folder)) in FAMILIES.iter().enumerate() {
            let folder = place.path(&format!("/proc/sys/{folder}"));
            for device in fs::read_dir(folder).into_iter().flatten().flatten() {
                let text = fs::read_to_string(device.path().join("unres_qlen_bytes")).unwrap_or_default();
                if let Ok(limit) = text.trim().parse() {
                    found.insert((family, device.file_name().to_string_lossy().into_owned()), limit);
                }
            }
        }
        Ok(Self(found))
    }
}

/// The family of a table, as in [`FAMILIES`].
fn family_of(table: &NeighbourTable) -> usize {
    usize::from(table.name == "ndisc_cache")
}

/// How full a table is, against each of its thresholds.
fn fill(table: &NeighbourTable) -> [Evidence; 2] {
    let limits = table.thresholds.map(|limit| limit.to_string()).join(" ");
    [
        Evidence::value("entries", table.entries, NeighbourTables::FROM),
        Evidence::value("gc_thresh1 to 3", limits, NeighbourTables::FROM),
    ]
}

/// Room for so many neighbours.
fn room(family: usize, enough: u64) -> Remedy {
    let key = FAMILIES[family].1.replace('/', ".") + ".default.gc_thresh";
    let keys = [1, 2, 3].map(|number| format!("{key}{number}"));
    // The kernel's own proportions: 128, 512, 1024 (`arp_tbl`, net/ipv4/arp.c; `nd_tbl`, net/ipv6/ndisc.c).
    let settings: [(&str, &dyn std::fmt::Display); 3] =
        [(&keys[2], &enough), (&keys[1], &(enough / 2)), (&keys[0], &(enough / 8))];
    Remedy::host_sysctl("Let the table hold more.", &settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up::file as write;

    #[test]
    fn counters_are_found_from_any_namespace() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::new(root.path());
        assert!(NeighbourStats::read(&place).is_err());
        write(root.path(), "proc/1/net/stat/arp_cache", "entries unresolved_discards\n2 7\n2 1\n");
        let stats = NeighbourStats::read(&place).unwrap();
        assert_eq!(stats.0.map(|table| table.get("unresolved_discards")), [Some(8), None]);
    }

    #[test]
    fn each_device_has_its_waiting_room() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "proc/sys/net/ipv4/neigh/eth0.5/unres_qlen_bytes", "212992\n");
        write(root.path(), "proc/sys/net/ipv6/neigh/eth0.5/retrans_time_ms", "1000\n");
        let rooms = WaitingRoom::read(&Place::new(root.path())).unwrap();
        assert_eq!(rooms.0, [((0, "eth0.5".to_owned()), 212_992)].into());
    }
}
