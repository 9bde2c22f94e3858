//! Which compilation unit an address belongs to: an index of address ranges, so that only that unit need be read.

use std::collections::HashSet;

use addr2line::gimli::{self, DebugInfoOffset, Dwarf, Range};

use super::relocate::Reader;

/// The units of a file by address.
///
/// `.debug_aranges` tells them in some 100 KB. Clang doesn't write it, though it may be there for assembly alone: where an address is
/// not in it, all units' own ranges are read, once.
#[derive(Debug, Default)]
pub struct Units {
    /// Ordered by where they begin.
    ranges: Vec<UnitRange>,
    read: Read,
}

/// Units whose pages are held at the same time while all are read.
const UNITS_AT_ONCE: usize = 64;

/// How much of a file has been read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Read {
    #[default]
    Nothing,
    Aranges,
    AllUnits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct UnitRange {
    begin: u64,
    end: u64,
    unit: usize,
}

impl Units {
    /// The offset in `.debug_info` of the unit that an address belongs to.
    /// Reading all units touches pages all over the file: `let_go` is called every now and then to give them back.
    pub fn find(
        &mut self,
        dwarf: &Dwarf<Reader<'_>>,
        address: u64,
        let_go: impl Fn(),
    ) -> gimli::Result<Option<DebugInfoOffset<usize>>> {
        for next in [Read::Aranges, Read::AllUnits] {
            if self.read < next {
                let found = match next {
                    Read::AllUnits => self.other_units(dwarf, &let_go)?,
                    _ => aranges(dwarf)?,
                };
                self.extend(found);
                self.read = next;
            }
            if let Some(unit) = self.get(address) {
                return Ok(Some(DebugInfoOffset(unit)));
            }
        }
        Ok(None)
    }

    fn get(&self, address: u64) -> Option<usize> {
        let at = self.ranges.partition_point(|range| range.begin <= address).checked_sub(1)?;
        Some(self.ranges[at]).filter(|range| address < range.end).map(|range| range.unit)
    }

    fn extend(&mut self, ranges: Vec<UnitRange>) {
        self.ranges.extend(ranges.into_iter().filter(|range| range.begin < range.end));
        self.ranges.sort_unstable_by_key(|range| (range.begin, range.end));
        self.ranges.shrink_to_fit();
    }

    /// The ranges of units that `.debug_aranges` lacks.
    fn other_units(&self, dwarf: &Dwarf<Reader<'_>>, let_go: impl Fn()) -> gimli::Result<Vec<UnitRange>> {
        let known: HashSet<usize> = self.ranges.iter().map(|range| range.unit).collect();
        let mut found = Vec::new();
        let mut units = dwarf.units();
        for number in 1_usize.. {
            let Some(header) = units.next()? else { break };
            if number.is_multiple_of(UNITS_AT_ONCE) {
                let_go();
            }
            let Some(DebugInfoOffset(offset)) = header.debug_info_offset() else { continue };
            if known.contains(&offset) {
                continue;
            }
            let unit = dwarf.unit(header)?;
            let mut ranges = dwarf.unit_ranges(&unit)?;
            while let Some(Range { begin, end }) = ranges.next()? {
                found.push(UnitRange { begin, end, unit: offset });
            }
        }
        Ok(found)
    }
}

fn aranges(dwarf: &Dwarf<Reader<'_>>) -> gimli::Result<Vec<UnitRange>> {
    let mut found = Vec::new();
    let mut headers = dwarf.debug_aranges.headers();
    while let Some(header) = headers.next()? {
        let DebugInfoOffset(unit) = header.debug_info_offset();
        let mut entries = header.entries();
        while let Some(entry) = entries.next()? {
            let Range { begin, end } = entry.range();
            found.push(UnitRange { begin, end, unit });
        }
    }
    Ok(found)
}
