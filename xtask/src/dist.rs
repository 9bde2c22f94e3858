//! `cargo xtask dist`: the one static binary that people install.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// What the binary may weigh, in bytes.
pub const LIMIT: u64 = 10_000_000;

/// Builds `target/dist/netdrop` and checks its size.
pub fn run() -> Result<()> {
    let built = workspace::static_release(&["netdrop"])?.join("netdrop");
    let folder = workspace::target().join("dist");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let binary = folder.join("netdrop");
    let size = fs::copy(&built, &binary).with_context(|| format!("cannot write {}", binary.display()))?;
    println!("{}: {size} bytes (limit {LIMIT})", binary.display());
    ensure!(size <= LIMIT, "the binary is {} bytes over its limit", size - LIMIT);
    Ok(())
}
