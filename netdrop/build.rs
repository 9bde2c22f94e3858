//! Packs what the binary carries and seldom needs: a quarter of its size there.

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Files and folders. `crate::packed` reads them.
const PACKED: [&str; 4] =
    ["src/probe/netdrop.bpf.o", "src/probe/tcp.bpf.o", "src/knowledge/data", "schema/netdrop-1.schema.json"];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");
    for path in PACKED {
        println!("cargo::rerun-if-changed={path}");
        for file in files(Path::new(path))? {
            let name = file.file_name().ok_or("a file has a name")?;
            let packed = zstd::encode_all(File::open(&file)?, zstd::DEFAULT_COMPRESSION_LEVEL)?;
            fs::write(out.join(name).with_added_extension("zst"), packed)?;
        }
    }
    Ok(())
}

/// The file itself, or those of a folder.
fn files(path: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    if path.is_file() {
        return Ok(vec![path.into()]);
    }
    Ok(fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?)
}
