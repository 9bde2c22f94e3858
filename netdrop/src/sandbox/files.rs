//! Files and folders, closed off by Landlock (landlock(7)). What the kernel at hand can't enforce is left out and told.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};

use super::{Error, refused};

/// What is known to this version of netdrop; older kernels enforce what they know of it.
const KNOWN: ABI = ABI::V7;

/// Read by the daemon whatever its settings: the kernel's files, names of hosts and services, trusted certificates, the clock's zone,
/// debug information, and the names that container engines give.
const READ: [&str; 29] = [
    "/proc",
    "/sys/fs/cgroup",
    "/sys/kernel",
    "/sys/module",
    "/sys/devices",
    "/sys/class/net",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/etc/localtime",
    "/etc/machine-id",
    "/etc/os-release",
    "/etc/ld.so.cache",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/share/zoneinfo",
    "/usr/share/ca-certificates",
    "/run/netns",
    "/run/systemd/resolve",
    "/var/log/containers",
];
const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"];

/// What Landlock made of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforced {
    All,
    Part,
    Nothing,
}

/// The paths that may be read; those that aren't there are nothing to Landlock.
pub fn readable<'a>(read: &'a [PathBuf], write: &'a [PathBuf]) -> impl Iterator<Item = &'a Path> {
    READ.iter().chain(&DEVICES).map(Path::new).chain(read.iter().chain(write).map(PathBuf::as_path))
}

/// Closes all files but these to the calling thread, and those that it starts. Open descriptors stay.
pub fn close_off(read: &[PathBuf], write: &[PathBuf]) -> Result<Enforced, Error> {
    let refuse = refused("Landlock can't close off files");
    match restrict(read, write) {
        Ok(RulesetStatus::FullyEnforced) => Ok(Enforced::All),
        Ok(RulesetStatus::PartiallyEnforced) => Ok(Enforced::Part),
        Ok(RulesetStatus::NotEnforced) => Ok(Enforced::Nothing),
        Err(error) => Err(refuse(error)),
    }
}

fn restrict(read: &[PathBuf], write: &[PathBuf]) -> Result<RulesetStatus, landlock::RulesetError> {
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let device = AccessFs::ReadFile | AccessFs::WriteFile;
    // Nothing in these folders is to be run, nor are devices to be made.
    let writing =
        (AccessFs::from_all(KNOWN) ^ AccessFs::Execute) & !(AccessFs::MakeChar | AccessFs::MakeBlock);
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .scope(Scope::Signal)?
        .create()?
        .add_rules(path_beneath_rules(readable(read, write), reading))?
        .add_rules(path_beneath_rules(DEVICES, device))?
        .add_rules(path_beneath_rules(write, writing))?
        .restrict_self()
        .map(|status| status.ruleset)
}
