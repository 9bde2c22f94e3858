//! The lines of `/proc/kallsyms`: `ffffffff81000000 T name\t[module]`.

use std::io::BufRead;

use super::SymbolsError;

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'l> {
    pub address: u64,
    /// As nm(1) has it: upper case is global.
    pub kind: u8,
    pub name: &'l str,
    pub module: Option<&'l str>,
}

impl<'l> Line<'l> {
    pub(super) fn parse(line: &'l str) -> Option<Self> {
        let (address, rest) = line.split_once(' ')?;
        let (kind, rest) = rest.split_once(' ')?;
        let &[kind] = kind.as_bytes() else { return None };
        let (name, module) = match rest.split_once('\t') {
            Some((name, module)) => (name, Some(module.strip_prefix('[')?.strip_suffix(']')?)),
            None => (rest, None),
        };
        let address = u64::from_str_radix(address, 16).ok()?;
        (!name.is_empty()).then_some(Self { address, kind, name, module })
    }

    /// How much a text symbol is preferred among its aliases, best first; nothing for one that is no text.
    pub(super) const fn rank(&self) -> Option<u8> {
        match self.kind {
            b'T' => Some(0),
            b'W' | b'w' => Some(1),
            b't' | b'i' => Some(2),
            _ => None,
        }
    }
}

/// Calls `take` with each line.
pub(super) fn lines(
    mut source: impl BufRead,
    mut take: impl FnMut(Line) -> Result<(), SymbolsError>,
) -> Result<(), SymbolsError> {
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        if source.read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        let line = str::from_utf8(&bytes).ok().and_then(|line| Line::parse(line.trim_ascii_end()));
        take(line.ok_or(SymbolsError::Malformed(number))?)?;
    }
    Ok(())
}
