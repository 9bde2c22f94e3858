//! Where things are, and how commands are run: every other file builds on these.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

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

/// The workspace without the eBPF program, which only builds for its own target.
pub const HOST_CRATES: [&str; 3] = ["--workspace", "--exclude", "netdrop-ebpf"];

/// An explicit `--target` keeps `RUSTFLAGS` off build scripts and procedural macros.
const HOST: &str = "x86_64-unknown-linux-gnu";

/// A release build of a package for the host that needs no shared library, so that it runs in any guest.
/// Returns the folder that holds the binary.
pub fn static_release(package: &str) -> Result<PathBuf> {
    run(&mut static_build(package)?)?;
    Ok(target().join(HOST).join("release"))
}

fn static_build(package: &str) -> Result<Command> {
    let mut command = cargo();
    command.args(["build", "--release", "--locked", "--target", HOST, "--package", package]);
    command.env("RUSTFLAGS", linking::static_flags()?);
    Ok(command)
}

/// Begins the release build of netdrop, silently: most of its time it takes one processor, and others have something else to do. Who needs it builds it
/// as ever, for which cargo waits until this is done, and tells then what failed.
pub fn begin_release() -> Result<Child> {
    let mut command = static_build("netdrop")?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().with_context(|| cannot_start(&command))
}

/// `cargo VERB` for what tests netdrop: unit tests, scenarios, peers, the guests' init. All of it is built in one way, so that
/// dependencies are compiled once; static, as guests have no libraries; without debug information, which would be most of an initramfs.
pub fn cargo_for_tests(verb: &str) -> Command {
    let mut command = cargo();
    command.args([verb, "--locked", "--target", HOST]).args(HOST_CRATES);
    command.env("RUSTFLAGS", "-C target-feature=+crt-static").env("CARGO_PROFILE_DEV_DEBUG", "0");
    command
}

/// What runs scenarios.
pub struct Binaries {
    /// netdrop exactly as it ships.
    pub netdrop: PathBuf,
    /// The folder of `netdrop-tests`, `netdrop-peers` and `netdrop-guest`.
    tests: PathBuf,
}

impl Binaries {
    pub fn build() -> Result<Self> {
        let netdrop = static_release("netdrop")?.join("netdrop");
        // They mostly wait, for kernels and for netdrop: optimizing them takes longer than is won.
        let programs = ["netdrop-tests", "netdrop-peers", "netdrop-guest"];
        run(cargo_for_tests("build").args(programs.iter().flat_map(|program| ["--bin", program])))?;
        Ok(Self { netdrop, tests: target().join(HOST).join("debug") })
    }

    pub fn test_program(&self, name: &str) -> PathBuf {
        self.tests.join(name)
    }
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
