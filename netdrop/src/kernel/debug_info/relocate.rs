//! A module's file is not linked: offsets and addresses in its debug information are relocated while they are read
//! (elf(5), "Relocation entries").

use std::collections::HashMap;

use addr2line::gimli::{self, EndianSlice, Relocate, RelocateReader, RunTimeEndian};
use object::{File, Object as _, ObjectSection as _, ObjectSymbol as _};
use object::{RelocationKind, RelocationTarget, Section, SectionIndex, SymbolSection};

use super::image::Rejected;

/// Reads a section of debug information.
pub type Reader<'d> = RelocateReader<EndianSlice<'d, RunTimeEndian>, &'d Relocations>;

/// Values that take the place of a section's own, by offset; none in a file that is linked.
#[derive(Debug, Default)]
pub struct Relocations(Vec<(u64, u64)>);

impl Relocations {
    /// The relocations of a section, where `address_of` gives the address of each section that is loaded.
    pub fn read(
        file: &File<'_>,
        section: &Section<'_, '_>,
        address_of: impl Fn(&str) -> Option<u64>,
    ) -> Result<Self, Rejected> {
        // Those that debug information is looked up in; the others are large and not needed.
        let needed = [
            ".debug_addr",
            ".debug_aranges",
            ".debug_info",
            ".debug_line",
            ".debug_ranges",
            ".debug_rnglists",
            ".debug_str_offsets",
        ];
        let name = section.name()?;
        if !needed.contains(&name) {
            return Ok(Self::default());
        }
        let unknown = || Rejected::Relocation(name.into());
        let mut targets = Targets { file, address_of, sections: HashMap::new() };
        let mut values = Vec::new();
        for (offset, relocation) in section.relocations() {
            match (relocation.kind(), relocation.target()) {
                (RelocationKind::None, _) => {}
                (RelocationKind::Absolute, target) if !relocation.has_implicit_addend() => {
                    let target = targets.address(target).ok_or_else(unknown)?;
                    values.push((offset, target.wrapping_add_signed(relocation.addend())));
                }
                _ => return Err(unknown()),
            }
        }
        values.sort_unstable_by_key(|(offset, _)| *offset);
        Ok(Self(values))
    }

    fn at(&self, offset: usize) -> Option<u64> {
        let at = self.0.binary_search_by_key(&(offset as u64), |(offset, _)| *offset).ok()?;
        Some(self.0[at].1)
    }
}

impl Relocate for &Relocations {
    fn relocate_address(&self, offset: usize, value: u64) -> gimli::Result<u64> {
        Ok(self.at(offset).unwrap_or(value))
    }

    fn relocate_offset(&self, offset: usize, value: usize) -> gimli::Result<usize> {
        let Some(value) = self.at(offset) else { return Ok(value) };
        usize::try_from(value).map_err(|_| gimli::Error::UnsupportedOffset)
    }
}

/// What relocations point at.
struct Targets<'f, 'd, A> {
    file: &'f File<'d>,
    address_of: A,
    sections: HashMap<SectionIndex, u64>,
}

impl<A: Fn(&str) -> Option<u64>> Targets<'_, '_, A> {
    fn address(&mut self, target: RelocationTarget) -> Option<u64> {
        let RelocationTarget::Symbol(index) = target else { return None };
        let symbol = self.file.symbol_by_index(index).ok()?;
        match symbol.section() {
            SymbolSection::Section(section) => Some(self.section(section)?.wrapping_add(symbol.address())),
            // Weak and undefined: nothing is there.
            _ => Some(symbol.address()),
        }
    }

    /// A section's address; zero for one that isn't loaded, such as those of debug information.
    fn section(&mut self, index: SectionIndex) -> Option<u64> {
        if let Some(address) = self.sections.get(&index) {
            return Some(*address);
        }
        let section = self.file.section_by_index(index).ok()?;
        let address = (self.address_of)(section.name().ok()?).unwrap_or(0);
        self.sections.insert(index, address);
        Some(address)
    }
}
