//! What is kept of connections while they live.

use aya_ebpf::{
    helpers::generated::{
        bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_map_delete_elem, bpf_map_lookup_elem,
        bpf_map_update_elem,
    },
    macros::{map, raw_tracepoint},
    maps::HashMap,
    programs::RawTracePointContext,
};
use netdrop_common::{
    Task,
    tcp::{TASK_NONE, TcpConnection},
};

use crate::{member::setting, program::pointer, socket};

/// By the address of their `struct sock`; user space sets the size.
#[map]
static TCP_SOCKETS: HashMap<u64, TcpConnection> = HashMap::with_max_entries(1, 0);

fn map() -> *mut core::ffi::c_void {
    (&raw const TCP_SOCKETS).cast_mut().cast()
}

/// What is known of the connection; null when nothing is.
#[inline(always)]
pub unsafe fn find(sk: *const u8) -> *mut TcpConnection {
    if setting!(tracked) == 0 {
        return core::ptr::null_mut();
    }
    let key = sk as u64;
    unsafe { bpf_map_lookup_elem(map(), (&raw const key).cast_mut().cast()).cast() }
}

/// Begins to follow a connection; null when there is no room.
#[inline(always)]
pub unsafe fn begin(sk: *const u8, connection: &TcpConnection) -> *mut TcpConnection {
    const BPF_ANY: u64 = 0;
    let key = sk as u64;
    unsafe {
        bpf_map_update_elem(
            map(),
            (&raw const key).cast_mut().cast(),
            (&raw const *connection).cast_mut().cast(),
            BPF_ANY,
        );
        find(sk)
    }
}

/// Forgets a connection.
#[inline(always)]
pub unsafe fn end(sk: *const u8) {
    if setting!(tracked) != 0 {
        let key = sk as u64;
        unsafe { bpf_map_delete_elem(map(), (&raw const key).cast_mut().cast()) };
    }
}

/// Keeps a flag for the connection's end.
#[inline(always)]
pub unsafe fn mark(connection: *mut TcpConnection, flag: u16) {
    if !connection.is_null() {
        unsafe { (*connection).flags |= flag }
    }
}

/// Keeps the task that runs, unless an earlier one is known.
#[inline(always)]
pub unsafe fn keep_task(connection: *mut TcpConnection, task_at: u8) {
    unsafe {
        if (*connection).task_at == TASK_NONE {
            (*connection).task_at = task_at;
            current_task(&raw mut (*connection).task);
        }
    }
}

/// Keeps the socket's inode, as long as it has one.
#[inline(always)]
pub unsafe fn keep_inode(connection: *mut TcpConnection, sk: *const u8) {
    unsafe {
        let inode = socket::inode(sk);
        if inode != 0 {
            (*connection).inode = inode;
        }
    }
}

/// The task that runs.
#[inline(always)]
pub unsafe fn current_task(task: *mut Task) {
    unsafe {
        let ids = bpf_get_current_pid_tgid();
        (*task).pid = (ids >> 32) as u32;
        (*task).tid = ids as u32;
        bpf_get_current_comm((&raw mut (*task).command).cast(), 16);
    }
}

/// `(struct sock *)`: its memory may soon be another's (`tcp_v4_destroy_sock`).
#[raw_tracepoint(tracepoint = "tcp_destroy_sock")]
pub fn tcp_destroy_sock(context: RawTracePointContext) -> i32 {
    unsafe { destroyed(&context) };
    0
}

#[inline(always)]
unsafe fn destroyed(context: &RawTracePointContext) {
    unsafe { end(pointer(context, 0)) }
}
