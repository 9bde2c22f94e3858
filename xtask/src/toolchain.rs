//! Compilers that can build `core` for the BPF target: those that have their own sources (rust-src).

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// The nightly to install where the network allows it: `rustup toolchain install <this> --component rust-src`.
const PINNED_NIGHTLY: &str = "nightly-2026-05-20";

/// The linker's version that writes the committed object.
pub const BPF_LINKER_VERSION: &str = "0.13.0";

/// A compiler with the sources of the standard library.
pub struct Compiler {
    pub rustc: PathBuf,
    pub cargo: Option<PathBuf>,
    pub sysroot: PathBuf,
    /// First line of `rustc --version --verbose` and the LLVM's version: what the object's bytes depend on.
    pub version: String,
}

/// All usable compilers of this machine, the preferred one first.
pub fn compilers() -> Vec<Compiler> {
    let pinned =
        rustup_has(PINNED_NIGHTLY).then(|| sysroot("rustc", &[&format!("+{PINNED_NIGHTLY}")])).flatten();
    let current = sysroot("rustc", &[]);
    let debian = Some(PathBuf::from("/usr"));
    let mut found: Vec<Compiler> = Vec::new();
    for sysroot in [pinned, current, debian].into_iter().flatten() {
        if let Some(compiler) = compiler(&sysroot)
            && found.iter().all(|other| other.sysroot != compiler.sysroot)
        {
            found.push(compiler);
        }
    }
    found
}

/// The compiler that a new object is built with.
pub fn preferred() -> Result<Compiler> {
    compilers().into_iter().next().with_context(|| {
        format!(
            "no compiler with its sources (rust-src) found. Install one:\n  \
             with rustup: rustup toolchain install {PINNED_NIGHTLY} --component rust-src\n  \
             on Debian:   apt-get install rustc-web rust-web-src"
        )
    })
}

/// The BPF linker.
pub struct Linker {
    pub path: PathBuf,
    /// Its version with that of its LLVM: what the object's bytes depend on.
    pub version: String,
}

/// The machine's BPF linker.
pub fn linker() -> Result<Linker> {
    let Some(path) = workspace::which("bpf-linker") else {
        bail!("bpf-linker not found. Install it with {}", bpf_linker_hint());
    };
    let version = workspace::stdout(Command::new(&path).arg("--version"))?;
    let version = format!("{}, LLVM {}", version.trim(), linked_llvm(&path));
    Ok(Linker { path, version })
}

/// The command that installs the linker where LLVM 22 comes from Debian's packages.
fn bpf_linker_hint() -> String {
    format!(
        "LLVM_PREFIX=$(llvm-config-22 --prefix) cargo install bpf-linker --version {BPF_LINKER_VERSION} \
         --locked --no-default-features --features llvm-22"
    )
}

/// A sysroot's compiler, if the sources lie in it.
fn compiler(sysroot: &Path) -> Option<Compiler> {
    let rustc = sysroot.join("bin/rustc");
    if !rustc.is_file() || !sources(sysroot).join("library/core/src/lib.rs").is_file() {
        return None;
    }
    let verbose = Command::new(&rustc).arg("-vV").output().ok()?.stdout;
    let verbose = String::from_utf8(verbose).ok()?;
    let llvm = verbose.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    let version = format!("{}, LLVM {llvm}", verbose.lines().next()?);
    // Debian has rustc without cargo; then the current toolchain's cargo drives it.
    let cargo =
        Some(sysroot.join("bin/cargo")).filter(|cargo| cargo.is_file() && sysroot != Path::new("/usr"));
    Some(Compiler { cargo, sysroot: sysroot.to_owned(), version, rustc })
}

/// Where a sysroot keeps the standard library's sources.
pub fn sources(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib/src/rust")
}

fn sysroot(rustc: &str, args: &[&str]) -> Option<PathBuf> {
    let output = Command::new(rustc)
        .args(args)
        .args(["--print", "sysroot"])
        .current_dir(workspace::root())
        .output()
        .ok()?;
    output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// Asked before use: rustup may otherwise start to download a toolchain that is merely named.
fn rustup_has(toolchain: &str) -> bool {
    Command::new("rustup").args(["toolchain", "list"]).output().is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout).lines().any(|line| line.starts_with(toolchain))
    })
}

/// The linker's own version doesn't name its LLVM; the library it is bound to does.
fn linked_llvm(linker: &Path) -> String {
    let Ok(output) = Command::new("ldd").arg(linker).output() else { return "unknown".into() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let Some(library) = text.lines().filter(|line| line.contains("libLLVM")).find_map(|line| {
        let path = line.split("=> ").nth(1)?.split(' ').next()?;
        Some(PathBuf::from(path))
    }) else {
        return "built in".into();
    };
    let config = library.with_file_name("../bin/llvm-config");
    let version =
        Command::new(config).arg("--version").output().ok().filter(|output| output.status.success());
    match version {
        Some(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        None => library.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    }
}
