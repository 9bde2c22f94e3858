//! The socket that a drop belongs to.
//!
//! All is read by probing: a drop with a socket is rare beside the others, and for typed loads of so many members on
//! every way that leads to them the verifier would take its time at each start.

use aya_ebpf::EbpfContext;
use netdrop_common::{
    AF_INET, AF_INET6, SOCKET_FULL, SOCKET_NONE, SOCKET_OF_PACKET, SOCKET_RECEIVING, SOCKET_REQUEST,
    SOCKET_TIME_WAIT, Socket, tcp_state,
};

use crate::{
    constants::{is_absent, offset, setting},
    memory::{is_kernel_address, probe},
};

/// Reads a member that this kernel may lack: zeros then.
macro_rules! detail {
    ($base:expr, $member:ident) => {
        if is_absent(offset!($member)) {
            // All members are integers, or bytes.
            core::mem::zeroed()
        } else {
            // The helper takes any address.
            probe(($base).wrapping_add(offset!($member) as usize))
        }
    };
}

/// Whose socket it is, and the socket: the one that refused the packet, else the packet's own. Both pointers are read as plain
/// numbers, as the verifier would want each to be compared with null on its own before it is counted with.
#[inline(always)]
pub unsafe fn of(context: &impl EbpfContext, skb: *const u8) -> (u8, *const u8) {
    const RX_SK: usize = 3;
    unsafe {
        if setting!(arguments) > RX_SK as u32 {
            let rx_sk: u64 = probe(context.as_ptr().cast::<u64>().add(RX_SK).cast());
            if is_kernel_address(rx_sk as *const u8) {
                return (SOCKET_RECEIVING, rx_sk as *const u8);
            }
        }
        let sk: u64 = probe(skb.wrapping_add(offset!(skb_sk) as usize));
        if is_kernel_address(sk as *const u8) {
            return (SOCKET_OF_PACKET, sk as *const u8);
        }
    }
    (SOCKET_NONE, core::ptr::null())
}

/// The drop's socket with all its members: a request's listener; null where there is none, or but what is left of one.
#[inline(always)]
pub unsafe fn whole_of(context: &impl EbpfContext, skb: *const u8) -> *const u8 {
    unsafe {
        let (whose, sk) = of(context, skb);
        if whose == SOCKET_NONE {
            return core::ptr::null();
        }
        let state: u8 = detail!(sk, sk_state);
        if state == tcp_state::TIME_WAIT {
            return core::ptr::null();
        }
        if state != tcp_state::NEW_SYN_RECV {
            return sk;
        }
        let listener: u64 = detail!(sk, rsk_listener);
        let listener = listener as *const u8;
        if is_kernel_address(listener) { listener } else { core::ptr::null() }
    }
}

/// Describes the socket. Small ones (`inet_timewait_sock`, `request_sock`) begin like all with `sock_common`, and have nothing
/// else in common: they are told by their state, before any other member is read.
#[inline(always)]
pub unsafe fn describe(socket: *mut Socket, sk: *const u8) {
    unsafe {
        let state: u8 = detail!(sk, sk_state);
        socket.write(Socket::default());
        (*socket).state = state;
        addresses(socket, sk);
        if state == tcp_state::TIME_WAIT {
            (*socket).kind = SOCKET_TIME_WAIT;
        } else if state == tcp_state::NEW_SYN_RECV {
            (*socket).kind = SOCKET_REQUEST;
            let listener: u64 = detail!(sk, rsk_listener);
            let listener = listener as *const u8;
            if is_kernel_address(listener) {
                whole(socket, listener);
            }
        } else {
            (*socket).kind = SOCKET_FULL;
            whole(socket, sk);
        }
    }
}

/// What is in `sock_common`.
#[inline(always)]
unsafe fn addresses(socket: *mut Socket, sk: *const u8) {
    unsafe {
        let family: u16 = detail!(sk, sk_family);
        (*socket).family = family;
        (*socket).local_port = detail!(sk, sk_num);
        (*socket).remote_port = u16::from_be(detail!(sk, sk_dport));
        if family == AF_INET6 {
            (*socket).local = detail!(sk, sk_v6_rcv_saddr);
            (*socket).remote = detail!(sk, sk_v6_daddr);
        } else if family == AF_INET {
            (&raw mut (*socket).local).cast::<u32>().write_unaligned(detail!(sk, sk_rcv_saddr));
            (&raw mut (*socket).remote).cast::<u32>().write_unaligned(detail!(sk, sk_daddr));
        }
    }
}

/// What only a whole `struct sock` has.
#[inline(always)]
unsafe fn whole(socket: *mut Socket, sk: *const u8) {
    unsafe {
        (*socket).cookie = detail!(sk, sk_cookie);
        (*socket).protocol = detail!(sk, sk_protocol);
        (*socket).receive_queue = detail!(sk, sk_rmem_alloc);
        (*socket).receive_limit = detail!(sk, sk_rcvbuf);
        (*socket).send_queued = detail!(sk, sk_wmem_queued);
        (*socket).send_allocated = detail!(sk, sk_wmem_alloc);
        (*socket).send_limit = detail!(sk, sk_sndbuf);
        (*socket).backlog = detail!(sk, sk_backlog_len);
        (*socket).accept_queue = detail!(sk, sk_ack_backlog);
        (*socket).accept_limit = detail!(sk, sk_max_ack_backlog);
        (*socket).drops = drops(sk);
        (*socket).inode = inode(sk);
        (*socket).cgroup = cgroup(sk);
    }
}

/// `sk_drops_read` (include/net/sock.h): UDP counts per NUMA node where it can (6.18 on).
#[inline(always)]
unsafe fn drops(sk: *const u8) -> u32 {
    unsafe {
        let counters: u64 = detail!(sk, sk_drop_counters);
        let counters = counters as *const u8;
        if is_kernel_address(counters) {
            let (first, second): (u32, u32) = (detail!(counters, drops0), detail!(counters, drops1));
            return first.wrapping_add(second);
        }
        detail!(sk, sk_drops)
    }
}

/// `SOCK_INODE(sk->sk_socket)->i_ino`: the socket is the first member of a `socket_alloc`.
#[inline(always)]
pub unsafe fn inode(sk: *const u8) -> u64 {
    unsafe {
        let socket: u64 = detail!(sk, sk_socket);
        let socket = socket as *const u8;
        if is_kernel_address(socket) { detail!(socket, socket_ino) } else { 0 }
    }
}

/// `cgroup_id(sock_cgroup_ptr(&sk->sk_cgrp_data))`.
#[inline(always)]
pub unsafe fn cgroup(sk: *const u8) -> u64 {
    unsafe {
        const IS_DATA: u64 = 1;
        const NO_REFCNT: u64 = 2;
        let mut cgroup: u64 = detail!(sk, sk_cgroup);
        if is_absent(offset!(sk_cgroup)) {
            cgroup = detail!(sk, sk_cgroup_val);
            if cgroup & IS_DATA != 0 {
                return 0;
            }
            cgroup &= !NO_REFCNT;
        }
        let cgroup = cgroup as *const u8;
        if !is_kernel_address(cgroup) {
            return 0;
        }
        let node: u64 = detail!(cgroup, cgroup_kn);
        let node = node as *const u8;
        if is_kernel_address(node) { detail!(node, kernfs_id) } else { 0 }
    }
}
