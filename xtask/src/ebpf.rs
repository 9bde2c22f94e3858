//! `cargo xtask ebpf`: builds the eBPF programs into the objects that are committed beside their loader.
//!
//! The objects are committed so that a plain `cargo build` needs neither nightly nor LLVM. That is only honest if
//! anyone can build the same bytes again: every path that could enter them is remapped.

use std::fs;
use std::path::{Path, PathBuf};

use object::build::elf::SectionData;

use anyhow::{Context, Result, ensure};

use crate::manifest::{Manifest, sha256, sources_hash};
use crate::toolchain::{self, Compiler, Linker};
use crate::workspace;

const PACKAGE: &str = "netdrop-ebpf";
const TARGET: &str = "bpfel-unknown-none";
const MANIFEST: &str = "netdrop/src/probe/netdrop.bpf.toml";

/// A binary of the package, and the object that is made of it.
struct Program {
    binary: &'static str,
    object: &'static str,
}

const DROPS: Program = Program { binary: "netdrop-ebpf", object: "netdrop/src/probe/netdrop.bpf.o" };
const TCP: Program = Program { binary: "netdrop-tcp-ebpf", object: "netdrop/src/probe/tcp.bpf.o" };

/// `--btf` and full debug info together give the program its BTF and line info; the third version of the instruction set has
/// 32-bit arithmetic and jumps (kernels from 5.1 on).
const FLAGS: [&str; 3] = ["-Clink-arg=--btf", "-Cdebuginfo=2", "-Ctarget-cpu=v3"];

/// Builds the objects and writes them with their manifest.
pub fn build() -> Result<()> {
    let compiler = toolchain::preferred()?;
    let linker = toolchain::linker()?;
    println!("compiler: {}\nlinker:   {}", compiler.version, linker.version);
    let [drops, tcp] = compile(&compiler, &linker, &workspace::target().join("ebpf"))?;
    let manifest = Manifest {
        sources: sources_hash(workspace::root(), &FLAGS)?,
        object: sha256(&drops),
        tcp: sha256(&tcp),
        compiler: compiler.version,
        linker: linker.version,
    };
    for (program, bytes, hash) in [(DROPS, drops, &manifest.object), (TCP, tcp, &manifest.tcp)] {
        let object = workspace::root().join(program.object);
        fs::create_dir_all(object.parent().expect("the object lies in a folder"))?;
        fs::write(&object, &bytes).with_context(|| format!("cannot write {}", object.display()))?;
        println!("wrote {} ({} bytes, sha256 {hash})", program.object, bytes.len());
    }
    manifest.write(&workspace::root().join(MANIFEST))
}

/// How far `check` could go.
#[derive(Debug, PartialEq, Eq)]
pub enum Checked {
    /// The hashes agree and a new build gave the same bytes.
    Rebuilt,
    /// The hashes agree; why nothing was built.
    HashesOnly(String),
}

/// Fails unless the committed objects belong to the sources.
pub fn check() -> Result<Checked> {
    let root = workspace::root();
    let manifest = Manifest::read(&root.join(MANIFEST))?;
    let committed = [committed(&DROPS, &manifest.object)?, committed(&TCP, &manifest.tcp)?];
    ensure!(
        sources_hash(root, &FLAGS)? == manifest.sources,
        "the eBPF sources, their dependencies or flags changed since the objects were built; \
         run `cargo xtask ebpf` and commit what it writes"
    );
    println!("hashes: the sources and the objects are those of the manifest");

    let same_compiler = toolchain::compilers().into_iter().find(|found| found.version == manifest.compiler);
    let Some(compiler) = same_compiler else {
        return Ok(hashes_only(format!("the manifest's compiler ({}) is not at hand", manifest.compiler)));
    };
    let linker = match toolchain::linker() {
        Ok(linker) if linker.version == manifest.linker => linker,
        Ok(Linker { version, .. }) => {
            return Ok(hashes_only(format!(
                "the linker here is {version}, the manifest's {}",
                manifest.linker
            )));
        }
        Err(error) => return Ok(hashes_only(error.to_string())),
    };
    let scratch = tempfile::tempdir().context("cannot make a folder for the new build")?;
    let rebuilt = compile(&compiler, &linker, scratch.path())?;
    for (program, (rebuilt, committed)) in [DROPS, TCP].iter().zip(rebuilt.iter().zip(&committed)) {
        ensure!(
            rebuilt == committed,
            "the rebuilt object differs from {} (sha256 {}, committed {})",
            program.object,
            sha256(rebuilt),
            sha256(committed)
        );
        println!("rebuilt: {}, the same {} bytes", program.object, committed.len());
    }
    Ok(Checked::Rebuilt)
}

/// A committed object, which must be the manifest's.
fn committed(program: &Program, hash: &str) -> Result<Vec<u8>> {
    let bytes = fs::read(workspace::root().join(program.object))
        .with_context(|| format!("cannot read {}", program.object))?;
    ensure!(
        sha256(&bytes) == hash,
        "{} is not the object of its manifest; run `cargo xtask ebpf` and commit what it writes",
        program.object
    );
    Ok(bytes)
}

fn hashes_only(why: String) -> Checked {
    println!("not rebuilt: {why}");
    Checked::HashesOnly(why)
}

/// Compiles the programs, `core` included, and returns the bytes of both objects.
fn compile(compiler: &Compiler, linker: &Linker, target: &Path) -> Result<[Vec<u8>; 2]> {
    // The registry's folders are remapped by name, so they have to exist before the build.
    workspace::run(workspace::cargo().args(["fetch", "--locked", "--quiet"]))?;

    let mut flags: Vec<String> = FLAGS.map(String::from).to_vec();
    flags.push(format!("-Clinker={}", linker.path.display()));
    for (from, to) in remapped(compiler, target)? {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    }
    let mut command = workspace::cargo();
    if let Some(cargo) = &compiler.cargo {
        command = std::process::Command::new(cargo);
        command.current_dir(workspace::root());
    }
    // `build-std` is unstable; the bootstrap switch lets a stable compiler do it too.
    command
        .args(["build", "-Zbuild-std=core", "--locked", "--release", "--target", TARGET])
        .args(["--package", PACKAGE, "--bin", DROPS.binary, "--bin", TCP.binary])
        .env("CARGO_TARGET_DIR", target)
        // The hot path is never for size.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("RUSTC", &compiler.rustc)
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTUP_TOOLCHAIN");
    workspace::run(&mut command)?;
    let folder = target.join(TARGET).join("release");
    Ok([built(&folder.join(DROPS.binary))?, built(&folder.join(TCP.binary))?])
}

/// What the linker has made, stripped.
fn built(object: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(object).with_context(|| format!("the build left no {}", object.display()))?;
    without_debug_info(&bytes).with_context(|| format!("cannot strip {}", object.display()))
}

/// The object without what no kernel reads: DWARF, which is five sixths of it, and the lines of its instructions, as the programs are
/// loaded without BTF. Its BTF stays, for the maps.
fn without_debug_info(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut elf = object::build::elf::Builder::read(bytes)?;
    for section in &mut elf.sections {
        let name = section.name.strip_prefix(b".rel").unwrap_or(&section.name);
        section.delete |= name.starts_with(b".debug") || name == b".BTF.ext";
    }
    elf.delete_orphans();
    // LLVM keeps the sections' names among the symbols'; the writer wants a section of their own.
    let names = elf.sections.add();
    names.name = b".shstrtab".as_slice().into();
    names.sh_type = object::elf::SHT_STRTAB;
    names.data = SectionData::SectionString;
    let mut stripped = Vec::new();
    elf.write(&mut stripped)?;
    Ok(stripped)
}

/// The folders whose names must not enter the object, and what stands for each.
fn remapped(compiler: &Compiler, target: &Path) -> Result<Vec<(PathBuf, &'static str)>> {
    let mut folders = vec![(workspace::root().to_owned(), "/netdrop"), (target.to_owned(), "/target")];
    let sources = toolchain::sources(&compiler.sysroot);
    if let Ok(real) = sources.canonicalize() {
        folders.push((real, "/rust-src"));
    }
    folders.push((sources, "/rust-src"));

    // One folder a registry: a mirror's is named otherwise, but holds the same files.
    let home = workspace::cargo_home().context("no cargo home folder: neither CARGO_HOME nor HOME is set")?;
    let registry = home.join("registry/src");
    let entries = fs::read_dir(&registry).into_iter().flatten();
    folders.extend(entries.flatten().map(|entry| (entry.path(), "/registry")));
    Ok(folders)
}
