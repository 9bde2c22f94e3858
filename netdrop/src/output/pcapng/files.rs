//! `--pcap FILE`: blocks into a file, with rotation each section into one of its own.

use std::io::{self, Write};
use std::path::Path;

use super::super::file::{Destination, OutputFile};
use super::block;

/// A pcapng file; where older ones are kept, each section after the first turns it.
///
/// An existing file is overwritten, or moved aside where older ones are kept.
pub struct PacketFiles {
    file: OutputFile,
    keep: Option<u32>,
    /// Bytes of blocks that are still to come before a section may begin.
    left: usize,
}

impl PacketFiles {
    /// Opens or creates the file; `keep` says how many older ones stay, and that there are any.
    ///
    /// # Errors
    /// When it can't be opened for writing; the error names the path.
    pub fn open(path: &Path, keep: Option<u32>) -> io::Result<Self> {
        let file = if keep.is_some() { OutputFile::append(path) } else { OutputFile::create(path) };
        Ok(Self { file: file?, keep, left: 0 })
    }

    /// How many bytes of `buffer` go into this file, after turning to a new one if a section begins.
    fn room(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let Some(keep) = self.keep else { return Ok(buffer.len()) };
        if self.left == 0 {
            if block::is_section(buffer) && self.file.size() > 0 {
                self.file.turn(keep)?;
            }
            self.left = until_section(buffer);
        }
        Ok(self.left.min(buffer.len()))
    }
}

/// The length of the blocks before the next section's first; `bytes` begin with a block.
fn until_section(bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Some(rest) = bytes.get(end..).filter(|rest| end == 0 || !block::is_section(rest)) {
        match block::length(rest) {
            Some(length) if length > 0 => end += length,
            _ => return bytes.len(),
        }
    }
    end
}

impl Write for PacketFiles {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let room = self.room(buffer)?;
        let written = self.file.write(&buffer[..room])?;
        self.left = self.left.saturating_sub(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Destination for PacketFiles {
    fn finish(&mut self) -> io::Result<()> {
        self.file.finish()
    }
}
