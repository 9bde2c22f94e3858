//! The program on `devlink_trap_report` (net/devlink/trap.c): packets that the hardware dropped, of which it gave a copy to its driver.
//!
//! Drivers free that copy by `consume_skb` (drivers/net/ethernet/mellanox/mlxsw/spectrum_trap.c, `mlxsw_sp_rx_drop_listener`;
//! drivers/net/netdevsim/dev.c, `nsim_dev_trap_report`), so `kfree_skb` doesn't see it: no packet is counted twice. Those that are
//! trapped for another cause (`DEVLINK_TRAP_TYPE_EXCEPTION`, `_CONTROL`) go on into the network stack, which drops them or doesn't:
//! they are none of this program's.

use aya_ebpf::{
    EbpfContext,
    bindings::BPF_ANY,
    helpers::generated::{bpf_map_lookup_elem, bpf_map_update_elem, bpf_probe_read_kernel_str},
    macros::{map, raw_tracepoint},
    maps::HashMap,
    programs::RawTracePointContext,
};
use netdrop_common::{REASON_NONE, TRAP_WORDS, TRAPS as TRAP_NAMES, Trap, site_of_trap};

use crate::{
    constants::{is_absent, offset},
    count::Cpu,
    drops::follow,
    key::Drop,
    memory::{Probed, is_kernel_address, probe},
};

/// What the sites of traps stand for. User space makes it only where the program is loaded.
#[map]
static TRAPS: HashMap<u64, Trap> = HashMap::with_max_entries(TRAP_NAMES, 0);

/// `enum devlink_trap_type`.
const DEVLINK_TRAP_TYPE_DROP: u32 = 0;

/// Hardware reports thousands of packets a second at most (its policers see to that), so all is read by probing: the verifier
/// is done with it in no time, and it loads on any kernel that has the tracepoint.
#[raw_tracepoint(tracepoint = "devlink_trap_report")]
pub fn devlink_trap(context: RawTracePointContext) -> i32 {
    unsafe { trapped(&context) };
    0
}

/// `(const struct devlink *, struct sk_buff *, const struct devlink_trap_metadata *)`.
#[inline(always)]
unsafe fn trapped(context: &impl EbpfContext) {
    let pointer = |index: usize| unsafe { context.as_ptr().cast::<*const u8>().add(index).read_volatile() };
    let metadata = pointer(2);
    if unsafe { member::<u32>(metadata, offset!(trap_type)) } != DEVLINK_TRAP_TYPE_DROP {
        return;
    }
    if let Some(cpu) = Cpu::enter_for_trap() {
        unsafe {
            follow::<Probed>(context, &cpu, || Drop {
                skb: pointer(1),
                location: site(pointer(0), metadata),
                reason: REASON_NONE,
                rx_sk: core::ptr::null(),
                is_trapped: true,
                trapped_on: member(metadata, offset!(trap_input_dev)),
            });
        }
    }
}

/// The number that the trap is known by; what it stands for is kept when it is met first.
#[inline(always)]
unsafe fn site(devlink: *const u8, metadata: *const u8) -> u64 {
    let mut words = [0_u64; TRAP_WORDS];
    let trap = words.as_mut_ptr().cast::<Trap>();
    unsafe {
        text(&raw mut (*trap).name, member(metadata, offset!(trap_name)));
        text(&raw mut (*trap).group, member(metadata, offset!(trap_group_name)));
        let device: *const u8 = member(devlink, offset!(devlink_dev));
        text(&raw mut (*trap).device, member(device, offset!(device_name)));
        text(&raw mut (*trap).bus, member(member(device, offset!(device_bus)), offset!(bus_name)));
        text(&raw mut (*trap).driver, member(member(device, offset!(device_driver)), offset!(driver_name)));
        let site = site_of_trap(&words);
        let map = (&raw const TRAPS).cast_mut().cast();
        let key = (&raw const site).cast_mut().cast();
        if bpf_map_lookup_elem(map, key).is_null() {
            bpf_map_update_elem(map, key, trap.cast(), BPF_ANY.into());
        }
        site
    }
}

/// Reads a member of what a pointer that may be null points to: zero where there is nothing to read.
#[inline(always)]
unsafe fn member<T: Copy>(base: *const u8, offset: u32) -> T {
    unsafe {
        if is_absent(offset) || !is_kernel_address(base) {
            return core::mem::zeroed();
        }
        probe(base.wrapping_add(offset as usize))
    }
}

/// Copies a text up to its zero byte; what is behind it stays zero.
#[inline(always)]
unsafe fn text<const N: usize>(to: *mut [u8; N], from: *const u8) {
    if is_kernel_address(from) {
        unsafe { bpf_probe_read_kernel_str(to.cast(), N as u32, from.cast()) };
    }
}
