//! Round-trip times, as TCP itself has measured them, in histograms.
//!
//! `tcp_probe` is called for each segment of an established connection, before TCP looks at it. Only one that acknowledges new data
//! can bring a new time, so the others are left after two loads: who only receives pays for no more.

use aya_ebpf::{
    EbpfContext,
    bindings::BPF_NOEXIST,
    helpers::generated::{bpf_map_lookup_elem, bpf_map_update_elem},
    macros::{btf_tracepoint, map, raw_tracepoint},
    maps::{Array, HashMap},
    programs::{BtfTracePointContext, RawTracePointContext},
};
use netdrop_common::{
    AF_INET, AF_INET6,
    placeholder::TCP_LOAD,
    tcp::{RttHistogram, RttKey, SAMPLE, SRTT, TcpLayout, by, rtt_bucket},
};

use crate::{
    connection,
    constants::patched,
    count::{Cpu, add},
    ends::local_port,
    event::Subject,
    filter,
    member::{member, offset, pointer, setting, shared},
    memory::{cast, probe},
    program, socket,
};

/// Each CPU has keys of its own; user space sets the size, and puts in the one of all others.
#[map]
static TCP_RTT: HashMap<RttKey, RttHistogram> = HashMap::with_max_entries(1, 0);

/// What a new histogram is: too large for the stack.
#[map]
static TCP_RTT_EMPTY: Array<RttHistogram> = Array::with_max_entries(1, 0);

/// Through `tp_btf`, without a helper where the kernel lets pointers be cast.
#[btf_tracepoint(function = "tcp_probe")]
pub fn tcp_probe(context: BtfTracePointContext) -> i32 {
    unsafe {
        let arguments = context.as_ptr().cast::<*const u8>();
        let type_id = setting!(tcp_sock_type_id);
        if type_id == 0 {
            acknowledged::<Probed>(program::pointer(&context, 0), program::pointer(&context, 1));
        } else {
            let skb = arguments.add(1).read_volatile();
            acknowledged::<Loaded>(cast(arguments.read_volatile(), type_id), skb);
        }
    }
    0
}

/// Through the raw tracepoint.
#[raw_tracepoint(tracepoint = "tcp_probe")]
pub fn tcp_probe_raw(context: RawTracePointContext) -> i32 {
    unsafe { acknowledged::<Probed>(program::pointer(&context, 0), program::pointer(&context, 1)) };
    0
}

/// How `TcpLayout`'s words are read.
trait Words {
    unsafe fn word<const MEMBER: usize>(base: *const u8) -> u32;
}

/// By loads that the verifier guards.
struct Loaded;
/// By probing.
struct Probed;

impl Words for Loaded {
    #[inline(always)]
    unsafe fn word<const MEMBER: usize>(base: *const u8) -> u32 {
        let value: u64;
        unsafe {
            core::arch::asm!(
                "{value} = *(u32 *)({base} + {offset})",
                value = lateout(reg) value,
                base = in(reg) base,
                offset = const TCP_LOAD as usize + MEMBER,
                options(pure, nomem, nostack),
            );
        }
        value as u32
    }
}

impl Words for Probed {
    #[inline(always)]
    unsafe fn word<const MEMBER: usize>(base: *const u8) -> u32 {
        let offset = patched::<{ netdrop_common::placeholder::TCP_LAYOUT }, MEMBER>();
        unsafe { probe(base.wrapping_add(offset as usize)) }
    }
}

macro_rules! word {
    ($how:ident, $base:expr, $member:ident) => {
        $how::word::<{ core::mem::offset_of!(TcpLayout, $member) / size_of::<u32>() }>($base)
    };
}

/// `(struct sock *, struct sk_buff *)`, before `tcp_ack`.
#[inline(always)]
unsafe fn acknowledged<W: Words>(sk: *const u8, skb: *const u8) {
    unsafe {
        let acknowledged = word!(W, skb.wrapping_add(offset!(cb) as usize), cb_ack_seq);
        let ahead = acknowledged.wrapping_sub(word!(W, sk, snd_una)) as i32;
        if ahead <= 0 {
            return;
        }
        let smoothed = if setting!(rtt_smoothed) != 0 { word!(W, sk, srtt_us) >> 3 } else { 0 };
        // What the acknowledgement before has told: this one's isn't known yet.
        let sample = if setting!(rtt_samples) != 0 { word!(W, sk, rack_rtt_us) } else { 0 };
        count(sk, smoothed, sample);
    }
}

/// What the last acknowledgement of a connection has told.
#[inline(always)]
pub unsafe fn last(sk: *const u8) {
    if setting!(rtt_samples) != 0 {
        unsafe { count(sk, 0, member!(sk, rack_rtt_us)) }
    }
}

/// Counts times in µs; 0 is none.
#[inline(always)]
unsafe fn count(sk: *const u8, smoothed: u32, sample: u32) {
    if smoothed | sample == 0 {
        return;
    }
    let Some(cpu) = Cpu::current() else { return };
    unsafe {
        let subject = Subject::whole(sk, core::ptr::null_mut());
        if !filter::passes(&subject) {
            return;
        }
        let mut key = RttKey { cpu: cpu.number, ..RttKey::default() };
        fill(&raw mut key, &subject);
        for (what, us) in [(SRTT, smoothed), (SAMPLE, sample)] {
            if us != 0 {
                key.what = what;
                count_one(&cpu, &raw mut key, us);
            }
        }
    }
}

#[inline(always)]
unsafe fn count_one(cpu: &Cpu, key: *mut RttKey, us: u32) {
    unsafe {
        cpu.account(|accounts| &raw mut (*accounts).rtt_seen);
        let mut histogram = find_or_make(key);
        if histogram.is_null() {
            cpu.account(|accounts| &raw mut (*accounts).rtt_others);
            let what = (*key).what;
            key.write(RttKey { cpu: cpu.number, what, others: 1, ..RttKey::default() });
            histogram = find(key);
        }
        if !histogram.is_null() {
            add(&raw mut (*histogram).sum_us, us.into());
            let buckets = (&raw mut (*histogram).buckets).cast::<u64>();
            add(buckets.add(rtt_bucket(us)), 1);
        }
    }
}

fn map() -> *mut core::ffi::c_void {
    (&raw const TCP_RTT).cast_mut().cast()
}

#[inline(always)]
unsafe fn find(key: *const RttKey) -> *mut RttHistogram {
    unsafe { bpf_map_lookup_elem(map(), key.cast_mut().cast()).cast() }
}

/// The key's histogram; null when there is no room.
#[inline(always)]
unsafe fn find_or_make(key: *const RttKey) -> *mut RttHistogram {
    unsafe {
        let found = find(key);
        if !found.is_null() {
            return found;
        }
        let Some(empty) = TCP_RTT_EMPTY.get_ptr(0) else { return core::ptr::null_mut() };
        let place = key.cast_mut().cast();
        bpf_map_update_elem(map(), place, empty.cast_mut().cast(), BPF_NOEXIST.into());
        find(key)
    }
}

/// What the histogram is kept by, as far as it is asked for; the rest of the key stays zeros.
#[inline(always)]
unsafe fn fill(key: *mut RttKey, subject: &Subject) {
    const ADDRESSES: u32 = by::REMOTE | by::LOCAL;
    const ROUTES: u32 = by::DEVICE | by::ROUTE | by::NETNS;
    let asked = setting!(rtt_by);
    let sk = subject.sk;
    unsafe {
        if asked & ADDRESSES != 0 {
            let family: u16 = shared!(sk, sk_family);
            (*key).family = family;
            if asked & by::REMOTE != 0 {
                (*key).remote = address(family, shared!(sk, sk_v6_daddr), shared!(sk, sk_daddr));
            }
            if asked & by::LOCAL != 0 {
                (*key).local = address(family, shared!(sk, sk_v6_rcv_saddr), shared!(sk, sk_rcv_saddr));
            }
        }
        if asked & by::REMOTE_PORT != 0 {
            (*key).remote_port = u16::from_be(shared!(sk, sk_dport));
        }
        if asked & by::LOCAL_PORT != 0 {
            (*key).local_port = local_port(sk, true);
        }
        if asked & ROUTES != 0 {
            (*key).netns = subject.netns(core::ptr::null());
            if asked & (by::DEVICE | by::ROUTE) != 0 {
                (*key).ifindex = shared!(subject.device(), dev_ifindex);
            }
            if asked & by::ROUTE != 0 {
                gateway(key, sk);
            }
        }
        if asked & by::OWNER != 0 {
            (*key).inode = inode(sk);
        }
        if asked & (by::OWNER | by::CGROUP) != 0 {
            (*key).cgroup = socket::cgroup(sk);
        }
    }
}

/// The socket's inode; of one that its process has closed, which the last acknowledgements come for, what was kept of it.
#[inline(always)]
unsafe fn inode(sk: *const u8) -> u64 {
    unsafe {
        let inode = socket::inode(sk);
        if inode != 0 {
            return inode;
        }
        let connection = connection::find(sk);
        if connection.is_null() { 0 } else { (*connection).inode }
    }
}

#[inline(always)]
fn address(family: u16, six: [u8; 16], four: u32) -> [u8; 16] {
    if family == AF_INET6 {
        return six;
    }
    let mut address = [0; 16];
    address[..4].copy_from_slice(&four.to_ne_bytes());
    address
}

/// The route's gateway, where it has one. What stands in `sk_dst_cache` is a `rtable` or, of a socket whose packets are IPv6's, a
/// `rt6_info`.
#[inline(always)]
unsafe fn gateway(key: *mut RttKey, sk: *const u8) {
    const RTF_GATEWAY: u32 = 2;
    unsafe {
        let route = pointer(sk, offset!(sk_dst));
        if route.is_null() {
            return;
        }
        let family: u16 = shared!(sk, sk_family);
        let remote: [u32; 4] = shared!(sk, sk_v6_daddr);
        let is_mapped = remote[0] == 0 && remote[1] == 0 && remote[2] == 0xffff_u32.to_be();
        if family == AF_INET || is_mapped {
            let family: u8 = member!(route, rt_gateway_family);
            (*key).gateway_family = family.into();
            if u16::from(family) == AF_INET6 {
                (*key).gateway = member!(route, rt_gateway6);
            } else if u16::from(family) == AF_INET {
                let gateway: u32 = member!(route, rt_gateway4);
                (*key).gateway = address(AF_INET, [0; 16], gateway);
            }
        } else {
            let flags: u32 = member!(route, rt6_flags);
            if flags & RTF_GATEWAY != 0 {
                (*key).gateway_family = AF_INET6;
                (*key).gateway = member!(route, rt6_gateway);
            }
        }
    }
}
