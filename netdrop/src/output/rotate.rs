//! `--output FILE`: lines into a file that is rotated by size or time.

use std::io::{self, Write};
use std::path::Path;

use super::file::{Destination, Limit, OutputFile, Rotation};

/// A file that, when it is full, becomes `FILE.1`, and `FILE.1` `FILE.2`, and so on. No line is ever cut in two: a file is
/// larger than its limit when a single line is, or when a line's end comes with a later write.
///
/// Without rotation an existing file is overwritten, as the shell's `>` does; with it, it is continued.
pub struct RotatingFile {
    file: OutputFile,
    rotation: Option<Rotation>,
    at_line_start: bool,
}

impl RotatingFile {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// When it can't be opened for writing; the error names the path.
    pub fn open(path: &Path, rotation: Option<Rotation>) -> io::Result<Self> {
        let file = if rotation.is_some() { OutputFile::append(path) } else { OutputFile::create(path) };
        Ok(Self { file: file?, rotation, at_line_start: true })
    }

    /// Opens or creates the file to write behind what it has.
    ///
    /// # Errors
    /// As [`RotatingFile::open`].
    pub fn append(path: &Path) -> io::Result<Self> {
        Ok(Self { file: OutputFile::append(path)?, rotation: None, at_line_start: true })
    }

    /// How many bytes of `buffer` go into this file, after turning to a new one if the first line has no room.
    fn room(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let Some(Rotation { limit, keep }) = self.rotation else { return Ok(buffer.len()) };
        let line = line_end(buffer);
        let full = match limit {
            Limit::Size(limit) => self.file.size() + line as u64 > limit,
            Limit::Age(limit) => self.file.age() >= limit,
        };
        if self.at_line_start && self.file.size() > 0 && full {
            self.file.turn(keep)?;
        }
        let Limit::Size(limit) = limit else { return Ok(buffer.len()) };
        let left = usize::try_from(limit.saturating_sub(self.file.size())).unwrap_or(usize::MAX);
        let whole_lines =
            buffer[..left.min(buffer.len())].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        Ok(whole_lines.max(line))
    }
}

impl Write for RotatingFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let room = self.room(buffer)?;
        let written = self.file.write(&buffer[..room])?;
        self.at_line_start = buffer[..written].last().map_or(self.at_line_start, |byte| *byte == b'\n');
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Destination for RotatingFile {
    fn finish(&mut self) -> io::Result<()> {
        self.file.finish()
    }
}

/// The length of the first line with its end, or of all when it has none.
fn line_end(buffer: &[u8]) -> usize {
    buffer.iter().position(|byte| *byte == b'\n').map_or(buffer.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

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
        let mut file = RotatingFile::open(&path, Some(Rotation { limit: Limit::Size(limit), keep })).unwrap();
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
        let rotation = Some(Rotation { limit: Limit::Size(4), keep: 1 });
        RotatingFile::open(&path, rotation).unwrap().write_all(b"b\nc\n").unwrap();
        assert_eq!(files(&path), ["c\n", "a\nb\n"]);
        RotatingFile::open(&path, None).unwrap().write_all(b"d\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "d\n");
    }

    #[test]
    fn files_turn_by_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drops.json");
        let at_once = Some(Rotation { limit: Limit::Age(Duration::ZERO), keep: 1 });
        let mut file = RotatingFile::open(&path, at_once).unwrap();
        file.write_all(b"a\nb\n").unwrap();
        file.write_all(b"c\n").unwrap();
        assert_eq!(files(&path), ["c\n", "a\nb\n"]);
        let never = Some(Rotation { limit: Limit::Age(Duration::MAX), keep: 1 });
        RotatingFile::open(&path, never).unwrap().write_all(b"d\n").unwrap();
        assert_eq!(files(&path), ["c\nd\n", "a\nb\n"]);
    }

    #[test]
    fn a_name_in_zst_is_compressed_and_each_file_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drops.jsonl.zst");
        // A zstd frame without content has nine bytes and more: each flushed line fills a file.
        let mut file = RotatingFile::open(&path, Some(Rotation { limit: Limit::Size(9), keep: 9 })).unwrap();
        for line in ["a\n", "b\n"] {
            file.write_all(line.as_bytes()).unwrap();
            file.flush().unwrap();
        }
        file.finish().unwrap();
        let text = |path: &Path| zstd::decode_all(fs::File::open(path).unwrap()).unwrap();
        assert_eq!(text(&path), b"b\n");
        assert_eq!(text(&folder.path().join("drops.jsonl.zst.1")), b"a\n");
    }

    #[test]
    fn an_error_names_the_file_and_keeps_its_kind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("drops.json");
        let error = RotatingFile::open(&path, None).err().unwrap();
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
