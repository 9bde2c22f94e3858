//! One output file: compressed where its name asks for it, moved aside when its time has come.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use thiserror::Error;
use zstd::stream::write::Encoder;

/// What is written to and has an end of its own: a compressed stream's last bytes come with it.
pub trait Destination: Write + Send {
    /// Writes what is still held back; nothing may be written afterwards.
    fn finish(&mut self) -> io::Result<()> {
        self.flush()
    }
}

impl Destination for File {}

impl Destination for Box<dyn Destination> {
    fn finish(&mut self) -> io::Result<()> {
        (**self).finish()
    }
}

/// A failed operation on an output file; the source of the [`io::Error`]s that files return here.
#[derive(Debug, Error)]
#[error("cannot {action} {}: {error}", path.display())]
pub struct FileError {
    action: &'static str,
    path: PathBuf,
    error: io::Error,
}

/// When to rotate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// When a file is full.
    pub limit: Limit,
    /// How many older files stay, as `FILE.1` (the youngest) to `FILE.N`.
    pub keep: u32,
}

/// When a file is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// At so many bytes, as they stand in the file.
    Size(u64),
    /// After this time.
    Age(Duration),
}

/// A file that is being written, `FILE`, and those before it, `FILE.1` (the youngest) to `FILE.N`.
pub(super) struct OutputFile {
    path: PathBuf,
    to: To,
    opened: Instant,
}

/// How the bytes get there.
enum To {
    Plain(Counted),
    Zstd(Encoder<'static, Counted>),
}

/// A file and its size.
struct Counted {
    file: File,
    size: u64,
}

impl OutputFile {
    /// Creates the file; an existing one is overwritten, as the shell's `>` does.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::open(path, File::options().create(true).write(true).truncate(true))
    }

    /// Creates the file, or continues an existing one.
    pub fn append(path: &Path) -> io::Result<Self> {
        Self::open(path, File::options().create(true).append(true))
    }

    fn open(path: &Path, options: &fs::OpenOptions) -> io::Result<Self> {
        let opened = options.open(path).and_then(|file| Ok(Counted { size: file.metadata()?.len(), file }));
        let file = opened.map_err(|error| failed("open", path, error))?;
        let to = To::new(path, file).map_err(|error| failed("compress", path, error))?;
        Ok(Self { path: path.to_owned(), to, opened: Instant::now() })
    }

    /// Bytes in the file.
    pub fn size(&self) -> u64 {
        match &self.to {
            To::Plain(file) => file.size,
            To::Zstd(encoder) => encoder.get_ref().size,
        }
    }

    /// Since it was opened.
    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Ends the file, makes it `FILE.1`, what was `FILE.1` `FILE.2` and so on, and begins a new one.
    pub fn turn(&mut self, keep: u32) -> io::Result<()> {
        self.finish()?;
        for older in (1..keep).rev() {
            move_if_there(&self.numbered(older), &self.numbered(older + 1))?;
        }
        if keep > 0 {
            move_if_there(&self.path, &self.numbered(1))?;
        }
        // Someone may have put a file there meanwhile: it is not ours to read on from.
        *self = Self::create(&self.path)?;
        Ok(())
    }

    /// `FILE.1`, `FILE.2`, …
    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

impl Write for OutputFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = match &mut self.to {
            To::Plain(file) => file.write(buffer),
            To::Zstd(encoder) => encoder.write(buffer),
        };
        written.map_err(|error| failed("write to", &self.path, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = match &mut self.to {
            To::Plain(file) => file.flush(),
            To::Zstd(encoder) => encoder.flush(),
        };
        flushed.map_err(|error| failed("write to", &self.path, error))
    }
}

impl Destination for OutputFile {
    fn finish(&mut self) -> io::Result<()> {
        let finished = match &mut self.to {
            To::Plain(file) => file.flush(),
            To::Zstd(encoder) => encoder.do_finish(),
        };
        finished.map_err(|error| failed("write to", &self.path, error))
    }
}

impl To {
    fn new(path: &Path, file: Counted) -> io::Result<Self> {
        /// zstd's own default: a few MB of memory, a tenth of the size.
        const LEVEL: i32 = 3;
        if path.extension().is_some_and(|extension| extension == "zst") {
            return Ok(Self::Zstd(Encoder::new(file, LEVEL)?));
        }
        Ok(Self::Plain(file))
    }
}

impl Write for Counted {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buffer)?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn move_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("rename", from, error)),
        _ => Ok(()),
    }
}

/// An error of the same kind that names the file.
fn failed(action: &'static str, path: &Path, error: io::Error) -> io::Error {
    let kind = error.kind();
    // `write_all` retries an interrupted call by this kind, whatever the error carries.
    io::Error::new(kind, FileError { action, path: path.to_owned(), error })
}
