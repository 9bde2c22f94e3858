//! Kernel addresses as functions: a compact table made from `/proc/kallsyms` (proc(5), `kernel/kallsyms.c`).

mod parse;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead};
use std::ops::Range;

use super::loaded::Loaded;
use super::near::closest;
use parse::Line;

/// No function of the kernel is longer: past it, an address lies in a hole between two functions.
const LONGEST_FUNCTION: u64 = 256 << 10;
/// As much is believed of a module's last function, whose end kallsyms does not tell.
const LONGEST_LAST_FUNCTION: u64 = 16 << 10;
/// Symbols that mark the end of a text section: nothing lies behind them.
const END_MARKERS: [&str; 2] = ["_etext", "_einittext"];

/// Why there are no symbols.
#[derive(Debug, thiserror::Error)]
pub enum SymbolsError {
    /// The file could not be read.
    #[error("can't read the kernel's symbols: {0}")]
    Read(#[from] io::Error),
    /// A line is not one of kallsyms'.
    #[error("line {0} of the kernel's symbols is malformed")]
    Malformed(usize),
    /// Every address is zero: the kernel hides them from this process.
    #[error(
        "the kernel hides its addresses (kernel.kptr_restrict): functions stay unnamed; \
         run as root or with CAP_SYSLOG, or set kernel.kptr_restrict to 1"
    )]
    Restricted,
    /// There is no text symbol in it.
    #[error("the kernel lists no functions (CONFIG_KALLSYMS is off?): functions stay unnamed")]
    Empty,
    /// More names than 4 GiB hold.
    #[error("the kernel's symbols are larger than 4 GiB")]
    TooLarge,
}

/// No function of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this kernel has no function `{name}`{}", suggestion.as_ref().map_or(String::new(), |near| format!("; did you mean `{near}`?")))]
pub struct UnknownFunction {
    /// What was asked for.
    pub name: String,
    /// The closest name there is.
    pub suggestion: Option<String>,
}

/// An address as a place in a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved<'s> {
    /// The function, compiler suffixes (`.cold`, `.isra.0`) included.
    pub name: &'s str,
    /// Bytes from its start.
    pub offset: u64,
    /// Its module; absent for the kernel's own, `bpf` for a BPF program.
    pub module: Option<&'s str>,
}

/// The functions of the kernel, its modules and its BPF programs, by address.
///
/// A function reaches to the next one's start, but no further than any real function does; addresses in holes between
/// text sections don't resolve. Of aliases at one address the global one wins, then the weak, then the shortest.
#[derive(Debug)]
pub struct Symbols {
    /// All names, each ended by a newline.
    names: String,
    /// For each symbol, by address: the distance from its segment's base, and where its name starts.
    distances: Vec<u32>,
    name_starts: Vec<u32>,
    /// Symbols that share a base: BPF programs may be further than 4 GiB from the kernel's text.
    segments: Vec<Segment>,
    /// Neighbours of one module.
    runs: Vec<Run>,
    modules: Vec<Box<str>>,
    /// The modules that there were when they were read, where that is known.
    loaded: Option<Loaded>,
}

#[derive(Debug)]
struct Segment {
    first: usize,
    base: u64,
}

#[derive(Debug)]
struct Run {
    first: usize,
    /// Index into the modules; the kernel itself has none.
    module: Option<usize>,
}

/// A symbol while reading.
struct Entry {
    address: u64,
    name: u32,
    length: u16,
    rank: u8,
    module: Option<usize>,
}

impl Symbols {
    /// Reads kallsyms.
    pub fn read(source: impl BufRead) -> Result<Self, SymbolsError> {
        let (mut names, mut entries, mut modules) = (String::new(), Vec::new(), Vec::<Box<str>>::new());
        let mut functions = 0_usize;
        parse::lines(source, |line: Line| {
            let Some(rank) = line.rank() else { return Ok(()) };
            functions += 1;
            // Hidden addresses are all zero; a symbol at zero is of no use in any case.
            if line.address == 0 {
                return Ok(());
            }
            let module = line.module.map(|name| index_of(&mut modules, name));
            let start = u32::try_from(names.len()).map_err(|_| SymbolsError::TooLarge)?;
            names.push_str(line.name);
            names.push('\n');
            let length = u16::try_from(line.name.len()).unwrap_or(u16::MAX);
            entries.push(Entry { address: line.address, name: start, length, rank, module });
            Ok(())
        })?;
        match (functions, entries.is_empty()) {
            (0, _) => Err(SymbolsError::Empty),
            (_, true) => Err(SymbolsError::Restricted),
            _ => Ok(Self::from_entries(names, entries, modules)),
        }
    }

    fn from_entries(mut names: String, mut entries: Vec<Entry>, modules: Vec<Box<str>>) -> Self {
        entries.sort_by_key(|entry| (entry.address, entry.rank, entry.length));
        let (mut segments, mut runs) = (Vec::<Segment>::new(), Vec::<Run>::new());
        let mut distances = Vec::with_capacity(entries.len());
        for (at, entry) in entries.iter().enumerate() {
            let near = segments.last().and_then(|last| u32::try_from(entry.address - last.base).ok());
            if near.is_none() {
                segments.push(Segment { first: at, base: entry.address });
            }
            distances.push(near.unwrap_or(0));
            if runs.last().is_none_or(|run| run.module != entry.module) {
                runs.push(Run { first: at, module: entry.module });
            }
        }
        names.shrink_to_fit();
        let name_starts = entries.iter().map(|entry| entry.name).collect();
        Self { names, distances, name_starts, segments, runs, modules, loaded: None }
    }

    /// Read while these modules were loaded.
    #[must_use]
    pub fn with_modules(self, loaded: Option<Loaded>) -> Self {
        Self { loaded, ..self }
    }

    /// Whether other modules than these were loaded when they were read.
    pub fn are_older_than(&self, now: Option<Loaded>) -> bool {
        self.loaded.is_some() && now.is_some() && self.loaded != now
    }

    /// The function at an address. A drop's `location` is where the freeing call returns to: inside its caller.
    pub fn resolve(&self, address: u64) -> Option<Resolved<'_>> {
        let after = self.first_above(address);
        let at = self.best_alias(after.checked_sub(1)?);
        let offset = address - self.address(at);
        let name = self.name(at);
        if offset >= self.length(at) || END_MARKERS.contains(&name) {
            return None;
        }
        Some(Resolved { name, offset, module: self.module(at) })
    }

    /// The address ranges of a function: of all that bear the name, and of the parts that the compiler split off
    /// (`name.cold`, `name.isra.0`, `name.part.0`, `name.constprop.0`).
    pub fn ranges(&self, name: &str) -> Result<Vec<Range<u64>>, UnknownFunction> {
        let is_it =
            |symbol: &str| symbol == name || symbol.split_once('.').is_some_and(|(own, _)| own == name);
        let mut ranges: Vec<Range<u64>> = (0..self.len())
            .filter(|at| is_it(self.name(*at)))
            .map(|at| self.address(at)..self.address(at) + self.length(at))
            .collect();
        ranges.dedup();
        if ranges.is_empty() {
            let suggestion = closest(name, (0..self.len()).map(|at| self.name(at))).map(str::to_owned);
            return Err(UnknownFunction { name: name.to_owned(), suggestion });
        }
        Ok(ranges)
    }

    /// The address ranges of all functions that `wanted` has something for by their names, in the order of addresses; of
    /// aliases the best alone is asked for, as [`Symbols::resolve`] knows no other.
    pub fn select<T>(&self, wanted: impl Fn(&str) -> Option<T>) -> Vec<(Range<u64>, T)> {
        let found = (0..self.len()).filter_map(|at| Some((at, wanted(self.name(at))?)));
        let found = found.filter(|(at, _)| self.best_alias(*at) == *at);
        found.map(|(at, of)| (self.address(at)..self.address(at) + self.length(at), of)).collect()
    }

    /// The number of symbols.
    pub fn len(&self) -> usize {
        self.distances.len()
    }

    /// Whether there are none; never so for a table that was read.
    pub fn is_empty(&self) -> bool {
        self.distances.is_empty()
    }

    /// The memory that the table takes, in bytes.
    pub fn memory(&self) -> usize {
        self.names.capacity() + (self.distances.capacity() + self.name_starts.capacity()) * size_of::<u32>()
    }

    /// The index of the first symbol above the address.
    fn first_above(&self, address: u64) -> usize {
        let segment = self.segments.partition_point(|segment| segment.base <= address);
        let end = self.segments.get(segment).map_or(self.len(), |next| next.first);
        let Some(segment) = segment.checked_sub(1).map(|at| &self.segments[at]) else { return 0 };
        let distance = address - segment.base;
        segment.first + self.distances[segment.first..end].partition_point(|one| u64::from(*one) <= distance)
    }

    /// The first of the symbols at the same address as `at`.
    fn best_alias(&self, mut at: usize) -> usize {
        while at > 0 && self.address(at - 1) == self.address(at) {
            at -= 1;
        }
        at
    }

    /// Bytes from a symbol to where its function ends at the latest.
    fn length(&self, at: usize) -> u64 {
        let start = self.address(at);
        let next = self.first_above(start);
        if next < self.len() && self.run(next) == self.run(at) {
            (self.address(next) - start).min(LONGEST_FUNCTION)
        } else {
            let bound = if next < self.len() { self.address(next) - start } else { u64::MAX - start };
            bound.min(LONGEST_LAST_FUNCTION)
        }
    }

    fn address(&self, at: usize) -> u64 {
        let segment = self.segments.partition_point(|segment| segment.first <= at);
        let base = segment.checked_sub(1).map_or(0, |at| self.segments[at].base);
        base + u64::from(self.distances[at])
    }

    fn name(&self, at: usize) -> &str {
        let rest = &self.names[self.name_starts[at] as usize..];
        rest.split('\n').next().unwrap_or("")
    }

    fn run(&self, at: usize) -> usize {
        self.runs.partition_point(|run| run.first <= at)
    }

    fn module(&self, at: usize) -> Option<&str> {
        let run = self.run(at).checked_sub(1)?;
        Some(&*self.modules[self.runs[run].module?])
    }
}

/// Modules follow one another in kallsyms: the last one is nearly always the one.
fn index_of(modules: &mut Vec<Box<str>>, name: &str) -> usize {
    modules.iter().rposition(|known| **known == *name).unwrap_or_else(|| {
        modules.push(name.into());
        modules.len() - 1
    })
}
