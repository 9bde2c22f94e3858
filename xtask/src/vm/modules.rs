//! The kernel modules that the scenarios need, in the order in which they load.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace;

/// Modules by what the scenarios use them for. Names as in modules.dep; `*` at the end takes all that begin so.
/// Every module costs a guest some 50 ms, and tunnels that put a device into each new namespace are left out.
const WANTED: [(&str, &str); 8] = [
    ("links", "veth dummy bridge br_netfilter 8021q vxlan tun macvlan ifb vrf openvswitch"),
    ("nftables", "nf_tables nft_* nfnetlink_queue nf_conntrack nf_nat nf_reject_*"),
    (
        "iptables",
        "ip_tables iptable_filter iptable_raw iptable_mangle iptable_nat ipt_REJECT ipt_rpfilter
         ip6_tables ip6table_filter ip6table_raw ip6table_mangle ip6t_REJECT ip6t_rpfilter
         xt_tcpudp xt_conntrack xt_state xt_limit xt_multiport xt_mark xt_comment xt_bpf xt_addrtype
         xt_statistic xt_length xt_owner xt_u32 xt_LOG xt_nat xt_connlimit",
    ),
    (
        "traffic control",
        "sch_netem sch_tbf sch_htb sch_ingress sch_fq sch_fq_codel sch_codel sch_sfq sch_prio sch_red sch_cake
         sch_hfsc sch_drr sch_plug sch_multiq
         cls_* act_gact act_mirred act_police act_bpf act_skbedit act_vlan act_pedit act_csum",
    ),
    ("protocols", "sctp tcp_bbr xfrm_user esp4 esp6 af_packet tcp_diag udp_diag unix_diag"),
    ("drop observers", "drop_monitor"),
    ("hardware drops", "netdevsim"),
    ("network cards", "vmxnet3 virtio_pci virtio_net"),
];

/// A kernel's modules.
pub struct Modules {
    /// Files to load, in this order.
    pub files: Vec<PathBuf>,
    /// Wanted modules that the kernel neither has as a file nor built in.
    pub missing: Vec<String>,
}

/// Picks the wanted modules from a folder `lib/modules/RELEASE` that depmod(8) has seen.
pub fn select(folder: &Path) -> Result<Modules> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let dependencies = read("modules.dep")?;
    let available = Available::parse(&dependencies);
    let builtin: BTreeSet<String> = read("modules.builtin")?.lines().map(module_name).collect();
    let patterns: Vec<&str> = WANTED.iter().flat_map(|(_, patterns)| patterns.split_whitespace()).collect();
    let missing = patterns
        .iter()
        .filter(|pattern| {
            !pattern.ends_with('*') && !available.0.contains_key(**pattern) && !builtin.contains(**pattern)
        })
        .map(ToString::to_string)
        .collect();
    let files = available.load_order(&patterns).into_iter().map(|file| folder.join(file)).collect();
    Ok(Modules { files, missing })
}

/// A module's bytes as the kernel loads them.
pub fn decompressed(file: &Path) -> Result<Vec<u8>> {
    let unpacker = match file.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return fs::read(file).with_context(|| format!("cannot read {}", file.display())),
    };
    let mut command = Command::new(unpacker);
    command.arg("-dc").arg(file);
    let output =
        command.output().with_context(|| format!("cannot start {unpacker} to unpack {}", file.display()))?;
    anyhow::ensure!(output.status.success(), "`{}` failed: {}", workspace::line(&command), output.status);
    Ok(output.stdout)
}

/// modules.dep(5): each module's name, file, and the files it needs.
struct Available<'a>(BTreeMap<String, (&'a str, Vec<&'a str>)>);

impl<'a> Available<'a> {
    fn parse(text: &'a str) -> Self {
        let entries = text.lines().filter_map(|line| {
            let (file, needs) = line.split_once(':')?;
            Some((module_name(file), (file, needs.split_whitespace().collect())))
        });
        Self(entries.collect())
    }

    fn load_order(&self, patterns: &[&str]) -> Vec<&'a str> {
        let wanted = |name: &str| {
            patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == *pattern,
            })
        };
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for (_, (file, needs)) in self.0.iter().filter(|(name, _)| wanted(name)) {
            // A line lists all that the module needs, the most basic last.
            for file in needs.iter().rev().chain([file]) {
                if seen.insert(*file) {
                    order.push(*file);
                }
            }
        }
        order
    }
}

/// `kernel/net/sched/sch_netem.ko.xz` is the module `sch_netem`; dashes and underscores mean the same.
fn module_name(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split(".ko").next().unwrap_or(name).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "\
kernel/net/core/base.ko:
kernel/net/mid.ko.xz: kernel/net/core/base.ko
kernel/net/sched/sch_top-one.ko: kernel/net/mid.ko.xz kernel/net/core/base.ko
kernel/other.ko:
";

    #[test]
    fn needs_load_first_and_once() {
        let order = Available::parse(DEP).load_order(&["sch_*", "mid"]);
        assert_eq!(
            order,
            ["kernel/net/core/base.ko", "kernel/net/mid.ko.xz", "kernel/net/sched/sch_top-one.ko"]
        );
    }

    #[test]
    fn names_drop_folder_suffix_and_dashes() {
        for (file, name) in [("kernel/a/nf-x.ko.xz", "nf_x"), ("veth.ko", "veth"), ("a/b.ko.zst", "b")] {
            assert_eq!(module_name(file), name);
        }
    }

    #[test]
    fn what_is_neither_file_nor_built_in_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("modules.dep"), "kernel/veth.ko:\n").unwrap();
        fs::write(dir.path().join("modules.builtin"), "kernel/dummy.ko\n").unwrap();
        let modules = select(dir.path()).unwrap();
        assert_eq!(modules.files, [dir.path().join("kernel/veth.ko")]);
        assert!(modules.missing.contains(&"bridge".to_owned()));
        assert!(
            !modules.missing.contains(&"veth".to_owned()) && !modules.missing.contains(&"dummy".to_owned())
        );
    }
}
