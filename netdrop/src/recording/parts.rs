//! Which files are parts of one recording, and in which order: `FILE.2`, `FILE.1`, `FILE`, as rotation leaves them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::order::InOrder as _;

/// Groups `files` into recordings, the oldest part of each first; recordings keep the order of their first parts.
pub fn in_order(files: &[PathBuf]) -> Vec<Vec<PathBuf>> {
    let mut recordings: Vec<(OsString, Vec<(u32, PathBuf)>)> = Vec::new();
    for file in files {
        let (stem, number) = split(file);
        let part = (number, file.clone());
        match recordings.iter_mut().find(|(other, _)| *other == stem) {
            Some((_, parts)) => parts.push(part),
            None => recordings.push((stem, vec![part])),
        }
    }
    let sorted = recordings.into_iter().map(|(_, mut parts)| {
        parts.order_by_key(|(number, _)| std::cmp::Reverse(*number));
        parts.into_iter().map(|(_, file)| file).collect()
    });
    sorted.collect()
}

/// `FILE.3` is `FILE` and 3; `FILE` is its own zeroth.
fn split(file: &Path) -> (OsString, u32) {
    let number = file.extension().and_then(|extension| extension.to_str()?.parse().ok());
    match number {
        Some(number) => (file.with_extension("").into(), number),
        None => (file.into(), 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("a.jsonl", "a.jsonl")]
    #[case("a a.1 a.2 a.10", "a.10 a.2 a.1 a")]
    #[case("b.1 a b", "b.1 b, a")]
    #[case("x/a y/a.1 -", "x/a, y/a.1, -")]
    fn rotated_files_are_one_recording(#[case] files: &str, #[case] recordings: &str) {
        let paths = |files: &str| files.split(' ').map(PathBuf::from).collect::<Vec<_>>();
        let recordings: Vec<_> = recordings.split(", ").map(paths).collect();
        assert_eq!(in_order(&paths(files)), recordings);
    }
}
