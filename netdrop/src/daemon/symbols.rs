//! The kernel's symbols, read beside the event loop: it takes a tenth of a second, and a flood fills the ring in less.

use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use super::memory;
use crate::kernel::loaded::Loaded;
use crate::kernel::privileged;
use crate::kernel::symbols::{Symbols, SymbolsError};

/// What a reading gave.
pub type Read = Result<Symbols, SymbolsError>;

/// Reads kallsyms in a thread, once at a time.
#[derive(Debug)]
pub struct SymbolReader {
    root: PathBuf,
    reading: Option<Receiver<Read>>,
}

impl SymbolReader {
    /// For the kernel whose file systems are mounted below `root`; nothing is read yet.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), reading: None }
    }

    /// Starts to read, unless that is being done already.
    pub fn start(&mut self) {
        if self.is_reading() {
            return;
        }
        let (done, reading) = channel();
        let (root, to) = (self.root.clone(), done.clone());
        let work = move || {
            // It isn't waited for if the run has ended.
            let _ = to.send(read(&root));
        };
        if thread::Builder::new().name("symbols".into()).spawn(work).is_err() {
            // No thread to be had: late is better than never.
            let _ = done.send(read(&self.root));
        }
        self.reading = Some(reading);
    }

    /// Whether a reading has begun whose end [`SymbolReader::poll`] has not told.
    pub fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// What a reading gave that has ended.
    pub fn poll(&mut self) -> Option<Read> {
        let read = match self.reading.as_ref()?.try_recv() {
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(panicked()),
            Ok(read) => read,
        };
        self.reading = None;
        Some(read)
    }

    /// Waits for the reading; `None` when there is none.
    pub fn wait(&mut self) -> Option<Read> {
        Some(self.reading.take()?.recv().unwrap_or_else(|_| Err(panicked())))
    }
}

fn read(root: &Path) -> Read {
    // Before the symbols: a module that comes meanwhile makes for another reading.
    let loaded = Loaded::read(root);
    let symbols = Symbols::read(BufReader::new(privileged::open(&root.join("proc/kallsyms"))?))?;
    memory::give_back();
    Ok(symbols.with_modules(loaded))
}

fn panicked() -> SymbolsError {
    io::Error::other("the thread that read them panicked").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(kallsyms: &str) -> (tempfile::TempDir, SymbolReader) {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("proc")).unwrap();
        std::fs::write(root.path().join("proc/kallsyms"), kallsyms).unwrap();
        let reader = SymbolReader::new(root.path());
        (root, reader)
    }

    #[test]
    fn a_reading_is_told_once() {
        let (_root, mut reader) = reader("ffffffff81000000 T icmp_rcv\n");
        assert!(!reader.is_reading() && reader.poll().is_none() && reader.wait().is_none());
        reader.start();
        reader.start();
        assert!(reader.is_reading());
        assert_eq!(reader.wait().unwrap().unwrap().len(), 1);
        assert!(!reader.is_reading() && reader.poll().is_none() && reader.wait().is_none());
    }

    #[test]
    fn polling_tells_the_end() {
        let (_root, mut reader) = reader("ffffffff81000000 T icmp_rcv\n");
        reader.start();
        let read = loop {
            match reader.poll() {
                Some(read) => break read,
                None => thread::yield_now(),
            }
        };
        assert_eq!(read.unwrap().len(), 1);
        assert!(!reader.is_reading());
    }

    #[test]
    fn a_failure_is_told_and_can_be_tried_again() {
        let (root, mut reader) = reader("nonsense\n");
        reader.start();
        assert!(matches!(reader.wait(), Some(Err(SymbolsError::Malformed(1)))));
        std::fs::remove_file(root.path().join("proc/kallsyms")).unwrap();
        reader.start();
        assert!(matches!(reader.wait(), Some(Err(SymbolsError::Read(_)))));
    }
}
