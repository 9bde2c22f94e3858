//! What this kernel, and this process's privileges, allow.
//!
//! Only what files tell; whether a program loads is for the probe to try.

use std::fs;
use std::path::{Path, PathBuf};

/// How far root is kept from the kernel: `/sys/kernel/security/lockdown` (`kernel_lockdown(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lockdown {
    /// Off, or not known to this kernel.
    None,
    /// Writing to kernel memory is refused; netdrop works.
    Integrity,
    /// Reading it is refused as well: tracing programs don't load.
    Confidentiality,
}

/// Capabilities that netdrop can make use of: their bits in `CapEff` (capabilities(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Capability {
    /// Network configuration, and attaching to network hooks.
    NetAdmin = 12,
    /// Other processes' namespaces and sockets.
    SysPtrace = 19,
    /// Everything, on kernels before 5.8; entering namespaces on all.
    SysAdmin = 21,
    /// Locking memory beyond the limit.
    SysResource = 24,
    /// Addresses in kallsyms.
    Syslog = 34,
    /// Tracing programs (since 5.8).
    Perfmon = 38,
    /// Loading programs (since 5.8).
    Bpf = 39,
}

impl Capability {
    /// All that are looked at.
    pub const ALL: [Self; 7] = [
        Self::NetAdmin,
        Self::SysPtrace,
        Self::SysAdmin,
        Self::SysResource,
        Self::Syslog,
        Self::Perfmon,
        Self::Bpf,
    ];

    /// The name as in capabilities(7).
    pub const fn name(self) -> &'static str {
        match self {
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::SysPtrace => "CAP_SYS_PTRACE",
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::SysResource => "CAP_SYS_RESOURCE",
            Self::Syslog => "CAP_SYSLOG",
            Self::Perfmon => "CAP_PERFMON",
            Self::Bpf => "CAP_BPF",
        }
    }
}

/// The effective capabilities of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities(u64);

impl Capabilities {
    /// From the text of `/proc/self/status`; none when it has no `CapEff`.
    pub fn parse(status: &str) -> Self {
        let bits = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        Self(bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0))
    }

    /// Whether it has this very capability.
    pub const fn has(self, capability: Capability) -> bool {
        self.0 >> capability as u8 & 1 == 1
    }

    /// Whether it may load tracing programs: `CAP_BPF` and `CAP_PERFMON`, or `CAP_SYS_ADMIN`, which includes both.
    pub const fn can_trace(self) -> bool {
        self.has(Capability::SysAdmin) || (self.has(Capability::Bpf) && self.has(Capability::Perfmon))
    }
}

/// What the files under one root tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features {
    /// As `uname -r`; empty when unknown.
    pub release: String,
    /// Lockdown mode.
    pub lockdown: Lockdown,
    /// `kernel.kptr_restrict`: 0 shows addresses to root, 1 to `CAP_SYSLOG`, 2 to nobody; absent when unreadable.
    pub kptr_restrict: Option<u8>,
    /// `kernel.unprivileged_bpf_disabled`; absent when unreadable.
    pub unprivileged_bpf_disabled: Option<u8>,
    /// The kernel's BTF, if it has one.
    pub btf: Option<PathBuf>,
    /// Where tracefs is mounted.
    pub tracefs: Option<PathBuf>,
    /// Where the BPF file system is mounted.
    pub bpffs: Option<PathBuf>,
    /// Where the unified cgroup hierarchy is mounted.
    pub cgroup2: Option<PathBuf>,
    /// What this process may do.
    pub capabilities: Capabilities,
}

impl Features {
    /// Reads the tree at `root`, which is `/` outside tests; what is missing there is absent here.
    pub fn read(root: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
        let number = |path: &str| text(path).trim().parse().ok();
        let btf = root.join("sys/kernel/btf/vmlinux");
        let mounts = text("proc/self/mounts");
        let mounted = |kind: &str| mount_point(&mounts, kind).map(|at| root.join(at.trim_start_matches('/')));
        Self {
            release: text("proc/sys/kernel/osrelease").trim().to_owned(),
            lockdown: lockdown(&text("sys/kernel/security/lockdown")),
            kptr_restrict: number("proc/sys/kernel/kptr_restrict"),
            unprivileged_bpf_disabled: number("proc/sys/kernel/unprivileged_bpf_disabled"),
            btf: btf.exists().then_some(btf),
            tracefs: mounted("tracefs"),
            bpffs: mounted("bpf"),
            cgroup2: mounted("cgroup2"),
            capabilities: Capabilities::parse(&text("proc/self/status")),
        }
    }

    /// `events/skb/kfree_skb/format` of tracefs: what [`super::reasons::Reasons::load`] falls back to.
    pub fn kfree_skb_format(&self) -> Option<String> {
        fs::read_to_string(self.tracefs.as_ref()?.join("events/skb/kfree_skb/format")).ok()
    }
}

/// `none [integrity] confidentiality`: the mode in brackets holds.
fn lockdown(text: &str) -> Lockdown {
    match text.split_once('[').and_then(|(_, rest)| rest.split_once(']')) {
        Some(("integrity", _)) => Lockdown::Integrity,
        Some(("confidentiality", _)) => Lockdown::Confidentiality,
        _ => Lockdown::None,
    }
}

/// Where the first file system of that kind is mounted: `tracefs /sys/kernel/tracing tracefs rw 0 0`.
fn mount_point<'m>(mounts: &'m str, kind: &str) -> Option<&'m str> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let point = fields.next()?;
        (fields.next() == Some(kind)).then_some(point)
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            crate::made_up::file(root.path(), path, text);
        }
        root
    }

    #[test]
    fn everything_is_read_from_its_file() {
        let root = tree(&[
            ("proc/sys/kernel/osrelease", "6.12.1-test\n"),
            ("proc/sys/kernel/kptr_restrict", "1\n"),
            ("proc/sys/kernel/unprivileged_bpf_disabled", "2\n"),
            ("sys/kernel/security/lockdown", "none [integrity] confidentiality\n"),
            ("sys/kernel/btf/vmlinux", ""),
            ("proc/self/status", "Name:\tx\nCapEff:\t000000c000001000\n"),
            (
                "proc/self/mounts",
                "t /tracing tracefs rw 0 0\nb /sys/fs/bpf bpf rw 0 0\nc /sys/fs/cgroup/unified cgroup2 rw 0 0\n",
            ),
            ("tracing/events/skb/kfree_skb/format", "name: kfree_skb"),
        ]);
        let features = Features::read(root.path());
        assert_eq!(features.release, "6.12.1-test");
        assert_eq!((features.kptr_restrict, features.unprivileged_bpf_disabled), (Some(1), Some(2)));
        assert_eq!(features.lockdown, Lockdown::Integrity);
        assert!(features.btf.is_some());
        assert_eq!(features.tracefs, Some(root.path().join("tracing")));
        assert_eq!(features.bpffs, Some(root.path().join("sys/fs/bpf")));
        assert_eq!(features.cgroup2, Some(root.path().join("sys/fs/cgroup/unified")));
        assert_eq!(features.kfree_skb_format().as_deref(), Some("name: kfree_skb"));
        let held: Vec<_> =
            Capability::ALL.into_iter().filter(|one| features.capabilities.has(*one)).collect();
        assert_eq!(held, [Capability::NetAdmin, Capability::Perfmon, Capability::Bpf]);
        assert!(features.capabilities.can_trace());
    }

    #[test]
    fn an_empty_tree_has_nothing() {
        let features = Features::read("/nowhere".as_ref());
        let nothing = Features {
            release: String::new(),
            lockdown: Lockdown::None,
            kptr_restrict: None,
            unprivileged_bpf_disabled: None,
            btf: None,
            tracefs: None,
            bpffs: None,
            cgroup2: None,
            capabilities: Capabilities::default(),
        };
        assert_eq!(features, nothing);
        assert_eq!(features.kfree_skb_format(), None);
    }

    #[rstest]
    #[case("[none] integrity confidentiality", Lockdown::None)]
    #[case("none integrity [confidentiality]", Lockdown::Confidentiality)]
    #[case("]integrity[", Lockdown::None)]
    #[case("", Lockdown::None)]
    fn lockdown_is_the_mode_in_brackets(#[case] text: &str, #[case] mode: Lockdown) {
        assert_eq!(lockdown(text), mode);
    }

    #[rstest]
    #[case("CapEff:\t0000000000200000", true)]
    #[case("CapEff:\t0000008000000000", false)]
    #[case("CapEff:\tnonsense", false)]
    #[case("CapInh:\tffffffffffffffff", false)]
    fn tracing_takes_two_capabilities_or_the_one(#[case] status: &str, #[case] can: bool) {
        assert_eq!(Capabilities::parse(status).can_trace(), can);
    }
}
