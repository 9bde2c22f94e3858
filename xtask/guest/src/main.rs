//! The init process of the test matrix' virtual machines: mounts what a system has, loads the modules it was given,
//! runs one command, says how that ended and powers off.
//!
//! The initramfs holds its orders: `/netdrop/modules` (paths in load order) and `/netdrop/command` (a word a line).
//! Only its last line is a verdict; a guest that prints none has failed.

use std::ffi::CStr;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, sync};

/// Where the kernel's and the system's file systems go: folder and type, parents first.
const MOUNTS: [(&str, &str); 11] = [
    ("/proc", "proc"),
    ("/sys", "sysfs"),
    ("/dev", "devtmpfs"),
    ("/dev/pts", "devpts"),
    ("/dev/shm", "tmpfs"),
    ("/run", "tmpfs"),
    ("/tmp", "tmpfs"),
    ("/sys/kernel/tracing", "tracefs"),
    ("/sys/kernel/debug", "debugfs"),
    ("/sys/fs/bpf", "bpf"),
    ("/sys/fs/cgroup", "cgroup2"),
];

/// The real tools come before busybox's smaller ones of the same name.
const PATH: &str = "/netdrop:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin:/busybox";

fn main() {
    for (folder, kind) in MOUNTS {
        if let Err(error) = mount_at(folder, kind) {
            println!("netdrop-guest: note: cannot mount {kind} on {folder}: {error}");
        }
    }
    load_modules();
    prepare("/bin/busybox", &["--install", "-s", "/busybox"]);
    prepare("ip", &["link", "set", "lo", "up"]);

    let command = fs::read_to_string("/netdrop/command").unwrap_or_default();
    let exit = match command.lines().collect::<Vec<_>>().split_first() {
        // A boot without a command only shows that the machine comes up.
        None => 0,
        Some((program, arguments)) => match run(program, arguments) {
            Ok(status) => status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            Err(error) => {
                println!("netdrop-guest: cannot run {program}: {error}");
                127
            }
        },
    };
    println!("netdrop-guest: exit={exit}");
    sync();
    // Returns only when it failed; the kernel then panics over its lost init, and the host sees that.
    let _ = reboot(RebootMode::RB_POWER_OFF);
}

fn mount_at(folder: &str, kind: &str) -> nix::Result<()> {
    // Folders below the kernel's own file systems exist already.
    let _ = fs::create_dir_all(folder);
    mount(Some(kind), folder, Some(kind), MsFlags::empty(), None::<&str>)
}

/// Loads the modules in their order; a module that the kernel refuses is noted, the scenarios that need it say more.
fn load_modules() {
    const NO_PARAMETERS: &CStr = c"";
    for path in fs::read_to_string("/netdrop/modules").unwrap_or_default().lines() {
        let loaded =
            File::open(path).map_err(|error| error.to_string()).and_then(|file| {
                match finit_module(&file, NO_PARAMETERS, ModuleInitFlags::empty()) {
                    Ok(()) | Err(Errno::EEXIST) => Ok(()),
                    Err(error) => Err(error.to_string()),
                }
            });
        if let Err(error) = loaded {
            println!("netdrop-guest: note: module {path} not loaded: {error}");
        }
    }
}

/// A step whose failure is worth a note, not the end.
fn prepare(program: &str, arguments: &[&str]) {
    match run(program, arguments) {
        Ok(status) if status.success() => {}
        Ok(status) => println!("netdrop-guest: note: {program} {}: {status}", arguments.join(" ")),
        Err(error) => println!("netdrop-guest: note: {program} {}: {error}", arguments.join(" ")),
    }
}

/// Runs a program to its end, and buries the orphans that became ours meanwhile.
fn run(program: &str, arguments: &[&str]) -> std::io::Result<ExitStatus> {
    let folder = Path::new("/root");
    fs::create_dir_all(folder)?;
    let status = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs([
            ("PATH", PATH),
            ("HOME", "/root"),
            ("TERM", "dumb"),
            ("RUST_BACKTRACE", "1"),
            ("NETDROP_GUEST", "1"),
        ])
        .current_dir(folder)
        .status();
    while waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)).is_ok_and(|waited| waited.pid().is_some()) {}
    status
}
