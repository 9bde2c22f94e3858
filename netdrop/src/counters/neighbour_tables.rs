//! The tables of neighbours, which all network namespaces share: `RTM_GETNEIGHTBL` of rtnetlink(7), as `ip ntable` reads them.

use std::io;

use super::netlink::{attribute, attributes, dump, text, u32_at};

const RTM_GETNEIGHTBL: u16 = 66;
/// Bytes of `struct ndtmsg`.
const HEADER: usize = 4;
/// `NDTA_*` and `NDTPA_*` (`include/uapi/linux/neighbour.h`).
const NAME: u16 = 1;
const THRESH: [u16; 3] = [2, 3, 4];
const CONFIG: u16 = 5;
const PARMS: u16 = 6;
const STATS: u16 = 7;
const NDTPA_IFINDEX: u16 = 1;
/// Of `struct ndt_config`: `ndtc_entries`.
const ENTRIES: usize = 4;
/// Of `struct ndt_stats`, numbers of 64 bits: their places.
const RES_FAILED: usize = 3;
const FORCED_GC_RUNS: usize = 9;
const TABLE_FULLS: usize = 10;

/// `arp_cache` or `ndisc_cache`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NeighbourTable {
    /// Its name.
    pub name: String,
    /// Neighbours in it, of all namespaces.
    pub entries: u32,
    /// `gc_thresh1`, below which nothing is collected; `gc_thresh2`, above which it is after 5 seconds; `gc_thresh3`, the most.
    pub thresholds: [u32; 3],
    /// Neighbours that didn't answer.
    pub failed: u64,
    /// Collections that a new neighbour had to wait for.
    pub forced_collections: u64,
    /// New neighbours that found no place even so. Kernels before 4.3 don't count it.
    pub full: u64,
}

/// Those of IPv4 and IPv6.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NeighbourTables(pub Vec<NeighbourTable>);

impl NeighbourTables {
    /// A table by its name.
    pub fn get(&self, name: &str) -> Option<&NeighbourTable> {
        self.0.iter().find(|table| table.name == name)
    }
}

/// Asks the kernel.
///
/// # Errors
/// When it doesn't answer.
pub fn read() -> io::Result<NeighbourTables> {
    let answers = dump(RTM_GETNEIGHTBL, &[0; HEADER])?;
    Ok(tables(answers.iter().filter_map(|answer| parse(answer))))
}

/// Each once: where there are so many devices that their parameters don't fit into one answer, the next begins with their table again
/// (`neightbl_dump_info`, `net/core/neighbour.c`; the newest don't any more).
fn tables(told: impl Iterator<Item = NeighbourTable>) -> NeighbourTables {
    let mut tables = Vec::<NeighbourTable>::new();
    for table in told {
        match tables.iter_mut().find(|one| one.name == table.name) {
            Some(one) => *one = table,
            None => tables.push(table),
        }
    }
    NeighbourTables(tables)
}

/// One `RTM_NEWNEIGHTBL`; nothing where it isn't whole, or tells only the parameters of a device.
pub fn parse(message: &[u8]) -> Option<NeighbourTable> {
    let body = message.get(HEADER..)?;
    let of_device = attribute(body, PARMS)
        .is_some_and(|parameters| attributes(parameters).any(|(kind, _)| kind == NDTPA_IFINDEX));
    let stats = attribute(body, STATS);
    if of_device && stats.is_none() {
        return None;
    }
    let (stats, _) = stats?.as_chunks::<8>();
    let number = |place: usize| stats.get(place).map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    let threshold = |kind| attribute(body, kind).and_then(|value| u32_at(value, 0)).unwrap_or(0);
    Some(NeighbourTable {
        name: text(attribute(body, NAME)?),
        entries: u32_at(attribute(body, CONFIG)?, ENTRIES)?,
        thresholds: THRESH.map(threshold),
        failed: number(RES_FAILED),
        forced_collections: number(FORCED_GC_RUNS),
        full: number(TABLE_FULLS),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::netlink::tests::encoded;
    use super::*;

    fn message(stats: usize) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes.extend(encoded(NAME, b"arp_cache\0"));
        for (kind, value) in THRESH.into_iter().zip([128_u32, 512, 1024]) {
            bytes.extend(encoded(kind, &value.to_ne_bytes()));
        }
        bytes.extend(encoded(CONFIG, &[0, 0, 0, 0, 77, 0, 0, 0, 9, 9, 9, 9]));
        let numbers: Vec<u8> = (0..stats as u64).flat_map(u64::to_ne_bytes).collect();
        bytes.extend(encoded(STATS, &numbers));
        bytes
    }

    #[test]
    fn a_table_as_the_kernel_tells_it() {
        let expected = NeighbourTable {
            name: "arp_cache".into(),
            entries: 77,
            thresholds: [128, 512, 1024],
            failed: 3,
            forced_collections: 9,
            full: 10,
        };
        assert_eq!(parse(&message(11)), Some(expected.clone()));
        assert_eq!(parse(&message(10)), Some(NeighbourTable { full: 0, ..expected }));
    }

    #[test]
    fn the_parameters_of_a_device_are_no_table() {
        let mut bytes = vec![0; HEADER];
        bytes.extend(encoded(NAME, b"arp_cache\0"));
        bytes.extend(encoded(PARMS, &encoded(NDTPA_IFINDEX, &[1, 0, 0, 0])));
        assert_eq!(parse(&bytes), None);
    }

    #[test]
    fn a_table_that_is_told_again_is_one() {
        let table = |name: &str, entries| NeighbourTable { name: name.into(), entries, ..Default::default() };
        let told = [table("arp_cache", 3), table("ndisc_cache", 5), table("ndisc_cache", 6)];
        let expected = NeighbourTables(vec![table("arp_cache", 3), table("ndisc_cache", 6)]);
        assert_eq!(tables(told.into_iter()), expected);
    }

    #[test]
    fn this_kernel_has_a_table_for_ipv4() {
        let tables = read().unwrap();
        let arp = tables.get("arp_cache").unwrap();
        assert!(arp.thresholds[2] > 0, "{arp:?}");
    }

    proptest! {
        #[test]
        fn any_bytes_will_do(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
