//! `cargo xtask dist`: the one static binary that people install.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// What the binary may weigh, in bytes.
pub const LIMIT: u64 = 10_000_000;

/// Builds `target/dist/netdrop` and checks its size.
pub fn run() -> Result<()> {
    let built = workspace::static_release("netdrop")?.join("netdrop");
    let folder = workspace::target().join("dist");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let binary = folder.join("netdrop");
    fs::copy(&built, &binary).with_context(|| format!("cannot write {}", binary.display()))?;
    let size = check_size(&binary)?;
    check_errors(&binary)?;
    println!("{}: {size} bytes (limit {LIMIT})", binary.display());
    Ok(())
}

/// Gives the size of the static binary in bytes; fails where it is above [`LIMIT`].
pub fn check_size(binary: &Path) -> Result<u64> {
    let size =
        fs::metadata(binary).with_context(|| format!("cannot read the size of {}", binary.display()))?.len();
    ensure!(size <= LIMIT, "the static binary is {size} bytes; the limit is {LIMIT}");
    Ok(size)
}

/// Fails where the static binary, which has no tables of unwinding, can't tell an error that would have a backtrace.
pub fn check_errors(binary: &Path) -> Result<()> {
    let mut netdrop = Command::new(binary);
    let ended = netdrop.args(["report", "/no/such/recording"]).env("RUST_BACKTRACE", "1").output();
    let ended = ended.with_context(|| format!("cannot run {}", binary.display()))?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(
        ended.status.code() == Some(1) && said.contains("/no/such/recording"),
        "an error with RUST_BACKTRACE=1 ends the static binary with {}: {said}",
        ended.status
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_above_the_limit_fails() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(LIMIT).unwrap();
        assert_eq!(check_size(file.path()).unwrap(), LIMIT);
        file.as_file().set_len(LIMIT + 1).unwrap();
        let error = check_size(file.path()).unwrap_err().to_string();
        assert_eq!(error, "the static binary is 10000001 bytes; the limit is 10000000");
    }
}
