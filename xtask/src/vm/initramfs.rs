//! What a guest boots into: its init, netdrop and its tests, the system's network tools, and the kernel's modules.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::cpio::Archive;
use super::modules::{self, Modules};
use crate::workspace::{self, Binaries};

/// Tools that the scenarios call; those the host lacks are left out, and the scenarios that need them say so.
const TOOLS: [&str; 17] = [
    "dash",
    "ip",
    "tc",
    "bridge",
    "devlink",
    "nft",
    "iptables-legacy",
    "ip6tables-legacy",
    "iptables-legacy-save",
    "ip6tables-legacy-save",
    "ethtool",
    "dropwatch",
    "conntrack",
    // busybox's own would prefer its small tools for what they run.
    "nsenter",
    "unshare",
    "taskset",
    "renice",
];

/// Files and folders that the tools read.
const DATA: [&str; 7] = [
    "/etc/protocols",
    "/etc/services",
    "/etc/iproute2",
    "/usr/lib/iproute2",
    "/usr/share/iproute2",
    "/usr/lib/x86_64-linux-gnu/xtables",
    "/usr/lib/tc",
];

/// The part that is the same for every kernel: programs and tools. `more` names further tools of the host, or paths of files and folders.
pub fn system(binaries: &Binaries, more: &[String]) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for (path, program) in [
        ("/init", binaries.test_program("netdrop-guest")),
        ("/netdrop/netdrop", binaries.netdrop.clone()),
        ("/netdrop/netdrop-tests", binaries.test_program("netdrop-tests")),
    ] {
        archive.file(path, &read(&program)?, 0o755);
    }
    let busybox = workspace::which("busybox")
        .context("busybox not found; on Debian: apt-get install busybox-static")?;
    archive.file("/bin/busybox", &read(&busybox)?, 0o755);
    // busybox's own shell would prefer its small tools to the real ones whatever PATH says.
    let shell = workspace::which("dash").unwrap_or_else(|| PathBuf::from("/bin/busybox"));
    archive.symlink("/bin/sh", &shell.to_string_lossy());
    archive.folder("/busybox");
    archive.file(
        "/etc/passwd",
        b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        0o644,
    );
    archive.file("/etc/group", b"root:x:0:\nnogroup:x:65534:\n", 0o644);
    archive.file("/etc/hosts", b"127.0.0.1 localhost\n::1 localhost\n", 0o644);

    let mut shared = BTreeSet::new();
    for tool in TOOLS.into_iter().chain(more.iter().map(String::as_str)) {
        if Path::new(tool).is_dir() {
            add_tree(&mut archive, Path::new(tool))?;
            continue;
        }
        match workspace::which(tool) {
            Some(path) => {
                shared.extend(shared_libraries(&path)?);
                archive.file(&path.to_string_lossy(), &read(&path)?, 0o755);
            }
            None => println!("note: {tool} is not installed here, so guests have none"),
        }
    }
    for path in DATA {
        add_tree(&mut archive, Path::new(path))?;
    }
    for library in shared {
        archive.file(&library.to_string_lossy(), &read(&library)?, 0o755);
    }
    Ok(archive.finish())
}

/// A boot without system or command: init alone. Shows whether a machine comes up at all.
pub fn bare(binaries: &Binaries) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    archive.file("/init", &read(&binaries.test_program("netdrop-guest"))?, 0o755);
    Ok(archive.finish())
}

/// A kernel's modules.
pub fn modules(modules: &Modules) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    let mut list = String::new();
    for file in &modules.files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let name = name.split(".ko").next().unwrap_or_default();
        let path = format!("/lib/modules/{name}.ko");
        archive.file(&path, &modules::decompressed(file)?, 0o644);
        list.push_str(&path);
        list.push('\n');
    }
    archive.file("/netdrop/modules", list.as_bytes(), 0o644);
    Ok(archive.finish())
}

/// The command that the guest runs.
pub fn command(words: &[String]) -> Result<Vec<u8>> {
    ensure!(words.iter().all(|word| !word.contains('\n')), "a guest's arguments can't hold a line break");
    let mut archive = Archive::default();
    archive.file("/netdrop/command", words.join("\n").as_bytes(), 0o644);
    Ok(archive.finish())
}

/// A file or a folder with all below it; nothing where there is none.
fn add_tree(archive: &mut Archive, path: &Path) -> Result<()> {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> = fs::read_dir(path)?.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        entries.iter().try_for_each(|entry| add_tree(archive, entry))
    } else if path.is_file() {
        let permissions = fs::metadata(path)?.permissions().mode() & 0o777;
        archive.file(&path.to_string_lossy(), &read(path)?, permissions);
        Ok(())
    } else {
        Ok(())
    }
}

/// The shared libraries that ldd(1) names, with the paths by which the loader asks for them.
fn shared_libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("cannot start ldd")?;
    // `name => /path (address)`, or `/path (address)` for the loader itself. A static program has no such line.
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text
        .lines()
        .filter_map(|line| line.rsplit("=> ").next()?.trim().split(" (").next())
        .filter(|path| path.starts_with('/'))
        .map(PathBuf::from)
        .collect())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
