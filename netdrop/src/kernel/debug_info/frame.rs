//! The functions and lines at an address, within one compilation unit.

use addr2line::Context;
use addr2line::gimli::{self, DebugInfoOffset, Dwarf, Reader as _, Section as _};

use super::relocate::Reader;
use super::source;

/// A function that an address lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its name, of the source; the symbol's where debug information has none. Absent for an inlined function without one.
    pub function: Option<Box<str>>,
    /// The source file below the kernel's tree, as in `net/ipv4/udp.c`.
    pub file: Option<Box<str>>,
    /// The line of the file, from 1: of the call to the frame before, or of the address for the first.
    pub line: Option<u32>,
    /// Whether the compiler put its code into the next frame's function.
    pub inlined: bool,
}

/// The frames at an address that belongs to the unit, the innermost first: inlined functions, then the one that they are in.
pub fn in_unit(
    mut dwarf: Dwarf<Reader<'_>>,
    unit: DebugInfoOffset<usize>,
    address: u64,
) -> gimli::Result<Vec<Frame>> {
    restrict(&mut dwarf, unit)?;
    let folder = folder(&dwarf)?;
    let context = Context::from_dwarf(dwarf)?;
    // A reference into another unit (link-time optimization) leads out of what was kept: then the line has to do.
    let mut frames = frames(&context, address).or_else(|_| line(&context, address))?;
    for frame in &mut frames {
        frame.file = frame.file.take().map(|path| source::relative(&path, &folder).into());
    }
    Ok(frames)
}

/// The folder that the only unit was compiled in.
fn folder(dwarf: &Dwarf<Reader<'_>>) -> gimli::Result<String> {
    let Some(header) = dwarf.units().next()? else { return Ok(String::new()) };
    let unit = dwarf.unit(header)?;
    let folder = unit.comp_dir.as_ref().map(gimli::Reader::to_string_lossy).transpose()?;
    Ok(folder.unwrap_or_default().into_owned())
}

/// Leaves one unit of all: to make a context, addr2line reads every unit's root and abbreviations and keeps them, and a kernel has
/// thousands.
fn restrict(dwarf: &mut Dwarf<Reader<'_>>, unit: DebugInfoOffset<usize>) -> gimli::Result<()> {
    let length = dwarf.unit_header(unit)?.length_including_self();
    let mut info = dwarf.debug_info.reader().clone();
    info.skip(unit.0)?;
    info.truncate(length)?;
    let mut none = info.clone();
    none.empty();
    dwarf.debug_info = info.into();
    dwarf.debug_aranges = none.into();
    Ok(())
}

fn frames(context: &Context<Reader<'_>>, address: u64) -> gimli::Result<Vec<Frame>> {
    let mut found = context.find_frames(address).skip_all_loads()?;
    let mut frames = Vec::new();
    while let Some(frame) = found.next()? {
        let function = frame.function.as_ref().map(addr2line::FunctionName::raw_name).transpose()?;
        let location = frame.location;
        frames.push(Frame {
            function: function.map(Into::into),
            file: location.as_ref().and_then(|at| at.file).map(Into::into),
            line: location.and_then(|at| at.line),
            inlined: true,
        });
    }
    if let Some(outermost) = frames.last_mut() {
        outermost.inlined = false;
    }
    Ok(frames)
}

fn line(context: &Context<Reader<'_>>, address: u64) -> gimli::Result<Vec<Frame>> {
    let location = context.find_location(address)?;
    Ok(location
        .into_iter()
        .map(|at| Frame { function: None, file: at.file.map(Into::into), line: at.line, inlined: false })
        .collect())
}
