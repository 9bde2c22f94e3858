//! Where this kernel keeps what the eBPF program reads: member offsets and the tracepoint's prototype, from BTF.

pub use netdrop_common::{ABSENT, Layout};

use super::btf::{Btf, BtfError, Tracepoint};

/// Why a layout can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A member that nothing works without.
    #[error("{0}; netdrop can't find packets on this kernel: please report it with the output of `uname -r`")]
    Member(#[from] BtfError),
    /// A member is there, in an unexpected width: its meaning has changed.
    #[error(
        "`{structure}.{path}` is {size} bytes in this kernel, not {expected}; netdrop would misread it: \
         please report it with the output of `uname -r`"
    )]
    Size {
        /// The struct.
        structure: &'static str,
        /// The member.
        path: &'static str,
        /// Bytes in this kernel's BTF.
        size: u32,
        /// Bytes that the eBPF program loads.
        expected: u32,
    },
}

/// One wanted member.
struct Wanted {
    structure: &'static str,
    path: &'static str,
    size: u32,
    need: Need,
}

/// What happens without it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing works.
    Required,
    /// The program does something else.
    Optional,
    /// A detail stays unknown, also when its width isn't what it was.
    Detail,
}

/// Says for each field of the layout what to ask BTF for; what each is, stands in [`Layout`].
macro_rules! wanted {
    ($($field:ident = $structure:literal . $path:literal, $size:literal, $need:ident;)*) => {
        const WANTED: &[Wanted] = &[
            $(Wanted { structure: $structure, path: $path, size: $size, need: wanted!(@$need) },)*
        ];

        fn from_offsets(mut offsets: impl Iterator<Item = u32>) -> Layout {
            Layout {
                $($field: offsets.next().unwrap_or(ABSENT),)*
                skb_vlan_present: ABSENT,
                skb_vlan_present_mask: 0,
            }
        }
    };
    (@required) => { Need::Required };
    (@optional) => { Need::Optional };
    (@detail) => { Need::Detail };
}

wanted! {
    skb_len = "sk_buff"."len", 4, required;
    skb_data_len = "sk_buff"."data_len", 4, required;
    skb_head = "sk_buff"."head", 8, required;
    skb_data = "sk_buff"."data", 8, required;
    skb_tail = "sk_buff"."tail", 4, required;
    skb_end = "sk_buff"."end", 4, required;
    skb_dev = "sk_buff"."dev", 8, required;
    skb_iif = "sk_buff"."skb_iif", 4, required;
    skb_sk = "sk_buff"."sk", 8, required;
    skb_protocol = "sk_buff"."protocol", 2, required;
    skb_mac_header = "sk_buff"."mac_header", 2, required;
    skb_network_header = "sk_buff"."network_header", 2, required;
    skb_vlan_tci = "sk_buff"."vlan_tci", 2, required;
    skb_vlan_proto = "sk_buff"."vlan_proto", 2, required;
    skb_vlan_all = "sk_buff"."vlan_all", 4, optional;
    skb_refdst = "sk_buff"."_skb_refdst", 8, required;
    shinfo_gso_size = "skb_shared_info"."gso_size", 2, required;
    shinfo_gso_segs = "skb_shared_info"."gso_segs", 2, required;
    dev_ifindex = "net_device"."ifindex", 4, required;
    dev_name = "net_device"."name", 16, required;
    dev_net = "net_device"."nd_net.net", 8, optional;
    net_inum = "net"."ns.inum", 4, required;
    sk_net = "sock"."__sk_common.skc_net.net", 8, optional;
    dst_dev = "dst_entry"."dev", 8, required;
    sk_family = "sock"."__sk_common.skc_family", 2, detail;
    sk_state = "sock"."__sk_common.skc_state", 1, detail;
    sk_num = "sock"."__sk_common.skc_num", 2, detail;
    sk_dport = "sock"."__sk_common.skc_dport", 2, detail;
    sk_rcv_saddr = "sock"."__sk_common.skc_rcv_saddr", 4, detail;
    sk_daddr = "sock"."__sk_common.skc_daddr", 4, detail;
    sk_v6_rcv_saddr = "sock"."__sk_common.skc_v6_rcv_saddr", 16, detail;
    sk_v6_daddr = "sock"."__sk_common.skc_v6_daddr", 16, detail;
    sk_cookie = "sock"."__sk_common.skc_cookie.counter", 8, detail;
    sk_protocol = "sock"."sk_protocol", 2, detail;
    sk_rmem_alloc = "sock"."sk_backlog.rmem_alloc.counter", 4, detail;
    sk_backlog_len = "sock"."sk_backlog.len", 4, detail;
    sk_rcvbuf = "sock"."sk_rcvbuf", 4, detail;
    sk_sndbuf = "sock"."sk_sndbuf", 4, detail;
    sk_wmem_queued = "sock"."sk_wmem_queued", 4, detail;
    sk_wmem_alloc = "sock"."sk_wmem_alloc.refs.counter", 4, detail;
    sk_ack_backlog = "sock"."sk_ack_backlog", 4, detail;
    sk_max_ack_backlog = "sock"."sk_max_ack_backlog", 4, detail;
    sk_drops = "sock"."sk_drops.counter", 4, detail;
    sk_drop_counters = "sock"."sk_drop_counters", 8, detail;
    drops0 = "numa_drop_counters"."drops0.counter", 4, detail;
    drops1 = "numa_drop_counters"."drops1.counter", 4, detail;
    sk_socket = "sock"."sk_socket", 8, detail;
    socket_ino = "socket_alloc"."vfs_inode.i_ino", 8, detail;
    sk_cgroup = "sock"."sk_cgrp_data.cgroup", 8, detail;
    sk_cgroup_val = "sock"."sk_cgrp_data.val", 8, detail;
    cgroup_kn = "cgroup"."kn", 8, detail;
    kernfs_id = "kernfs_node"."id", 8, detail;
    rsk_listener = "request_sock"."__req_common.skc_listener", 8, detail;
    trap_name = "devlink_trap_metadata"."trap_name", 8, detail;
    trap_group_name = "devlink_trap_metadata"."trap_group_name", 8, detail;
    trap_type = "devlink_trap_metadata"."trap_type", 4, detail;
    trap_input_dev = "devlink_trap_metadata"."input_dev", 8, detail;
    devlink_dev = "devlink"."dev", 8, detail;
    device_name = "device"."kobj.name", 8, detail;
    device_bus = "device"."bus", 8, detail;
    device_driver = "device"."driver", 8, detail;
    bus_name = "bus_type"."name", 8, detail;
    driver_name = "device_driver"."name", 8, detail;
}

/// The structs and member paths that a layout is made from: what a test's reduced BTF must keep.
pub fn wanted_members() -> Vec<(&'static str, &'static str)> {
    WANTED.iter().map(|wanted| (wanted.structure, wanted.path)).collect()
}

/// Reads all offsets in one pass over the BTF.
pub fn layout(btf: &Btf) -> Result<Layout, LayoutError> {
    let found = btf.members(&wanted_members());
    let mut offsets = Vec::with_capacity(WANTED.len());
    for (wanted, found) in WANTED.iter().zip(found) {
        offsets.push(match found {
            Ok(member) if member.size == wanted.size => member.offset,
            _ if wanted.need == Need::Detail => ABSENT,
            Ok(member) => return Err(wanted.wrong_size(member.size)),
            Err(BtfError::NoMember { .. }) if wanted.need == Need::Optional => ABSENT,
            Err(error) => return Err(error.into()),
        });
    }
    let mut layout = from_offsets(offsets.into_iter());
    if let Ok(bit) = btf.bit_field("sk_buff", "vlan_present") {
        layout.skb_vlan_present = bit.offset / 8;
        layout.skb_vlan_present_mask = 1 << (bit.offset % 8);
    }
    Ok(layout)
}

impl Wanted {
    fn wrong_size(&self, size: u32) -> LayoutError {
        LayoutError::Size { structure: self.structure, path: self.path, size, expected: self.size }
    }
}

/// The prototype of `skb:kfree_skb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KfreeSkb {
    /// What `BPF_PROG_LOAD` takes as `attach_btf_id`.
    pub type_id: u32,
    /// 2: skb, location; 3: and the reason (5.17); 4: and the receiving socket (6.11).
    pub arguments: usize,
}

impl KfreeSkb {
    /// Finds the tracepoint.
    pub fn from_btf(btf: &Btf) -> Result<Self, BtfError> {
        let Tracepoint { type_id, arguments } = btf.tracepoint("kfree_skb")?;
        Ok(Self { type_id, arguments })
    }

    /// Whether drops carry a reason.
    pub const fn has_reason(&self) -> bool {
        self.arguments >= 3
    }

    /// Whether drops carry the receiving socket.
    pub const fn has_receiving_socket(&self) -> bool {
        self.arguments >= 4
    }
}

#[cfg(test)]
mod tests;
