//! Blocks of a pcapng file (draft-ietf-opsawg-pcapng, section 3 and 4): type, length, body, options, length again; little endian.

use std::fmt;

use super::super::append;

/// Block type of a section header.
pub const SECTION: u32 = 0x0a0d_0d0a;
/// Block type of an interface description.
pub const INTERFACE: u32 = 1;
/// Block type of an interface's statistics.
pub const STATISTICS: u32 = 5;
/// Block type of an enhanced packet.
pub const PACKET: u32 = 6;

/// A block under way, at the end of a buffer.
pub struct Block<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Block<'a> {
    /// Begins a block.
    pub fn new(kind: u32, out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        // Its length is not known before its end.
        Self { out, start }.u32(kind).u32(0)
    }

    pub fn u16(self, number: u16) -> Self {
        self.out.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub fn u32(self, number: u32) -> Self {
        self.out.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub fn u64(self, number: u64) -> Self {
        self.out.extend_from_slice(&number.to_le_bytes());
        self
    }

    /// A point in time: the upper half first, whatever the byte order.
    pub fn time(self, units: u64) -> Self {
        let [high, low] = [units >> 32, units & u64::from(u32::MAX)];
        self.u32(high.try_into().unwrap_or(u32::MAX)).u32(low.try_into().unwrap_or(u32::MAX))
    }

    /// Bytes, one after the other, filled up with zeros to a multiple of four.
    pub fn bytes(self, parts: &[&[u8]]) -> Self {
        let start = self.out.len();
        for part in parts {
            self.out.extend_from_slice(part);
        }
        self.pad(start)
    }

    /// An option whose value is text.
    pub fn text(mut self, code: u16, text: fmt::Arguments<'_>) -> Self {
        self = self.u16(code).u16(0);
        let start = self.out.len();
        append(self.out, text);
        // An option holds 64 KiB; names are shorter by far.
        self.out.truncate(start + usize::from(u16::MAX));
        let length = u16::try_from(self.out.len() - start).unwrap_or(u16::MAX);
        self.out[start - 2..start].copy_from_slice(&length.to_le_bytes());
        self.pad(start)
    }

    /// An option of one byte.
    pub fn byte(self, code: u16, value: u8) -> Self {
        self.u16(code).u16(1).bytes(&[&[value]])
    }

    /// An option that is a number of 64 bits.
    pub fn number(self, code: u16, value: u64) -> Self {
        self.u16(code).u16(8).u64(value)
    }

    /// An option that is a point in time.
    pub fn moment(self, code: u16, units: u64) -> Self {
        self.u16(code).u16(8).time(units)
    }

    /// Ends the options and the block.
    pub fn end(mut self) {
        self = self.u16(0).u16(0);
        let length = u32::try_from(self.out.len() - self.start + 4).unwrap_or(u32::MAX);
        self.out[self.start + 4..self.start + 8].copy_from_slice(&length.to_le_bytes());
        self.u32(length);
    }

    fn pad(self, start: usize) -> Self {
        let length = self.out.len() - start;
        self.out.resize(start + length.next_multiple_of(4), 0);
        self
    }
}

/// The length of the block that `bytes` begin with; absent where its first eight bytes aren't all there.
pub fn length(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(4..8)?.first_chunk().copied().map(u32::from_le_bytes)?;
    usize::try_from(length).ok()
}

/// Whether `bytes` begin with a section header.
pub fn is_section(bytes: &[u8]) -> bool {
    bytes.starts_with(&SECTION.to_le_bytes())
}
