//! Lines out of bytes: any number of files or a pipe, plain or compressed by zstd. Each line is looked at once, in one buffer.

use std::io::{self, BufRead, BufReader, Read};

use super::error::RecordingError;
use super::line::Line;

/// No line of netdrop's is as long: a summary has a few thousand rows of a few hundred bytes.
const LONGEST: usize = 16 << 20;
/// The first bytes of a zstd frame (RFC 8878, section 3.1.1).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The lines of one file.
pub struct Lines<'a> {
    name: String,
    input: Box<dyn BufRead + 'a>,
    buffer: Vec<u8>,
    line: u64,
    /// Bytes before the line in the buffer.
    offset: u64,
    cut: Option<Cut>,
}

/// A last line that is not all there: the recording was copied while it was written, or its writer was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Its number, from 1.
    pub line: u64,
    /// Bytes before it, uncompressed.
    pub offset: u64,
    /// Bytes of it that are there.
    pub bytes: usize,
}

impl<'a> Lines<'a> {
    /// The lines of `input`; errors name it `name`.
    ///
    /// # Errors
    /// When its first bytes can't be read.
    pub fn new(name: impl Into<String>, mut input: impl Read + 'a) -> Result<Self, RecordingError> {
        let name = name.into();
        let failed = |error| RecordingError::Read { file: name.clone(), error };
        let mut start = Vec::new();
        input.by_ref().take(ZSTD.len() as u64).read_to_end(&mut start).map_err(failed)?;
        let compressed = start == ZSTD;
        let input = io::Cursor::new(start).chain(input);
        let input: Box<dyn BufRead + 'a> = if compressed {
            Box::new(BufReader::new(zstd::Decoder::new(input).map_err(failed)?))
        } else {
            Box::new(BufReader::with_capacity(256 << 10, input))
        };
        Ok(Self { name, input, buffer: Vec::new(), line: 0, offset: 0, cut: None })
    }

    /// The next line, or none at the end.
    ///
    /// # Errors
    /// When it can't be read, unless it is the last and cut short: then [`Lines::cut`] tells of it.
    pub fn next_line(&mut self) -> Result<Option<Line<'_>>, RecordingError> {
        Ok(self.next_with_text()?.map(|(line, _)| line))
    }

    /// The next line, and its own text, or none at the end.
    ///
    /// # Errors
    /// As [`Lines::next_line`].
    pub fn next_with_text(&mut self) -> Result<Option<(Line<'_>, &[u8])>, RecordingError> {
        loop {
            self.offset += self.buffer.len() as u64;
            self.buffer.clear();
            let whole = self.fill()?;
            if self.buffer.is_empty() {
                return Ok(None);
            }
            self.line += 1;
            if self.buffer.iter().any(|byte| !byte.is_ascii_whitespace()) {
                return self.parse(whole);
            }
        }
    }

    /// The last line, if it was cut short. It is none of those that were given.
    pub fn cut(&self) -> Option<Cut> {
        self.cut
    }

    /// Reads a line into the buffer; whether its end is there.
    fn fill(&mut self) -> Result<bool, RecordingError> {
        let most = LONGEST as u64 + 1;
        match self.input.by_ref().take(most).read_until(b'\n', &mut self.buffer) {
            Ok(_) => {}
            // A compressed file that ends inside of a frame.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(RecordingError::Read { file: self.name.clone(), error }),
        }
        if self.buffer.len() > LONGEST {
            let (file, line) = (self.name.clone(), self.line + 1);
            return Err(RecordingError::TooLong { file, line, most: LONGEST });
        }
        Ok(self.buffer.ends_with(b"\n"))
    }

    fn parse(&mut self, whole: bool) -> Result<Option<(Line<'_>, &[u8])>, RecordingError> {
        match Line::parse(&self.buffer) {
            Ok(line) => Ok(Some((line, &self.buffer))),
            Err(_) if !whole => {
                self.cut = Some(Cut { line: self.line, offset: self.offset, bytes: self.buffer.len() });
                Ok(None)
            }
            Err(error) => Err(RecordingError::Line { file: self.name.clone(), line: self.line, error }),
        }
    }
}
