//! A file with debug information: mapped, checked, and asked for the lines of addresses.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use addr2line::gimli::{self, DwarfSections, EndianSlice, RunTimeEndian};
use memmap2::Mmap;
use object::{CompressionFormat, File, Object as _, ObjectKind, ObjectSection as _, ObjectSymbol as _};

use super::build_id::BuildId;
use super::frame::{self, Frame};
use super::relocate::{Reader, Relocations};
use super::units::Units;

/// Symbols at the start of the kernel's text, in every kallsyms and every vmlinux (`arch/*/kernel/vmlinux.lds.S`).
const ANCHORS: [&str; 2] = ["_stext", "_text"];

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    /// It can't be opened or mapped.
    #[error("can't be read: {0}")]
    Read(#[from] io::Error),
    /// It is not ELF, or only a part of it.
    #[error("is not an ELF file, or is cut short: {0}")]
    NotElf(#[from] object::Error),
    /// It does not tell its build.
    #[error("has no build-id, so it can't be told whether it belongs to what runs")]
    NoBuildId,
    /// It belongs to another build.
    #[error("is of another build: its build-id is {theirs}, that of what runs is {ours}")]
    OtherBuild {
        /// What the file has.
        theirs: BuildId,
        /// What the kernel says.
        ours: BuildId,
    },
    /// It was stripped.
    #[error("has no debug information (.debug_info): it was stripped, or built without CONFIG_DEBUG_INFO")]
    Stripped,
    /// It can't be used where it lies.
    #[error(
        "has compressed debug information, which netdrop would have to unpack to memory; \
         run `objcopy --decompress-debug-sections` on a copy of it"
    )]
    Compressed,
    /// Its addresses can't be compared with the running kernel's.
    #[error("has no symbol _stext or _text: its addresses can't be told from the running kernel's")]
    NoAnchor,
    /// It has a relocation that debug information doesn't need.
    #[error("has a relocation in {0} that netdrop doesn't know")]
    Relocation(Box<str>),
    /// Its debug information contradicts the format.
    #[error("has malformed debug information: {0}")]
    Dwarf(#[from] gimli::Error),
}

/// A file whose addresses can be looked up.
#[derive(Debug)]
pub struct Image {
    path: PathBuf,
    map: Mmap,
    /// The start of the kernel's text in the file; nothing for a module, whose file has no addresses yet.
    anchor: Option<Anchor>,
    units: Units,
}

/// A symbol by which the addresses of a file and of the kernel that runs are compared: their difference is the same for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The symbol's name.
    pub name: &'static str,
    /// Its address in the file.
    pub address: u64,
}

impl Image {
    /// Opens the file of the kernel itself.
    pub fn of_kernel(path: &Path, build: &BuildId) -> Result<Self, Rejected> {
        let image = Self::open(path, build)?;
        let anchor = image.find_anchor()?.ok_or(Rejected::NoAnchor)?;
        Ok(Self { anchor: Some(anchor), ..image })
    }

    /// Opens the file of a module.
    pub fn of_module(path: &Path, build: &BuildId) -> Result<Self, Rejected> {
        Self::open(path, build)
    }

    fn open(path: &Path, build: &BuildId) -> Result<Self, Rejected> {
        let file = fs::File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file").into());
        }
        // SAFETY: the bytes change only if somebody writes into this very file. Package managers and compilers put a new file
        // in its place instead, and what is read of it is checked at each step.
        let map = unsafe { Mmap::map(&file) }?;
        check(&File::parse(&*map)?, build)?;
        Ok(Self { path: path.to_owned(), map, anchor: None, units: Units::default() })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The start of the kernel's text in it; nothing for a module.
    pub fn anchor(&self) -> Option<Anchor> {
        self.anchor
    }

    /// The frames at an address of the file, the innermost first. Of a module, `address_of` gives each section's address while
    /// it runs, and `address` is a running one.
    pub fn frames(
        &mut self,
        address: u64,
        address_of: impl Fn(&str) -> Option<u64>,
    ) -> Result<Vec<Frame>, Rejected> {
        let frames = frames(&self.map, &mut self.units, address, &address_of, || let_go(&self.map));
        let_go(&self.map);
        frames
    }

    fn find_anchor(&self) -> Result<Option<Anchor>, Rejected> {
        let file = File::parse(&*self.map)?;
        let anchor = file.symbols().find_map(|symbol| {
            let name = ANCHORS.into_iter().find(|name| symbol.name_bytes() == Ok(name.as_bytes()))?;
            (!symbol.is_undefined()).then(|| Anchor { name, address: symbol.address() })
        });
        let_go(&self.map);
        Ok(anchor)
    }
}

/// Gives back the memory of the pages that were read; the page cache keeps them.
fn let_go(map: &Mmap) {
    // SAFETY: the mapping is of a file and read-only: a page that is touched again is read from the file again.
    let advised = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
    if let Err(error) = advised {
        tracing::debug!(%error, "pages of debug information stay in memory");
    }
}

fn check(file: &File<'_>, build: &BuildId) -> Result<(), Rejected> {
    let theirs = BuildId::of_file(file).ok_or(Rejected::NoBuildId)?;
    if theirs != *build {
        return Err(Rejected::OtherBuild { theirs, ours: build.clone() });
    }
    let info = file.section_by_name(".debug_info").ok_or(Rejected::Stripped)?;
    if info.data()?.is_empty() {
        return Err(Rejected::Stripped);
    }
    for section in file.sections() {
        if section.compressed_file_range()?.format != CompressionFormat::None {
            return Err(Rejected::Compressed);
        }
    }
    Ok(())
}

/// The frames at an address of an ELF file's bytes.
fn frames(
    bytes: &[u8],
    units: &mut Units,
    address: u64,
    address_of: &impl Fn(&str) -> Option<u64>,
    let_go: impl Fn(),
) -> Result<Vec<Frame>, Rejected> {
    let file = File::parse(bytes)?;
    let endian = if file.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
    let sections = DwarfSections::load(|id| load(&file, id.name(), address_of))?;
    let dwarf =
        || sections.borrow(|(data, relocations)| Reader::new(EndianSlice::new(data, endian), relocations));
    match units.find(&dwarf(), address, let_go)? {
        Some(unit) => Ok(frame::in_unit(dwarf(), unit, address)?),
        None => Ok(Vec::new()),
    }
}

type Section<'d> = (&'d [u8], Relocations);

fn load<'d>(
    file: &File<'d>,
    name: &str,
    address_of: &impl Fn(&str) -> Option<u64>,
) -> Result<Section<'d>, Rejected> {
    let Some(section) = file.section_by_name(name) else { return Ok((&[], Relocations::default())) };
    let relocations = match file.kind() {
        ObjectKind::Relocatable => Relocations::read(file, &section, address_of)?,
        // The linker has applied them, though it may have kept them for KASLR (`--emit-relocs`).
        _ => Relocations::default(),
    };
    Ok((section.data()?, relocations))
}

/// Any bytes as a file, looked up at an address: for fuzzing, where no kernel vouches for the build.
#[doc(hidden)]
pub fn frames_of_bytes(bytes: &[u8], address: u64) -> Result<Vec<Frame>, Rejected> {
    frames(bytes, &mut Units::default(), address, &|_| Some(0x1000), || ())
}
