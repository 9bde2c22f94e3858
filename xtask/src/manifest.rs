//! The manifest beside the committed BPF objects: what they were made of, and with what.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Folders whose every file goes into the object.
const SOURCES: [&str; 2] = ["netdrop-common", "netdrop-ebpf"];

const HEADER: &str = "\
# Written by `cargo xtask ebpf`: what netdrop.bpf.o and tcp.bpf.o were built from, and with what.
# `cargo xtask ebpf --check` compares it with the sources.
";

/// The manifest's fields; hashes are SHA-256 in hexadecimal.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Over the sources, the locked dependencies and the release profile.
    pub sources: String,
    /// Over netdrop.bpf.o itself.
    pub object: String,
    /// Over tcp.bpf.o.
    pub tcp: String,
    pub compiler: String,
    pub linker: String,
}

impl Manifest {
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read {}; `cargo xtask ebpf` writes it", path.display()))?;
        toml::from_str(&text)
            .with_context(|| format!("{} is damaged; `cargo xtask ebpf` writes it anew", path.display()))
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        let body = toml::to_string(self).context("cannot write the manifest as TOML")?;
        fs::write(path, format!("{HEADER}{body}")).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// SHA-256 of some bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all that is written");
        text
    })
}

/// The hash over all that the object is made of, in the workspace at `root`. `flags` are the compiler's.
pub fn sources_hash(root: &Path, flags: &[&str]) -> Result<String> {
    let mut parts = BTreeMap::new();
    for folder in SOURCES {
        for file in files(&root.join(folder))? {
            let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
            parts.insert(name, sha256(&bytes));
        }
    }
    let lock = fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    parts.insert("dependencies".into(), locked(&lock, "netdrop-ebpf")?.join("\n"));
    let workspace = fs::read_to_string(root.join("Cargo.toml")).context("cannot read Cargo.toml")?;
    parts.insert("profile".into(), release_profile(&workspace)?);
    parts.insert("flags".into(), flags.join(" "));

    let mut hash = Sha256::new();
    for (name, value) in parts {
        // Names and values hold no NUL, so the joined text is unambiguous.
        hash.update(name + "\0" + &value + "\0");
    }
    Ok(hex(&hash.finalize()))
}

/// All files below a folder, but no build output.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                found.extend(files(&path)?);
            }
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

/// `name version checksum` of every package that `package` needs by the lock file, sorted.
fn locked(lock: &str, package: &str) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
        #[serde(default)]
        checksum: String,
        #[serde(default)]
        dependencies: Vec<String>,
    }
    let lock: Lock = toml::from_str(lock).context("Cargo.lock is not what cargo writes")?;
    let mut wanted = vec![package];
    let mut seen = BTreeSet::new();
    while let Some(reference) = wanted.pop() {
        // A reference is `name`, or `name version` where several versions are locked.
        let mut words = reference.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next());
        for package in &lock.package {
            if package.name == name && version.is_none_or(|version| package.version == version) {
                let line = format!("{} {} {}", package.name, package.version, package.checksum);
                if seen.insert(line) {
                    wanted.extend(package.dependencies.iter().map(String::as_str));
                }
            }
        }
    }
    Ok(seen.into_iter().collect())
}

/// The release profile as the workspace's `Cargo.toml` sets it: it decides over the code that comes out.
fn release_profile(workspace: &str) -> Result<String> {
    let workspace: toml::Table = toml::from_str(workspace).context("Cargo.toml is not valid TOML")?;
    let profile = workspace.get("profile").and_then(|profile| profile.get("release"));
    Ok(profile.map(ToString::to_string).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
        version = 4
        [[package]]
        name = "a"
        version = "1.0.0"
        dependencies = ["b 2.0.0", "c"]
        [[package]]
        name = "b"
        version = "1.0.0"
        checksum = "b1"
        [[package]]
        name = "b"
        version = "2.0.0"
        checksum = "b2"
        [[package]]
        name = "c"
        version = "3.0.0"
        checksum = "c3"
        dependencies = ["a"]
        [[package]]
        name = "unrelated"
        version = "9.0.0"
    "#;

    #[test]
    fn only_the_locked_versions_that_are_needed_count() {
        assert_eq!(locked(LOCK, "a").unwrap(), ["a 1.0.0 ", "b 2.0.0 b2", "c 3.0.0 c3"]);
    }

    /// A workspace of the least files that have a hash.
    fn workspace() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for folder in SOURCES {
            fs::create_dir_all(dir.path().join(folder).join("src")).unwrap();
            fs::write(dir.path().join(folder).join("src/lib.rs"), folder).unwrap();
        }
        fs::write(dir.path().join("Cargo.lock"), LOCK.replace("\"a\"", "\"netdrop-ebpf\"")).unwrap();
        fs::write(dir.path().join("Cargo.toml"), "[profile.release]\nlto = true\n[profile.dev]\ndebug = 1\n")
            .unwrap();
        dir
    }

    #[test]
    fn the_hash_follows_the_sources_and_nothing_else() {
        let cases: [(&str, &str, bool); 6] = [
            ("netdrop-ebpf/src/lib.rs", "changed", true),
            ("netdrop-common/src/new.rs", "", true),
            ("Cargo.toml", "[profile.release]\nlto = false\n", true),
            ("Cargo.toml", "[profile.release]\nlto = true\n[profile.dev]\ndebug = 2\n", false),
            ("netdrop-ebpf/target/debug/x", "built", false),
            ("README.md", "text", false),
        ];
        let before = sources_hash(workspace().path(), &["-Ca"]).unwrap();
        assert_ne!(before, sources_hash(workspace().path(), &["-Cb"]).unwrap(), "flags");
        for (file, content, differs) in cases {
            let dir = workspace();
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
            let after = sources_hash(dir.path(), &["-Ca"]).unwrap();
            assert_eq!(after != before, differs, "{file} = {content:?}");
        }
    }

    #[test]
    fn a_manifest_reads_back_as_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.toml");
        let manifest = Manifest {
            sources: "1".into(),
            object: "2".into(),
            tcp: "3".into(),
            compiler: "rustc \"x\"".into(),
            linker: "l".into(),
        };
        manifest.write(&path).unwrap();
        assert_eq!(Manifest::read(&path).unwrap(), manifest);
    }
}
