//! What names a site, read in threads: the kernel's symbols, and source lines where there is debug information.

use tracing::warn;

use super::lines::LineReader;
use super::memory;
use super::symbols::{Read, SymbolReader};
use crate::enrich::Enricher;
use crate::kernel::debug_info::DebugInfo;

/// Reads for an [`Enricher`], which never waits by itself.
#[derive(Debug)]
pub struct Lookups {
    symbols: SymbolReader,
    lines: Option<LineReader>,
}

impl Lookups {
    /// Starts with the symbols, which every site needs.
    pub fn start(enricher: &mut Enricher, debug_info: Option<DebugInfo>) -> Self {
        let mut symbols = SymbolReader::new(enricher.root());
        symbols.start();
        let lines = debug_info.and_then(|info| {
            LineReader::start(info).inspect_err(|error| warn!("no source lines: {error}")).ok()
        });
        if lines.is_some() {
            enricher.want_lines();
        }
        Self { symbols, lines }
    }

    /// Reads nothing: there are no sites to name.
    pub fn idle(enricher: &Enricher) -> Self {
        Self { symbols: SymbolReader::new(enricher.root()), lines: None }
    }

    /// Has read what this site still lacks.
    pub fn look_up(&mut self, site: u64, enricher: &Enricher) {
        if enricher.wants_symbols(site) {
            self.symbols.start();
        } else if let (Some(lines), Some(symbols)) = (&mut self.lines, enricher.symbols())
            && enricher.wants_line(site)
        {
            lines.ask(site, symbols);
        }
    }

    /// Whether something is being read whose end [`Lookups::poll`] has not seen.
    pub fn is_reading(&self) -> bool {
        self.symbols.is_reading() || self.lines.as_ref().is_some_and(LineReader::is_reading)
    }

    /// Takes over what has been read.
    pub fn poll(&mut self, enricher: &mut Enricher) {
        if let Some(read) = self.symbols.poll() {
            learn(enricher, read);
        }
        while let Some((site, source)) = self.lines.as_mut().and_then(LineReader::poll) {
            enricher.learn_line(site, source);
        }
    }

    /// Waits for all that is being read, and takes it over; false when that is nothing.
    pub fn wait(&mut self, enricher: &mut Enricher) -> bool {
        let waited = self.is_reading();
        if let Some(read) = self.symbols.wait() {
            learn(enricher, read);
        }
        while let Some((site, source)) = self.lines.as_mut().and_then(LineReader::wait) {
            enricher.learn_line(site, source);
        }
        waited
    }
}

/// Takes over symbols. Those before them are some megabytes, and nobody's any more.
fn learn(enricher: &mut Enricher, read: Read) {
    let had_symbols = enricher.symbols().is_some();
    enricher.learn(read);
    if had_symbols {
        memory::give_back();
    }
}
