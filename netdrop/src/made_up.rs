//! Made-up files for tests: `/proc` and `/sys` below a temporary folder.

use std::fs;
use std::path::Path;

/// A file below a made-up root, with the folders that it lies in.
pub fn file(root: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("it lies below the root")).expect("the root is ours");
    fs::write(path, content).expect("the root is ours");
}
