//! Addresses as source lines, from the debug information of the kernel that runs, where it is at hand.
//!
//! A kernel's debug information is a file of 400 MB to 1 GB. It is mapped and never read as a whole: an index of address
//! ranges names the compilation unit of an address, and only that unit is parsed, for as long as the look-up takes. What was found
//! is remembered by address.

mod build_id;
mod candidates;
mod error;
mod frame;
mod image;
mod modules;
mod relocate;
mod source;
#[cfg(test)]
mod tests;
mod units;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use build_id::BuildId;
pub use candidates::Places;
pub use error::{NoDebugInfo, Remedy};
pub use frame::Frame;
use image::Image;
pub use image::Rejected;
#[doc(hidden)]
pub use image::frames_of_bytes;

use super::symbols::Symbols;
use modules::Modules;

/// Addresses that are remembered. Sites and their callers are some thousands at most; past this all are forgotten.
const REMEMBERED: usize = 1 << 14;

/// The debug information of the kernel that runs, and of its modules.
#[derive(Debug)]
pub struct DebugInfo {
    kernel: Image,
    modules: Modules,
    known: HashMap<u64, Arc<[Frame]>>,
}

impl DebugInfo {
    /// Finds what belongs to the kernel whose file systems are mounted below `root`: the file `explicit`, or the first that is
    /// of the same build. Modules' files are looked for when an address of theirs is.
    pub fn find(root: &Path, release: &str, explicit: Option<&Path>) -> Result<Self, NoDebugInfo> {
        Self::find_in(Places::new(root, release), explicit)
    }

    /// The same, in these places.
    pub fn find_in(places: Places, explicit: Option<&Path>) -> Result<Self, NoDebugInfo> {
        let build = BuildId::of_kernel(&places.root).ok_or(NoDebugInfo::NoBuildId)?;
        let remedy = || Remedy::new(&places.root, &places.release, &build);
        let candidates = match explicit {
            Some(path) => vec![path.to_owned()],
            None => places.of_kernel(&build),
        };
        let mut first_rejected = None;
        for path in candidates {
            match Image::of_kernel(&path, &build) {
                Ok(kernel) => {
                    return Ok(Self { kernel, modules: Modules::new(places), known: HashMap::new() });
                }
                Err(Rejected::Read(error)) if explicit.is_none() && is_absent(&error) => {}
                Err(why) => {
                    first_rejected.get_or_insert((path, why));
                }
            }
        }
        Err(match first_rejected {
            Some((path, why)) => NoDebugInfo::Rejected { path, why, remedy: remedy() },
            None => NoDebugInfo::NotFound { release: places.release.clone(), remedy: remedy() },
        })
    }

    /// The kernel's file.
    pub fn path(&self) -> &Path {
        self.kernel.path()
    }

    /// The functions and lines that a call returns to at this address, the innermost first: inlined functions, then the one that
    /// they are in. Empty where nothing is known. The first look-up in a unit takes milliseconds; what was found is remembered.
    pub fn frames(&mut self, symbols: &Symbols, return_address: u64) -> Arc<[Frame]> {
        if let Some(known) = self.known.get(&return_address) {
            return Arc::clone(known);
        }
        let frames: Arc<[Frame]> = self.look_up(symbols, return_address).into();
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(return_address, Arc::clone(&frames));
        frames
    }

    fn look_up(&mut self, symbols: &Symbols, return_address: u64) -> Vec<Frame> {
        let Some(symbol) = symbols.resolve(return_address) else { return Vec::new() };
        // The call is in front of where it returns to, which may be the next line's. A function's very start is no such place: it is a
        // site that is told (`net_tx_action`).
        let address = if symbol.offset == 0 { return_address } else { return_address - 1 };
        let frames = match symbol.module {
            Some(module) => self.modules.frames(module, address),
            None => self.in_kernel(symbols, address),
        };
        let mut frames = frames.unwrap_or_else(|why| {
            tracing::debug!(
                "no source line of {}+{:#x}: its debug information {why}",
                symbol.name,
                symbol.offset
            );
            Vec::new()
        });
        // Assembly has no functions, and one that was folded into its double has no address.
        if let Some(outermost) = frames.last_mut() {
            outermost.function.get_or_insert_with(|| symbol.name.into());
        }
        frames
    }

    fn in_kernel(&mut self, symbols: &Symbols, address: u64) -> Result<Vec<Frame>, Rejected> {
        // KASLR moves all of the kernel by the same distance.
        let linked = self.kernel.anchor().and_then(|anchor| {
            let running = symbols.ranges(anchor.name).ok()?.first()?.start;
            Some(address.wrapping_sub(running).wrapping_add(anchor.address))
        });
        linked.map_or(Ok(Vec::new()), |linked| self.kernel.frames(linked, |_| None))
    }
}

/// What is said at the start.
impl fmt::Display for DebugInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "source lines: from {}", self.kernel.path().display())
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
