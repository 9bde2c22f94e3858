//! How far a file is read, on standard error: only on a terminal, and only when it takes more than a moment.

use std::io::{self, IsTerminal as _, Read, Write as _};
use std::time::{Duration, Instant};

/// Nothing is said before.
const MOMENT: Duration = Duration::from_secs(1);
/// Between two looks.
const STEP: Duration = Duration::from_millis(100);

/// A reader that says how far it is.
pub struct Progress<R> {
    input: R,
    name: String,
    /// Bytes in all; nothing is said where that isn't known.
    size: Option<u64>,
    read: u64,
    due: Instant,
    shown: bool,
}

impl<R: Read> Progress<R> {
    /// Tells of `name`, which has `size` bytes.
    pub fn new(input: R, name: &str, size: Option<u64>) -> Self {
        let size = size.filter(|size| *size > 0 && io::stderr().is_terminal());
        Self { input, name: name.into(), size, read: 0, due: Instant::now() + MOMENT, shown: false }
    }
}

impl<R: Read> Read for Progress<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.read += read as u64;
        if let Some(size) = self.size
            && Instant::now() >= self.due
        {
            self.due = Instant::now() + STEP;
            self.shown = true;
            let _ = write!(io::stderr(), "\rreading {}: {} %\x1b[K", self.name, self.read * 100 / size);
        }
        Ok(read)
    }
}

impl<R> Drop for Progress<R> {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
