//! Where things are, and how commands are run: every other file builds on these.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use crate::linking;

/// The workspace's root folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace's root folder")
}

/// Cargo's target folder: `CARGO_TARGET_DIR` (relative to the caller's folder) or `target` in the root.
pub fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => std::path::absolute(&dir).unwrap_or_else(|_| PathBuf::from(dir)),
        None => root().join("target"),
    }
}

/// Cargo's home folder: its registry's sources and installed tools.
pub fn cargo_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| env::home_dir().map(|home| home.join(".cargo")))
}

/// The cargo that runs this task, started in the workspace's root.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(root());
    command
}

/// A release build of `packages` for the host that needs no shared library, so that it runs in any guest.
/// Returns the folder that holds the binaries.
pub fn static_release(packages: &[&str]) -> Result<PathBuf> {
    static_build(cargo(), packages)
}

fn static_build(mut command: Command, packages: &[&str]) -> Result<PathBuf> {
    const HOST: &str = "x86_64-unknown-linux-gnu";
    // An explicit --target keeps the flag off build scripts and procedural macros.
    command.args(["build", "--release", "--locked", "--target", HOST]);
    for package in packages {
        command.args(["--package", package]);
    }
    run(command.env("RUSTFLAGS", linking::static_flags()?))?;
    Ok(target().join(HOST).join("release"))
}

/// Builds netdrop exactly as it ships, and beside it the scenarios and the guests' init.
pub fn test_binaries() -> Result<PathBuf> {
    beside_netdrop(&["netdrop-tests", "netdrop-guest"])
}

/// As [`test_binaries`], with the tests beside netdrop's peers.
pub fn peer_binaries() -> Result<PathBuf> {
    beside_netdrop(&["netdrop-peers"])
}

fn beside_netdrop(packages: &[&str]) -> Result<PathBuf> {
    // Apart, because packages that are built together share the features of their dependencies.
    static_release(&["netdrop"])?;
    // What tests it mostly waits, for kernels and for netdrop: optimizing all of it takes longer than is won.
    let mut quick = cargo();
    quick.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    // The release is one unit for its size, which matters here as little as its speed.
    quick.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    static_build(quick, packages)
}

/// Runs a command with its output passed through; fails unless it exits with 0.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!("`{}` failed: {status}", line(command));
    }
    Ok(())
}

/// Runs a command, passes its stdout through, and shows each line to `look`.
pub fn tee(command: &mut Command, mut look: impl FnMut(&str)) -> Result<ExitStatus> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| cannot_start(command))?;
    let output = child.stdout.take().context("the command's stdout is piped")?;
    let mut reader = BufReader::new(output);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes)? > 0 {
        let line = String::from_utf8_lossy(&bytes);
        print!("{line}");
        look(line.trim_end());
        bytes.clear();
    }
    child.wait().with_context(|| format!("cannot wait for `{}`", line(command)))
}

/// Runs a command and returns what it printed on stdout, without the last newline.
pub fn stdout(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| cannot_start(command))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", line(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Where `PATH` finds a program; the folders of administrators' tools and of cargo's are searched as well.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .chain(cargo_home().map(|home| home.join("bin")))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// Asks the system who runs this: most of what needs the kernel needs root.
pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

/// A command as a person would type it.
pub fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start `{}`", line(command))
}
