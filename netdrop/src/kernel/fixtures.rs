//! The reduced BTF of real kernels, for tests. `netdrop/tests/fixtures/btf/README.md` says how they were made.

use std::path::PathBuf;

/// Kernels that there are fixtures of, oldest first.
pub const KERNELS: [&str; 5] = ["5.10", "6.1", "6.12", "6.18", "7.3"];

/// The reduced BTF of a kernel (`6.12`), or of a module of it (`6.12-openvswitch`).
pub fn btf(name: &str) -> Vec<u8> {
    let path = path(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether there is such a fixture: not every kernel's modules have BTF, or reasons.
pub fn has(name: &str) -> bool {
    path(name).exists()
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/btf/{name}.btf"))
}
