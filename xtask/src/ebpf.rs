//! `cargo xtask ebpf`: builds the eBPF program into the object that is committed beside its loader.
//!
//! The object is committed so that a plain `cargo build` needs neither nightly nor LLVM. That is only honest if
//! anyone can build the same bytes again: every path that could enter them is remapped.

use std::fs;
use std::path::{Path, PathBuf};

use object::build::elf::SectionData;

use anyhow::{Context, Result, bail, ensure};

use crate::manifest::{Manifest, sha256, sources_hash};
use crate::toolchain::{self, Compiler, Linker};
use crate::workspace;

const PACKAGE: &str = "netdrop-ebpf";
const TARGET: &str = "bpfel-unknown-none";
const OBJECT: &str = "netdrop/src/probe/netdrop.bpf.o";
const MANIFEST: &str = "netdrop/src/probe/netdrop.bpf.toml";

/// `--btf` and full debug info together give the program its BTF and line info; the third version of the instruction set has
/// 32-bit arithmetic and jumps (kernels from 5.1 on).
const FLAGS: [&str; 3] = ["-Clink-arg=--btf", "-Cdebuginfo=2", "-Ctarget-cpu=v3"];

/// Builds the object and writes it with its manifest.
pub fn build() -> Result<()> {
    let compiler = toolchain::preferred()?;
    let linker = toolchain::linker()?;
    println!("compiler: {}\nlinker:   {}", compiler.version, linker.version);
    let bytes = compile(&compiler, &linker, &workspace::target().join("ebpf"))?;
    let manifest = Manifest {
        sources: sources_hash(workspace::root(), &FLAGS)?,
        object: sha256(&bytes),
        compiler: compiler.version,
        linker: linker.version,
    };
    let object = workspace::root().join(OBJECT);
    fs::create_dir_all(object.parent().expect("the object lies in a folder"))?;
    fs::write(&object, &bytes).with_context(|| format!("cannot write {}", object.display()))?;
    manifest.write(&workspace::root().join(MANIFEST))?;
    println!("wrote {OBJECT} ({} bytes, sha256 {})", bytes.len(), manifest.object);
    Ok(())
}

/// How far `check` could go.
#[derive(Debug, PartialEq, Eq)]
pub enum Checked {
    /// The hashes agree and a new build gave the same bytes.
    Rebuilt,
    /// The hashes agree; why nothing was built.
    HashesOnly(String),
}

/// Fails unless the committed object belongs to the sources.
pub fn check() -> Result<Checked> {
    let root = workspace::root();
    let manifest = Manifest::read(&root.join(MANIFEST))?;
    let committed = fs::read(root.join(OBJECT)).with_context(|| format!("cannot read {OBJECT}"))?;
    ensure!(
        sha256(&committed) == manifest.object,
        "{OBJECT} is not the object of its manifest; run `cargo xtask ebpf` and commit both files"
    );
    ensure!(
        sources_hash(root, &FLAGS)? == manifest.sources,
        "the eBPF sources, their dependencies or flags changed since {OBJECT} was built; \
         run `cargo xtask ebpf` and commit both files"
    );
    println!("hashes: the sources and the object are those of the manifest");

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
    if rebuilt != committed {
        bail!(
            "the rebuilt object differs from {OBJECT} (sha256 {}, committed {})",
            sha256(&rebuilt),
            manifest.object
        );
    }
    println!("rebuilt: the same {} bytes", committed.len());
    Ok(Checked::Rebuilt)
}

fn hashes_only(why: String) -> Checked {
    println!("not rebuilt: {why}");
    Checked::HashesOnly(why)
}

/// Compiles the program, `core` included, and returns the object's bytes.
fn compile(compiler: &Compiler, linker: &Linker, target: &Path) -> Result<Vec<u8>> {
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
        .args(["--package", PACKAGE, "--bin", PACKAGE])
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("RUSTC", &compiler.rustc)
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTUP_TOOLCHAIN");
    workspace::run(&mut command)?;
    let built = target.join(TARGET).join("release").join(PACKAGE);
    let bytes = fs::read(&built).with_context(|| format!("the build left no {}", built.display()))?;
    without_dwarf(&bytes).with_context(|| format!("cannot strip {}", built.display()))
}

/// The object without DWARF, which is five sixths of it and which no kernel reads; its BTF stays.
fn without_dwarf(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut elf = object::build::elf::Builder::read(bytes)?;
    for section in &mut elf.sections {
        section.delete |= section.name.starts_with(b".debug") || section.name.starts_with(b".rel.debug");
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
