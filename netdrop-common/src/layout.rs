//! Where the kernel keeps what the program reads.

/// The offset of a member that this kernel doesn't have.
pub const ABSENT: u32 = i32::MAX.cast_unsigned();

/// Byte offsets of kernel struct members, from the running kernel's BTF, patched in before load;
/// [`ABSENT`] only where the comment says so, and for what is wanted of sockets, which any kernel may lack.
///
/// `sk_buff` is described in `include/linux/skbuff.h`, `net_device` in `include/linux/netdevice.h`,
/// `sock` in `include/net/sock.h`, `dst_entry` in `include/net/dst.h`, `net` in `include/net/net_namespace.h`.
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
    /// `sk_buff.vlan_tci`, u16.
    pub skb_vlan_tci: u32,
    /// `sk_buff.vlan_proto`, be16.
    pub skb_vlan_proto: u32,
    /// `sk_buff.vlan_all`, u32; absent before 6.2, where the tag's presence is a bit-field.
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
    /// `net_device.nd_net.net`, pointer; absent without `CONFIG_NET_NS`.
    pub dev_net: u32,
    /// `net.ns.inum`, u32.
    pub net_inum: u32,
    /// `sock.__sk_common.skc_net.net`, pointer; absent without `CONFIG_NET_NS`.
    pub sk_net: u32,
    /// `dst_entry.dev`, pointer.
    pub dst_dev: u32,
    /// `sk_buff.data_len`, u32: bytes that are not in the linear part.
    pub skb_data_len: u32,
    /// The byte of `sk_buff.vlan_present`, a bit-field; absent where `vlan_all` isn't.
    pub skb_vlan_present: u32,
    /// The bit in that byte.
    pub skb_vlan_present_mask: u32,
    /// `sock.__sk_common.skc_family`, u16: `AF_*`.
    pub sk_family: u32,
    /// `sock.__sk_common.skc_state`, u8.
    pub sk_state: u32,
    /// `sock.__sk_common.skc_num`, u16: local port, host byte order.
    pub sk_num: u32,
    /// `sock.__sk_common.skc_dport`, be16: remote port.
    pub sk_dport: u32,
    /// `sock.__sk_common.skc_rcv_saddr`, be32: local IPv4 address.
    pub sk_rcv_saddr: u32,
    /// `sock.__sk_common.skc_daddr`, be32: remote IPv4 address.
    pub sk_daddr: u32,
    /// `sock.__sk_common.skc_v6_rcv_saddr`, `in6_addr`: local IPv6 address.
    pub sk_v6_rcv_saddr: u32,
    /// `sock.__sk_common.skc_v6_daddr`, `in6_addr`: remote IPv6 address.
    pub sk_v6_daddr: u32,
    /// `sock.__sk_common.skc_cookie.counter`, s64.
    pub sk_cookie: u32,
    /// `sock.sk_protocol`, u16: `IPPROTO_*`.
    pub sk_protocol: u32,
    /// `sock.sk_backlog.rmem_alloc.counter`, int: bytes.
    pub sk_rmem_alloc: u32,
    /// `sock.sk_backlog.len`, int: bytes.
    pub sk_backlog_len: u32,
    /// `sock.sk_rcvbuf`, int: bytes.
    pub sk_rcvbuf: u32,
    /// `sock.sk_sndbuf`, int: bytes.
    pub sk_sndbuf: u32,
    /// `sock.sk_wmem_queued`, int: bytes.
    pub sk_wmem_queued: u32,
    /// `sock.sk_wmem_alloc.refs.counter`, int: bytes, and one.
    pub sk_wmem_alloc: u32,
    /// `sock.sk_ack_backlog`, u32: connections.
    pub sk_ack_backlog: u32,
    /// `sock.sk_max_ack_backlog`, u32: connections.
    pub sk_max_ack_backlog: u32,
    /// `sock.sk_drops.counter`, int.
    pub sk_drops: u32,
    /// `sock.sk_drop_counters`, pointer to `numa_drop_counters`, which counts instead when set (6.18 on).
    pub sk_drop_counters: u32,
    /// `numa_drop_counters.drops0.counter`, int.
    pub drops0: u32,
    /// `numa_drop_counters.drops1.counter`, int.
    pub drops1: u32,
    /// `sock.sk_socket`, pointer to the `socket` of a `socket_alloc`.
    pub sk_socket: u32,
    /// `socket_alloc.vfs_inode.i_ino`, unsigned long.
    pub socket_ino: u32,
    /// `sock.sk_cgrp_data.cgroup`, pointer (5.16 on).
    pub sk_cgroup: u32,
    /// `sock.sk_cgrp_data.val`, u64: pointer or, with the lowest bit set, data of cgroup v1 (before 5.16).
    pub sk_cgroup_val: u32,
    /// `cgroup.kn`, pointer.
    pub cgroup_kn: u32,
    /// `kernfs_node.id`, u64.
    pub kernfs_id: u32,
    /// `request_sock.__req_common.skc_listener`, pointer.
    pub rsk_listener: u32,
    /// `devlink_trap_metadata.trap_name`, pointer to text; absent where the kernel has no devlink.
    pub trap_name: u32,
    /// `devlink_trap_metadata.trap_group_name`, pointer to text.
    pub trap_group_name: u32,
    /// `devlink_trap_metadata.trap_type`, `enum devlink_trap_type`.
    pub trap_type: u32,
    /// `devlink_trap_metadata.input_dev`, pointer to `net_device`, or null.
    pub trap_input_dev: u32,
    /// `devlink.dev`, pointer to `device`, or null.
    pub devlink_dev: u32,
    /// `device.kobj.name`, pointer to text.
    pub device_name: u32,
    /// `device.bus`, pointer to `bus_type`, or null.
    pub device_bus: u32,
    /// `device.driver`, pointer to `device_driver`, or null.
    pub device_driver: u32,
    /// `bus_type.name`, pointer to text.
    pub bus_name: u32,
    /// `device_driver.name`, pointer to text.
    pub driver_name: u32,
}

impl Layout {
    /// Nothing is where it should be: what the loader overwrites.
    pub const UNKNOWN: Self = Self {
        skb_len: ABSENT,
        skb_head: ABSENT,
        skb_data: ABSENT,
        skb_tail: ABSENT,
        skb_end: ABSENT,
        skb_dev: ABSENT,
        skb_iif: ABSENT,
        skb_sk: ABSENT,
        skb_protocol: ABSENT,
        skb_mac_header: ABSENT,
        skb_network_header: ABSENT,
        skb_vlan_tci: ABSENT,
        skb_vlan_proto: ABSENT,
        skb_vlan_all: ABSENT,
        skb_refdst: ABSENT,
        shinfo_gso_size: ABSENT,
        shinfo_gso_segs: ABSENT,
        dev_ifindex: ABSENT,
        dev_name: ABSENT,
        dev_net: ABSENT,
        net_inum: ABSENT,
        sk_net: ABSENT,
        dst_dev: ABSENT,
        skb_data_len: ABSENT,
        skb_vlan_present: ABSENT,
        skb_vlan_present_mask: ABSENT,
        sk_family: ABSENT,
        sk_state: ABSENT,
        sk_num: ABSENT,
        sk_dport: ABSENT,
        sk_rcv_saddr: ABSENT,
        sk_daddr: ABSENT,
        sk_v6_rcv_saddr: ABSENT,
        sk_v6_daddr: ABSENT,
        sk_cookie: ABSENT,
        sk_protocol: ABSENT,
        sk_rmem_alloc: ABSENT,
        sk_backlog_len: ABSENT,
        sk_rcvbuf: ABSENT,
        sk_sndbuf: ABSENT,
        sk_wmem_queued: ABSENT,
        sk_wmem_alloc: ABSENT,
        sk_ack_backlog: ABSENT,
        sk_max_ack_backlog: ABSENT,
        sk_drops: ABSENT,
        sk_drop_counters: ABSENT,
        drops0: ABSENT,
        drops1: ABSENT,
        sk_socket: ABSENT,
        socket_ino: ABSENT,
        sk_cgroup: ABSENT,
        sk_cgroup_val: ABSENT,
        cgroup_kn: ABSENT,
        kernfs_id: ABSENT,
        rsk_listener: ABSENT,
        trap_name: ABSENT,
        trap_group_name: ABSENT,
        trap_type: ABSENT,
        trap_input_dev: ABSENT,
        devlink_dev: ABSENT,
        device_name: ABSENT,
        device_bus: ABSENT,
        device_driver: ABSENT,
        bus_name: ABSENT,
        driver_name: ABSENT,
    };
}
