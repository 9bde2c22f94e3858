//! What a drop is counted by: site, reason, device, network namespace, protocol.

use netdrop_common::{CounterKey, KEY_HAS_IP_PROTOCOL};

use crate::{
    constants::{is_absent, member, offset, offset_of},
    memory::{Memory, is_kernel_address, load, probe},
    packet::{self, Network},
};

/// The tracepoint's arguments.
#[derive(Clone, Copy)]
pub struct Drop {
    pub skb: *const u8,
    pub location: u64,
    pub reason: u32,
    /// The socket that refused the packet; null where the kernel doesn't say.
    pub rx_sk: *const u8,
    /// Whether the hardware dropped it, and told its driver.
    pub is_trapped: bool,
    /// The device that a trapped packet came in by; null where the driver doesn't say.
    pub trapped_on: *const u8,
}

/// A drop with what was read of it on the way.
pub struct Subject {
    pub drop: Drop,
    pub key: CounterKey,
    /// The packet's length, see [`length`].
    pub length: u32,
    /// `skb->dev`, or null.
    pub device: *const u8,
    /// Where the network header is.
    pub network: Network,
}

impl Subject {
    #[inline(always)]
    pub unsafe fn read<M: Memory>(drop: Drop) -> Self {
        unsafe {
            // Pointers first, before any branch on the packet: for each load of a pointer and each way to it the
            // verifier searches the kernel's whole BTF several times (`btf_nested_type_is_trusted`).
            let device = if drop.is_trapped && is_kernel_address(drop.trapped_on) {
                drop.trapped_on
            } else {
                device::<M>(drop.skb)
            };
            let (ifindex, netns) = place::<M>(&drop, device);
            let ethertype = u16::from_be(load!(M, drop.skb, skb_protocol));
            let network = Network::find::<M>(drop.skb);
            let ip_protocol = packet::ip_protocol(ethertype, &network);
            let key = CounterKey {
                site: drop.location,
                netns,
                ifindex,
                reason: drop.reason,
                ethertype,
                ip_protocol: ip_protocol.unwrap_or(0),
                flags: if ip_protocol.is_some() { KEY_HAS_IP_PROTOCOL } else { 0 },
            };
            Self { drop, key, length: length::<M>(drop.skb, &network), device, network }
        }
    }
}

/// The packet's length from its network header on, whatever headers were pulled (or pushed) before the drop;
/// `skb->len` where there is no network header yet.
#[inline(always)]
unsafe fn length<M: Memory>(skb: *const u8, network: &Network) -> u32 {
    let length: u32 = unsafe { load!(M, skb, skb_len) };
    if network.offset == 0 {
        return length;
    }
    let data: u64 = unsafe { load!(M, skb, skb_data) };
    let pulled = (data - network.head as u64) as u32;
    length.wrapping_add(pulled).wrapping_sub(network.offset)
}

/// `skb->dev`. On a socket's queue its place holds `dev_scratch` (net/ipv4/udp.c, `udp_set_dev_scratch`).
#[inline(always)]
unsafe fn device<M: Memory>(skb: *const u8) -> *const u8 {
    let device: *const u8 = unsafe { load!(M, skb, skb_dev) };
    if is_kernel_address(device) { device } else { core::ptr::null() }
}

/// The device's index and the namespace: the packet's own, else those that it came in by and its socket's.
#[inline(always)]
unsafe fn place<M: Memory>(drop: &Drop, device: *const u8) -> (u32, u32) {
    unsafe {
        if !device.is_null() {
            return (load!(M, device, dev_ifindex), namespace_of_device::<M>(device));
        }
        let ifindex = load!(M, drop.skb, skb_iif);
        let sk: *const u8 = load!(M, drop.skb, skb_sk);
        if !sk.is_null() {
            return (ifindex, namespace_of_socket::<M>(sk));
        }
        if !drop.rx_sk.is_null() {
            return (ifindex, namespace_of_socket::<M>(drop.rx_sk));
        }
        (ifindex, namespace_of_route::<M>(drop.skb))
    }
}

#[inline(always)]
unsafe fn namespace_of_device<M: Memory>(device: *const u8) -> u32 {
    unsafe { namespace::<M, { member!(Layout.dev_net) }>(device) }
}

#[inline(always)]
unsafe fn namespace_of_socket<M: Memory>(sk: *const u8) -> u32 {
    unsafe { namespace::<M, { member!(Layout.sk_net) }>(sk) }
}

/// `ns.inum` of the namespace that the member of `base` points to; 0 on a kernel without namespaces.
#[inline(always)]
unsafe fn namespace<M: Memory, const NET: usize>(base: *const u8) -> u32 {
    if is_absent(offset_of::<NET>()) {
        return 0;
    }
    let net: *const u8 = unsafe { M::load::<_, NET>(base) };
    if net.is_null() { 0 } else { unsafe { load!(M, net, net_inum) } }
}

/// The namespace of the route's device: `skb_dst(skb)->dev`, by probing, as `_skb_refdst` has no type.
#[inline(always)]
unsafe fn namespace_of_route<M: Memory>(skb: *const u8) -> u32 {
    const SKB_DST_PTRMASK: u64 = !1;
    if is_absent(offset!(dev_net)) {
        return 0;
    }
    unsafe {
        let refdst: u64 = load!(M, skb, skb_refdst);
        let dst = (refdst & SKB_DST_PTRMASK) as *const u8;
        if !is_kernel_address(dst) {
            return 0;
        }
        let device: *const u8 = probe(dst.wrapping_add(offset!(dst_dev) as usize));
        let net: *const u8 = probe(device.wrapping_add(offset!(dev_net) as usize));
        probe(net.wrapping_add(offset!(net_inum) as usize))
    }
}
