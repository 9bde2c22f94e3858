//! Where the kernel keeps what the program reads.

/// The offset of a member that this kernel doesn't have.
pub const ABSENT: u32 = u32::MAX;

/// Byte offsets of kernel struct members, from the running kernel's BTF, patched in before load.
/// Named struct first; [`ABSENT`] only where the comment says so.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// `sk_buff.len`, u32.
    pub skb_len: u32,
    /// `sk_buff.head`, pointer.
    pub skb_head: u32,
    /// `sk_buff.data`, pointer.
    pub skb_data: u32,
    /// `sk_buff.tail`, u32: offset from `head` to the end of the linear data.
    pub skb_tail: u32,
    /// `sk_buff.end`, u32: offset from `head` to `struct skb_shared_info`.
    pub skb_end: u32,
    /// `sk_buff.dev`, pointer; shares its place with `dev_scratch`.
    pub skb_dev: u32,
    /// `sk_buff.skb_iif`, int: index of the device it came in by.
    pub skb_iif: u32,
    /// `sk_buff.sk`, pointer.
    pub skb_sk: u32,
    /// `sk_buff.protocol`, be16.
    pub skb_protocol: u32,
    /// `sk_buff.mac_header`, u16: offset from `head`, 0xffff when unset.
    pub skb_mac_header: u32,
    /// `sk_buff.network_header`, u16: offset from `head`, 0 when unset.
    pub skb_network_header: u32,
    /// `sk_buff.transport_header`, u16: offset from `head`, 0xffff when unset.
    pub skb_transport_header: u32,
    /// `sk_buff.vlan_tci`, u16.
    pub skb_vlan_tci: u32,
    /// `sk_buff.vlan_proto`, be16.
    pub skb_vlan_proto: u32,
    /// `sk_buff.vlan_all`, u32; absent before 6.1, where the tag's presence is a bit-field.
    pub skb_vlan_all: u32,
    /// `sk_buff._skb_refdst`, unsigned long: pointer to `dst_entry`, lowest bit a flag.
    pub skb_refdst: u32,
    /// `skb_shared_info.gso_size`, u16.
    pub shinfo_gso_size: u32,
    /// `skb_shared_info.gso_segs`, u16.
    pub shinfo_gso_segs: u32,
    /// `net_device.ifindex`, int.
    pub dev_ifindex: u32,
    /// `net_device.name`, 16 bytes.
    pub dev_name: u32,
    /// `net_device.nd_net.net`, pointer.
    pub dev_net: u32,
    /// `net.ns.inum`, u32.
    pub net_inum: u32,
    /// `sock.__sk_common.skc_net.net`, pointer.
    pub sk_net: u32,
    /// `dst_entry.dev`, pointer.
    pub dst_dev: u32,
    /// `sk_buff.data_len`, u32: bytes that are not in the linear part.
    pub skb_data_len: u32,
    /// Keeps the size a multiple of eight.
    pub reserved: u32,
}
