//! Whether the user wants to see a drop. Rules are constants: kinds without rules cost nothing.

use aya_ebpf::{
    EbpfContext,
    macros::map,
    maps::{Array, HashMap},
};
use netdrop_common::{
    AddressRule, DeviceRule, Filter, FunctionRule, MAX_PIECES, NetnsRule, OWNER_CGROUP, OWNER_EXCLUDED,
    OWNER_NETNS, OWNER_SOCKET, Piece, PortRule, ProtocolRule, REASON_BY_SITE, REASON_EXCLUDED,
    REASON_INCLUDED, group,
};

use crate::{
    constants::{rules, setting},
    key::Subject,
    memory::{Memory, load},
    packet,
    rules::{each_rule, is_address, is_port, of_owner},
    socket,
};

/// The reasons that `--reason` and `--class` name; user space sets the size. All its memory is taken at once: kernels before
/// 6.1 warn of programs on raw tracepoints that might take more.
#[map]
static REASONS: HashMap<u32, u32> = HashMap::with_max_entries(1, 0);

/// What `--class` decides by the site, in the order of addresses. User space sets the size: one, unless it is asked.
#[map]
static SITES: Array<[Piece; MAX_PIECES]> = Array::with_max_entries(1, 0);

/// Whether the drop passes: no negated rule matches, and every group that has rules has one that does.
#[inline(always)]
pub unsafe fn passes<M: Memory>(context: &impl EbpfContext, subject: &Subject) -> bool {
    if setting!(filtered) == 0 {
        return true;
    }
    let mut matched = 0;
    if rules!(reasons) != 0 {
        // SAFETY: the map is only written before the program is attached.
        let mut verdict = unsafe { REASONS.get(subject.key.reason) }.copied().unwrap_or(0);
        if rules!(sites) != 0 && verdict == REASON_BY_SITE {
            verdict = unsafe { of_site(subject.key.site) };
        }
        match verdict {
            REASON_EXCLUDED => return false,
            REASON_INCLUDED => matched |= group::REASON,
            _ => {}
        }
    }
    if rules!(owners) != 0 {
        let owners = unsafe { owners(context, subject) };
        if owners & OWNER_EXCLUDED != 0 {
            return false;
        }
        matched |= owners;
    }
    let key = &subject.key;
    each_rule!(matched, functions, function: FunctionRule, |rule| {
        rule.matches.start < key.site && key.site <= rule.matches.end
    });
    each_rule!(matched, namespaces, netns: NetnsRule, |rule| rule.matches.inode == key.netns);
    each_rule!(matched, protocols, protocol: ProtocolRule, |rule| is_protocol(subject, rule.matches));
    if rules!(devices) != 0 {
        let name = unsafe { device_name::<M>(subject) };
        each_rule!(matched, devices, device: DeviceRule, |rule| is_device(subject, name, rule.matches));
    }
    if rules!(addresses) != 0 || rules!(ports) != 0 {
        let with_ports = rules!(ports) != 0;
        if let Some(packet) = unsafe { packet::addresses(key.ethertype, &subject.network, with_ports) } {
            each_rule!(matched, addresses, address: AddressRule, |rule| is_address(&packet, &rule));
            if let Some(ports) = &packet.ports {
                each_rule!(matched, ports, port: PortRule, |rule| is_port(ports, &rule));
            }
        }
    }
    let required = rules!(required);
    matched & required == required
}

/// What is decided of drops at this address. A binary search without branches: the verifier would follow each way of each.
#[inline(always)]
unsafe fn of_site(site: u64) -> u32 {
    let Some(pieces) = SITES.get_ptr(0) else { return 0 };
    let pieces = pieces.cast::<Piece>();
    let mut at = 0;
    let mut step = MAX_PIECES / 2;
    while step > 0 {
        // Addresses of code differ by less than half of what they may be: the sign tells which is greater.
        let start =
            unsafe { (&raw const (*pieces.add((at + step) & (MAX_PIECES - 1))).start).read_volatile() };
        let is_after = (site.wrapping_sub(start) as i64 >> 63) as usize;
        at += step & !is_after;
        step /= 2;
    }
    unsafe { (&raw const (*pieces.add(at & (MAX_PIECES - 1))).verdict).read_volatile() as u32 }
}

/// The groups that the drop's namespace and its socket match, or the bit that they are left out.
#[inline(always)]
unsafe fn owners(context: &impl EbpfContext, subject: &Subject) -> u32 {
    let kinds = rules!(owners);
    let mut matched = 0;
    if kinds & OWNER_NETNS != 0 {
        matched |= unsafe { of_owner(subject.key.netns.into(), OWNER_NETNS) };
    }
    if kinds & (OWNER_CGROUP | OWNER_SOCKET) != 0 && !subject.drop.is_trapped {
        let sk = unsafe { socket::whole_of(context, subject.drop.skb) };
        if !sk.is_null() {
            if kinds & OWNER_CGROUP != 0 {
                matched |= unsafe { of_owner(socket::cgroup(sk), OWNER_CGROUP) };
            }
            if kinds & OWNER_SOCKET != 0 {
                matched |= unsafe { of_owner(socket::inode(sk), OWNER_SOCKET) };
            }
        }
    }
    matched
}

#[inline(always)]
fn is_protocol(subject: &Subject, rule: ProtocolRule) -> bool {
    let key = &subject.key;
    let ethertype = rule.ethertype == 0 || rule.ethertype == key.ethertype;
    let ip = rule.ip_protocol == ProtocolRule::ANY
        || (key.flags != 0 && rule.ip_protocol == u16::from(key.ip_protocol));
    ethertype && ip
}

#[inline(always)]
unsafe fn device_name<M: Memory>(subject: &Subject) -> [u64; 2] {
    if subject.device.is_null() {
        return [0; 2];
    }
    unsafe { [load!(M, subject.device, dev_name), load!(M, subject.device.wrapping_add(8), dev_name)] }
}

#[inline(always)]
fn is_device(subject: &Subject, name: [u64; 2], rule: DeviceRule) -> bool {
    if rule.ifindex != 0 {
        return subject.device.is_null()
            && rule.ifindex == subject.key.ifindex
            && rule.netns == subject.key.netns;
    }
    rule.name[0] == name[0] && rule.name[1] == name[1]
}

const _: () = assert!(size_of::<Filter>() < 1 << 15, "rules must fit the read-only section's offsets");
