//! A writer of initramfs archives: cpio's `newc` format (kernel: Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::BTreeSet;
use std::path::Path;

const FOLDER: u32 = 0o040_755;
const LINK: u32 = 0o120_777;
const FILE: u32 = 0o100_000;

/// An archive in memory. Paths are absolute in the guest; folders above a file are made as needed.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: BTreeSet<String>,
}

impl Archive {
    /// Adds a file; one that is there already is kept.
    pub fn file(&mut self, path: &str, content: &[u8], permissions: u32) {
        self.add(path, content, FILE | permissions);
    }

    pub fn symlink(&mut self, path: &str, destination: &str) {
        self.add(path, destination.as_bytes(), LINK);
    }

    pub fn folder(&mut self, path: &str) {
        self.add(path, &[], FOLDER);
    }

    /// The archive's bytes. Several archives may follow one another in one initramfs.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", &[], 0);
        self.bytes
    }

    fn add(&mut self, path: &str, content: &[u8], mode: u32) {
        let name = path.trim_matches('/');
        if name.is_empty() || !self.entries.insert(name.to_owned()) {
            return;
        }
        if let Some(parent) = Path::new(name).parent().and_then(Path::to_str) {
            self.folder(parent);
        }
        self.entry(name, content, mode);
    }

    fn entry(&mut self, name: &str, content: &[u8], mode: u32) {
        // Inode, mode, uid, gid, links, mtime, size, device (2), special device (2), name's length, checksum.
        // Inodes only matter to hard links, which are not used: all stay 0 with one link.
        let size = u32::try_from(content.len()).expect("a file of an initramfs is smaller than 4 GiB");
        let name_size = u32::try_from(name.len() + 1).expect("a path is shorter than 4 GiB");
        self.bytes.extend_from_slice(b"070701");
        for field in [0, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0] {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_parents_come_first() {
        let mut archive = Archive::default();
        archive.file("/a/b/c", b"12345", 0o755);
        archive.symlink("/a/l", "b/c");
        archive.file("/a/b/c", b"again", 0o644);
        let bytes = archive.finish();
        let mut names = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            assert_eq!(&rest[..6], b"070701");
            let field = |n: usize| {
                usize::from_str_radix(std::str::from_utf8(&rest[6 + 8 * n..14 + 8 * n]).unwrap(), 16).unwrap()
            };
            let (mode, size, name_size) = (field(1), field(6), field(11));
            names.push((
                String::from_utf8(rest[110..110 + name_size - 1].to_vec()).unwrap(),
                format!("{mode:o}"),
                size,
            ));
            rest = &rest[(110 + name_size).next_multiple_of(4) + size.next_multiple_of(4)..];
        }
        let expected = [
            ("a", "40755", 0),
            ("a/b", "40755", 0),
            ("a/b/c", "100755", 5),
            ("a/l", "120777", 3),
            ("TRAILER!!!", "0", 0),
        ];
        assert_eq!(names, expected.map(|(name, mode, size)| (name.to_owned(), mode.to_owned(), size)));
    }
}
