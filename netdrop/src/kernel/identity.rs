//! All that netdrop must know of this kernel before it can attach, found in one reading of its BTF.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::btf::{Btf, BtfError};
use super::features::Features;
use super::layout::{KfreeSkb, Layout, LayoutError, layout};
use super::reasons::Reasons;
use super::tcp::TcpKernel;

/// The function that counts runs which the recursion guard refused. Raw tracepoints have had the guard since it has been
/// there to be called from them (`kernel/trace/bpf_trace.c`, `__bpf_trace_run`; 6.1).
const GUARD: &str = "bpf_prog_inc_misses_counter";

/// This kernel.
#[derive(Debug, Clone)]
pub struct Identity {
    /// What its files tell.
    pub features: Features,
    /// Where its structs' members are.
    pub layout: Layout,
    /// The tracepoint's prototype.
    pub tracepoint: KfreeSkb,
    /// Whether it keeps a program on a raw tracepoint from running inside itself on one CPU.
    pub guarded: bool,
    /// How a program can read packet headers without a helper; absent before 6.2.
    pub cast: Option<Cast>,
    /// Its drop reasons.
    pub reasons: Reasons,
    /// The number of the reason `QDISC_DROP`, where the tracepoint `qdisc_drop` tells a finer one of the same packet.
    pub qdisc_drop: Option<u32>,
    /// Its TCP, where that was asked for.
    pub tcp: Option<TcpKernel>,
}

/// `bpf_rdonly_cast` and the structs that it is used for, by their BTF type ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cast {
    /// The function.
    pub function: u32,
    /// `struct iphdr`.
    pub iphdr: u32,
    /// `struct ipv6hdr`.
    pub ipv6hdr: u32,
    /// `struct skb_shared_info`.
    pub shinfo: u32,
}

impl Cast {
    fn find(btf: &Btf) -> Option<Self> {
        Some(Self {
            function: btf.function("bpf_rdonly_cast")?,
            iphdr: btf.structure("iphdr")?,
            ipv6hdr: btf.structure("ipv6hdr")?,
            shinfo: btf.structure("skb_shared_info")?,
        })
    }
}

/// Why netdrop can't work on this kernel.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No BTF.
    #[error(
        "this kernel ({release}) has no BTF ({path} is missing): netdrop reads the layout of packets from it; \
         use a kernel built with CONFIG_DEBUG_INFO_BTF, as those of all larger distributions are"
    )]
    NoBtf {
        /// Where it should be.
        path: PathBuf,
        /// `uname -r`.
        release: String,
    },
    /// BTF that can't be read.
    #[error("can't read this kernel's BTF {path}: {error}")]
    Read {
        /// Where.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// BTF that can't be understood.
    #[error("this kernel's BTF {path} can't be understood: {error}")]
    Parse {
        /// Where.
        path: PathBuf,
        /// Why.
        error: BtfError,
    },
    /// A member is missing or has changed.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// No tracepoint.
    #[error("this kernel has no tracepoint skb:kfree_skb that netdrop could attach to: {0}")]
    Tracepoint(BtfError),
    /// Tracing is forbidden.
    #[error(
        "this kernel is locked down for confidentiality: it lets no program read kernel memory, not even root's; \
         boot it without lockdown=confidentiality to trace drops"
    )]
    LockedDown,
}

impl Identity {
    /// Asks the kernel whose file systems are mounted below `root`, which is `/` outside tests.
    ///
    /// # Errors
    /// When something is missing that nothing works without.
    pub fn read(root: &Path) -> Result<Self, IdentityError> {
        Self::read_with(root, false)
    }

    /// The same, with what its TCP is where that is wanted.
    ///
    /// # Errors
    /// As [`Identity::read`].
    pub fn read_with(root: &Path, tcp: bool) -> Result<Self, IdentityError> {
        let features = Features::read(root);
        if features.lockdown == super::features::Lockdown::Confidentiality {
            return Err(IdentityError::LockedDown);
        }
        let path = root.join("sys/kernel/btf/vmlinux");
        let bytes = fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                IdentityError::NoBtf { path: path.clone(), release: features.release.clone() }
            }
            _ => IdentityError::Read { path: path.clone(), error },
        })?;
        let btf = Btf::parse(&bytes).map_err(|error| IdentityError::Parse { path, error })?;
        let format = features.kfree_skb_format();
        let reasons = Reasons::load(Some(&btf), format.as_deref(), &features.release);
        Ok(Self {
            qdisc_drop: qdisc_drop(&btf, &reasons),
            layout: layout(&btf)?,
            tracepoint: KfreeSkb::from_btf(&btf).map_err(IdentityError::Tracepoint)?,
            guarded: btf.function(GUARD).is_some(),
            cast: Cast::find(&btf),
            tcp: tcp.then(|| TcpKernel::from_btf(&btf)).transpose()?,
            reasons,
            features,
        })
    }
}

/// The prototype has the packet in its fourth place and the reason in its fifth.
fn qdisc_drop(btf: &Btf, reasons: &Reasons) -> Option<u32> {
    const ARGUMENTS: usize = 5;
    btf.tracepoint("qdisc_drop").ok().filter(|tracepoint| tracepoint.arguments == ARGUMENTS)?;
    reasons.number("QDISC_DROP").ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::fixtures;

    fn root_with(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, bytes) in files {
            crate::made_up::file(root.path(), path, bytes);
        }
        root
    }

    #[test]
    fn a_kernel_is_known_by_its_files() {
        let btf = fixtures::btf("6.12");
        let root =
            root_with(&[("sys/kernel/btf/vmlinux", &btf), ("proc/sys/kernel/osrelease", b"6.12.1-cloud\n")]);
        let identity = Identity::read(root.path()).unwrap();
        assert_eq!((identity.tracepoint.arguments, &*identity.features.release), (4, "6.12.1-cloud"));
        assert_eq!(identity.reasons.name(2).map(|name| &**name), Some("NOT_SPECIFIED"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let root = root_with(&[("proc/sys/kernel/osrelease", b"5.4.0\n")]);
        let error = Identity::read(root.path()).unwrap_err().to_string();
        assert!(error.contains("(5.4.0) has no BTF") && error.contains("CONFIG_DEBUG_INFO_BTF"), "{error}");
    }

    #[test]
    fn broken_btf_is_an_error() {
        let btf = fixtures::btf("6.12");
        let root = root_with(&[("sys/kernel/btf/vmlinux", &btf[..btf.len() / 2])]);
        assert!(matches!(Identity::read(root.path()), Err(IdentityError::Parse { .. })));
    }

    #[test]
    fn lockdown_for_confidentiality_is_told_first() {
        let root = root_with(&[("sys/kernel/security/lockdown", b"none integrity [confidentiality]\n")]);
        assert!(matches!(Identity::read(root.path()), Err(IdentityError::LockedDown)));
    }
}
