//! What the tests need from the system, and how to get it: Debian's packages by apt-get, cargo's tools by cargo.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::test::Stage;
use crate::toolchain::BPF_LINKER_VERSION;
use crate::workspace;

/// One Debian package, how one sees that it is there (a program, or the path of a file), and what wants it.
struct Package {
    name: &'static str,
    sign: &'static str,
    stage: Stage,
    reason: &'static str,
}

const fn package(name: &'static str, sign: &'static str, stage: Stage, reason: &'static str) -> Package {
    Package { name, sign, stage, reason }
}

const PACKAGES: [Package; 22] = [
    package(
        "rustc-web",
        "/usr/share/doc/rustc-web/copyright",
        Stage::Ebpf,
        "the compiler that built the committed eBPF object",
    ),
    package(
        "rust-web-src",
        "/usr/lib/rustlib/src/rust",
        Stage::Ebpf,
        "its `core`, to build for the BPF target",
    ),
    package(
        "llvm-22-dev",
        "/usr/lib/llvm-22/include/llvm-c/Core.h",
        Stage::Ebpf,
        "bpf-linker is built on it",
    ),
    package("llvm-22", "llvm-config-22", Stage::Ebpf, "tells bpf-linker's build where LLVM is"),
    package(
        "libpolly-22-dev",
        "/usr/lib/llvm-22/lib/libPolly.a",
        Stage::Ebpf,
        "bpf-linker links it with LLVM",
    ),
    package("libzstd-dev", "/usr/include/zstd.h", Stage::Ebpf, "bpf-linker links it with LLVM"),
    package("zlib1g-dev", "/usr/include/zlib.h", Stage::Ebpf, "bpf-linker links it with LLVM"),
    package("g++", "g++", Stage::Fuzz, "libFuzzer is C++"),
    package("iproute2", "ip", Stage::Scenarios, "namespaces, links, traffic control"),
    package("nftables", "nft", Stage::Scenarios, "drops by nftables"),
    package("iptables", "iptables-legacy", Stage::Scenarios, "drops by iptables and ip6tables"),
    package("bpftrace", "bpftrace", Stage::Scenarios, "a second observer of the same drops"),
    package("linux-perf", "perf", Stage::Scenarios, "a second observer of the same drops"),
    package("tshark", "tshark", Stage::Scenarios, "reads the packets that netdrop writes"),
    package("chromium", "chromium", Stage::Peers, "clicks through the pages that netdrop writes"),
    package(
        "prometheus",
        "prometheus",
        Stage::Peers,
        "scrapes netdrop; its promtool checks metrics and rules",
    ),
    package("qemu-system-x86", "qemu-system-x86_64", Stage::Vm, "runs the other kernels"),
    package("busybox-static", "busybox", Stage::Vm, "the guests' shell and small tools"),
    package("kmod", "depmod", Stage::Vm, "the order in which a kernel's modules load"),
    package("xz-utils", "xz", Stage::Vm, "kernel packages hold compressed modules"),
    package("gcc", "gcc", Stage::Vm, "builds netdevsim, which Debian's kernels come without"),
    package("make", "make", Stage::Vm, "builds netdevsim, which Debian's kernels come without"),
];

/// Makes the system ready for `stages`, or says what is missing.
pub fn ensure(stages: &[Stage], install: bool) -> Result<()> {
    // A guest runs what the scenarios run, and peers are shown the same namespaces: they need those tools too.
    let like_scenarios = stages.contains(&Stage::Vm) || stages.contains(&Stage::Peers);
    let wanted = |stage: Stage| stages.contains(&stage) || (stage == Stage::Scenarios && like_scenarios);
    let missing: Vec<&Package> =
        PACKAGES.iter().filter(|package| wanted(package.stage) && !present(package.sign)).collect();
    if !missing.is_empty() {
        for package in &missing {
            println!("missing: {:<16} {}", package.name, package.reason);
        }
        if !install {
            println!("nothing is installed (--no-install): what needs the above will fail or be skipped");
        } else if Path::new("/etc/debian_version").exists() && workspace::which("apt-get").is_some() {
            apt_get_install(&missing)?;
        } else {
            bail!(
                "install the above (the names are Debian's) by this system's package manager, or give --no-install"
            );
        }
    }
    if install { cargo_tools(stages) } else { Ok(()) }
}

fn present(sign: &str) -> bool {
    if sign.starts_with('/') { Path::new(sign).exists() } else { workspace::which(sign).is_some() }
}

fn apt_get_install(packages: &[&Package]) -> Result<()> {
    if !workspace::is_root() {
        let names = packages.iter().map(|package| package.name).collect::<Vec<_>>().join(" ");
        bail!("only root can install packages; run `sudo apt-get install --no-install-recommends {names}`");
    }
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-qq", "-o", "Dpkg::Use-Pty=0"]);
        command
    };
    workspace::run(apt().arg("update"))?;
    let names = packages.iter().map(|package| package.name);
    workspace::run(apt().args(["install", "--yes", "--no-install-recommends"]).args(names))
}

/// Tools from crates.io: name, version, the stage that wants it, further arguments.
const TOOLS: [(&str, &str, Stage, &[&str]); 3] = [
    // Its default feature wants a newer LLVM than Debian's packages have.
    ("bpf-linker", BPF_LINKER_VERSION, Stage::Ebpf, &["--no-default-features", "--features", "llvm-22"]),
    // A debug build is compiled in a third of the time, and checks this workspace in seconds all the same.
    ("cargo-deny", "0.20.2", Stage::Lint, &["--debug"]),
    ("cargo-fuzz", "0.13.2", Stage::Fuzz, &["--debug"]),
];

fn cargo_tools(stages: &[Stage]) -> Result<()> {
    for (name, version, stage, arguments) in TOOLS {
        if !stages.contains(&stage) || workspace::which(name).is_some() {
            continue;
        }
        println!("installing {name} {version} with cargo …");
        let mut command = workspace::cargo();
        command.args(["install", "--quiet", name, "--version", version, "--locked"]).args(arguments);
        // A folder outside of the workspace: its settings and target folder are not the tool's.
        command.current_dir(std::env::temp_dir()).env_remove("CARGO_TARGET_DIR");
        if name == "bpf-linker"
            && let Ok(prefix) = workspace::stdout(Command::new("llvm-config-22").arg("--prefix"))
        {
            command.env("LLVM_PREFIX", prefix);
        }
        workspace::run(&mut command).with_context(|| format!("{name} could not be installed"))?;
    }
    Ok(())
}
