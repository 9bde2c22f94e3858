//! `--output FILE`, with rotation by size.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A failed operation on an output file; the source of the [`io::Error`]s that [`RotatingFile`] returns.
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
    /// Bytes that a file holds at most, unless a single line is longer or its end comes with a later write.
    pub limit: u64,
    /// How many older files stay, as `FILE.1` (the youngest) to `FILE.N`.
    pub keep: u32,
}

/// A file that, when it is full, becomes `FILE.1`, and `FILE.1` `FILE.2`, and so on. No line is ever cut in two.
///
/// Without rotation an existing file is overwritten, as the shell's `>` does; with it, it is continued.
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    rotation: Option<Rotation>,
    file: File,
    size: u64,
    at_line_start: bool,
}

impl RotatingFile {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// When it can't be opened for writing; the error names the path.
    pub fn open(path: &Path, rotation: Option<Rotation>) -> io::Result<Self> {
        let mut options = File::options();
        options.create(true);
        let options =
            if rotation.is_some() { options.append(true) } else { options.write(true).truncate(true) };
        let opened = options.open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (size, file) = opened.map_err(|error| failed("open", path, error))?;
        Ok(Self { path: path.to_owned(), rotation, file, size, at_line_start: true })
    }

    /// How many bytes of `buffer` go into this file, after turning to a new one if the first line has no room.
    fn room(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let Some(rotation) = self.rotation else { return Ok(buffer.len()) };
        let line = line_end(buffer);
        if self.at_line_start && self.size > 0 && self.size + line as u64 > rotation.limit {
            self.rotate(rotation.keep)?;
        }
        let left = usize::try_from(rotation.limit.saturating_sub(self.size)).unwrap_or(usize::MAX);
        let whole_lines =
            buffer[..left.min(buffer.len())].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        Ok(whole_lines.max(line))
    }

    fn rotate(&mut self, keep: u32) -> io::Result<()> {
        for older in (1..keep).rev() {
            move_if_there(&self.numbered(older), &self.numbered(older + 1))?;
        }
        if keep > 0 {
            move_if_there(&self.path, &self.numbered(1))?;
        }
        // Someone may have put a file there meanwhile: it is not ours to read on from.
        self.file = File::create(&self.path).map_err(|error| failed("create", &self.path, error))?;
        self.size = 0;
        Ok(())
    }

    /// `FILE.1`, `FILE.2`, …
    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

impl Write for RotatingFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let room = self.room(buffer)?;
        let written =
            self.file.write(&buffer[..room]).map_err(|error| failed("write to", &self.path, error))?;
        self.size += written as u64;
        self.at_line_start = buffer[..written].last().map_or(self.at_line_start, |byte| *byte == b'\n');
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(|error| failed("write to", &self.path, error))
    }
}

/// The length of the first line with its end, or of all when it has none.
fn line_end(buffer: &[u8]) -> usize {
    buffer.iter().position(|byte| *byte == b'\n').map_or(buffer.len(), |at| at + 1)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Each file's content, the youngest first.
    fn files(path: &Path) -> Vec<String> {
        let mut all = vec![fs::read_to_string(path).unwrap()];
        for number in 1.. {
            let Ok(text) = fs::read_to_string(format!("{}.{number}", path.display())) else { return all };
            all.push(text);
        }
        all
    }

    #[rstest::rstest]
    #[case::all_fits(100, 2, &["a\n", "b\n"], &["a\nb\n"])]
    #[case::exactly_full(4, 2, &["a\n", "b\n"], &["a\nb\n"])]
    #[case::one_over(4, 2, &["a\n", "b\n", "c\n"], &["c\n", "a\nb\n"])]
    #[case::many_lines_in_one_write(4, 9, &["a\nb\nc\nd\ne\n"], &["e\n", "c\nd\n", "a\nb\n"])]
    #[case::the_oldest_go(2, 2, &["a\nb\nc\nd\n"], &["d\n", "c\n", "b\n"])]
    #[case::none_kept(2, 0, &["a\nb\n"], &["b\n"])]
    #[case::a_line_in_pieces_stays_whole(4, 2, &["a\n", "bb", "bb", "b\n", "c\n"], &["c\n", "a\nbbbbb\n"])]
    #[case::a_line_longer_than_a_file(2, 2, &["aaaaaaaa\n", "b\n"], &["b\n", "aaaaaaaa\n"])]
    fn files_turn_between_lines(
        #[case] limit: u64,
        #[case] keep: u32,
        #[case] writes: &[&str],
        #[case] expected: &[&str],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drops.json");
        let mut file = RotatingFile::open(&path, Some(Rotation { limit, keep })).unwrap();
        for text in writes {
            file.write_all(text.as_bytes()).unwrap();
        }
        assert_eq!(files(&path), expected);
    }

    #[test]
    fn a_rotating_file_is_continued_and_a_plain_one_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drops.json");
        fs::write(&path, "a\n").unwrap();
        let rotation = Some(Rotation { limit: 4, keep: 1 });
        RotatingFile::open(&path, rotation).unwrap().write_all(b"b\nc\n").unwrap();
        assert_eq!(files(&path), ["c\n", "a\nb\n"]);
        RotatingFile::open(&path, None).unwrap().write_all(b"d\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "d\n");
    }

    #[test]
    fn an_error_names_the_file_and_keeps_its_kind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("drops.json");
        let error = RotatingFile::open(&path, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(
            error.to_string().starts_with(&format!("cannot open {}: No such file", path.display())),
            "{error}"
        );
    }

    #[test]
    fn a_full_disk_is_told_with_the_file() {
        let mut file = RotatingFile::open(Path::new("/dev/full"), None).unwrap();
        let error = file.write_all(b"a\n").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(error.to_string().starts_with("cannot write to /dev/full: No space left"), "{error}");
    }
}
