//! Why there are no source lines, in the one line that is said of it at the start.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::build_id::BuildId;
use super::image::Rejected;

/// There is no debug information that could be used.
#[derive(Debug, thiserror::Error)]
pub enum NoDebugInfo {
    /// It can't be told what would belong to this kernel.
    #[error(
        "no source lines: this kernel doesn't tell its build-id (/sys/kernel/notes), so no debug information can be matched to it"
    )]
    NoBuildId,
    /// None lies where it would.
    #[error("no source lines: no debug information of this kernel ({release}) was found; {remedy}")]
    NotFound {
        /// `uname -r`.
        release: String,
        /// What to do.
        remedy: Remedy,
    },
    /// What was found or given can't be used.
    #[error("no source lines: {} {why}; {remedy}", path.display())]
    Rejected {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: Rejected,
        /// What to do.
        remedy: Remedy,
    },
}

/// How to get debug information of the kernel that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    command: String,
}

impl Remedy {
    /// As the distribution below `root` does it (os-release(5)).
    pub fn new(root: &Path, release: &str, build: &BuildId) -> Self {
        let text = fs::read_to_string(root.join("etc/os-release")).unwrap_or_default();
        let value = |key: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            value.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
        };
        let family = format!("{} {}", value("ID"), value("ID_LIKE"));
        let command = family.split_whitespace().find_map(|name| match name {
            "ubuntu" => Some(format!("apt install linux-image-{release}-dbgsym")),
            "debian" => Some(format!("apt install linux-image-{release}-dbg")),
            "fedora" | "rhel" | "centos" => Some(format!("dnf debuginfo-install kernel-core-{release}")),
            "suse" | "opensuse" | "sles" => Some("zypper install kernel-default-debuginfo".to_owned()),
            _ => None,
        });
        Self { command: command.unwrap_or_else(|| format!("debuginfod-find debuginfo {build}")) }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "get it with `{}`, or name the file with --vmlinux", self.command)
    }
}
