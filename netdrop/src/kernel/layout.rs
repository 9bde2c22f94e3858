//! Where this kernel keeps what the eBPF program reads: member offsets and the tracepoint's prototype, from BTF.

use super::btf::{Btf, BtfError, Tracepoint};

/// The offset of a member that this kernel lacks; the program prunes the loads that would use it.
pub const ABSENT: u32 = u32::MAX;

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
    required: bool,
}

/// Declares the layout's fields, and in the same order what to ask BTF for.
macro_rules! layout {
    ($($(#[$doc:meta])* $field:ident = $structure:literal . $path:literal, $size:literal, $need:ident;)*) => {
        /// Byte offsets within the kernel's structs; [`ABSENT`] for what this kernel lacks.
        ///
        /// `sk_buff` is described in `include/linux/skbuff.h`, `net_device` in `include/linux/netdevice.h`,
        /// `sock` in `include/net/sock.h`, `dst_entry` in `include/net/dst.h`, `net` in `include/net/net_namespace.h`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Layout {
            $($(#[$doc])* pub $field: u32,)*
            /// The byte of `sk_buff.vlan_present`, a bit-field: VLAN presence before 6.2 had `vlan_all`.
            pub skb_vlan_present: u32,
            /// The bit of [`Layout::skb_vlan_present`] within that byte; 0 when absent.
            pub skb_vlan_present_mask: u32,
        }

        const WANTED: &[Wanted] = &[
            $(Wanted { structure: $structure, path: $path, size: $size, required: layout!(@$need) },)*
        ];

        impl Layout {
            fn from_offsets(mut offsets: impl Iterator<Item = u32>) -> Self {
                Self {
                    $($field: offsets.next().unwrap_or(ABSENT),)*
                    skb_vlan_present: ABSENT,
                    skb_vlan_present_mask: 0,
                }
            }
        }
    };
    (@required) => { true };
    (@optional) => { false };
}

layout! {
    /// Packet length in bytes, fragments included.
    skb_len = "sk_buff"."len", 4, required;
    /// Bytes of it outside the linear part.
    skb_data_len = "sk_buff"."data_len", 4, required;
    /// Start of the linear buffer (pointer).
    skb_head = "sk_buff"."head", 8, required;
    /// Start of the packet in it (pointer).
    skb_data = "sk_buff"."data", 8, required;
    /// End of the packet's linear part, from `head`.
    skb_tail = "sk_buff"."tail", 4, required;
    /// End of the buffer, from `head`: `skb_shared_info` lies there.
    skb_end = "sk_buff"."end", 4, required;
    /// The device (pointer), in a union with a scratch word of the socket queues.
    skb_dev = "sk_buff"."dev", 8, required;
    /// Index of the receiving interface.
    skb_skb_iif = "sk_buff"."skb_iif", 4, required;
    /// The owning socket (pointer).
    skb_sk = "sk_buff"."sk", 8, required;
    /// Ethertype, big-endian.
    skb_protocol = "sk_buff"."protocol", 2, required;
    /// MAC header from `head`; 0xffff if unset.
    skb_mac_header = "sk_buff"."mac_header", 2, required;
    /// Network header from `head`.
    skb_network_header = "sk_buff"."network_header", 2, required;
    /// Transport header from `head`; 0xffff if unset.
    skb_transport_header = "sk_buff"."transport_header", 2, required;
    /// MAC header length in bytes.
    skb_mac_len = "sk_buff"."mac_len", 2, required;
    /// VLAN tag in the metadata, host order.
    skb_vlan_tci = "sk_buff"."vlan_tci", 2, required;
    /// Its ethertype, big-endian.
    skb_vlan_proto = "sk_buff"."vlan_proto", 2, required;
    /// Both at once: nonzero if there is a tag (since 6.2).
    skb_vlan_all = "sk_buff"."vlan_all", 4, optional;
    /// Route (pointer with flags in its low bit).
    skb_refdst = "sk_buff"."_skb_refdst", 8, required;
    /// Segment size of a GSO packet; 0 if it is none.
    shinfo_gso_size = "skb_shared_info"."gso_size", 2, required;
    /// Number of segments of a GSO packet.
    shinfo_gso_segs = "skb_shared_info"."gso_segs", 2, required;
    /// Interface index.
    dev_ifindex = "net_device"."ifindex", 4, required;
    /// Interface name, NUL-terminated.
    dev_name = "net_device"."name", 16, required;
    /// Network namespace (pointer); absent without `CONFIG_NET_NS`.
    dev_net = "net_device"."nd_net.net", 8, optional;
    /// Inode number of a namespace.
    net_inum = "net"."ns.inum", 4, required;
    /// A socket's namespace (pointer); absent without `CONFIG_NET_NS`.
    sk_net = "sock"."__sk_common.skc_net.net", 8, optional;
    /// A route's device (pointer).
    dst_dev = "dst_entry"."dev", 8, required;
}

/// The structs and member paths that a layout is made from: what a test's reduced BTF must keep.
pub fn wanted_members() -> Vec<(&'static str, &'static str)> {
    WANTED.iter().map(|wanted| (wanted.structure, wanted.path)).collect()
}

impl Layout {
    /// Reads all offsets in one pass over the BTF.
    pub fn from_btf(btf: &Btf) -> Result<Self, LayoutError> {
        let found = btf.members(&wanted_members());
        let mut offsets = Vec::with_capacity(WANTED.len());
        for (wanted, found) in WANTED.iter().zip(found) {
            offsets.push(match found {
                Ok(member) if member.size == wanted.size => member.offset,
                Ok(member) => return Err(wanted.wrong_size(member.size)),
                Err(BtfError::NoMember { .. }) if !wanted.required => ABSENT,
                Err(error) => return Err(error.into()),
            });
        }
        let mut layout = Self::from_offsets(offsets.into_iter());
        if let Ok(bit) = btf.bit_field("sk_buff", "vlan_present") {
            layout.skb_vlan_present = bit.offset / 8;
            layout.skb_vlan_present_mask = 1 << (bit.offset % 8);
        }
        Ok(layout)
    }
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
