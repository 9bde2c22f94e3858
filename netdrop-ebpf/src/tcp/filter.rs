//! Whether the user wants to see an event. Who sends the segment is the source.

use netdrop_common::{
    AF_INET, AF_INET6, AddressRule, DeviceRule, NetnsRule, OWNER_CGROUP, OWNER_EXCLUDED, OWNER_NETNS,
    OWNER_SOCKET, OWNER_TASK, PortRule, ProtocolRule, protocol, tcp::TASK_NONE,
};

use crate::{
    constants::rules,
    ends::Ends,
    event::Subject,
    member::{setting, shared},
    packet::{Addresses, ETH_P_IP, ETH_P_IPV6, Ports},
    rules::{each_rule, is_address, is_port, of_owner},
    socket,
};

/// Whether the event passes: no negated rule matches, and every group that has rules has one that does.
#[inline(always)]
pub unsafe fn passes(subject: &Subject) -> bool {
    if setting!(filtered) == 0 {
        return true;
    }
    let mut matched = 0;
    let device = unsafe { subject.device() };
    let netns = unsafe { subject.netns(device) };
    if rules!(owners) != 0 {
        let owners = unsafe { owners(subject, netns) };
        if owners & OWNER_EXCLUDED != 0 {
            return false;
        }
        matched |= owners;
    }
    each_rule!(matched, namespaces, netns: NetnsRule, |rule| rule.matches.inode == netns);
    if rules!(devices) != 0 {
        let ifindex: u32 = unsafe { shared!(device, dev_ifindex) };
        let name: [u64; 2] = unsafe { shared!(device, dev_name) };
        each_rule!(matched, devices, device: DeviceRule, |rule| {
            let rule = rule.matches;
            if rule.ifindex == 0 {
                rule.name[0] == name[0] && rule.name[1] == name[1]
            } else {
                rule.ifindex == ifindex && rule.netns == netns
            }
        });
    }
    if rules!(protocols) != 0 || rules!(addresses) != 0 || rules!(ports) != 0 {
        let ends = unsafe { subject.ends() };
        each_rule!(matched, protocols, protocol: ProtocolRule, |rule| is_protocol(&ends, rule.matches));
        let packet = addresses(&ends, subject.is_remote);
        each_rule!(matched, addresses, address: AddressRule, |rule| is_address(&packet, &rule));
        if let Some(ports) = &packet.ports {
            each_rule!(matched, ports, port: PortRule, |rule| is_port(ports, &rule));
        }
    }
    let required = rules!(required);
    matched & required == required
}

/// The groups that the event's namespace and its socket match, or the bit that they are left out.
#[inline(always)]
unsafe fn owners(subject: &Subject, netns: u32) -> u32 {
    let kinds = rules!(owners);
    let mut matched = 0;
    if kinds & OWNER_NETNS != 0 {
        matched |= unsafe { of_owner(netns.into(), OWNER_NETNS) };
    }
    if kinds & OWNER_CGROUP != 0 && subject.is_whole {
        matched |= unsafe { of_owner(socket::cgroup(subject.sk), OWNER_CGROUP) };
    }
    if kinds & OWNER_SOCKET != 0 {
        matched |= unsafe { of_owner(subject.inode(), OWNER_SOCKET) };
    }
    // The socket may be younger than user space's last look.
    let connection = subject.connection;
    if kinds & OWNER_TASK != 0 && !connection.is_null() && unsafe { (*connection).task_at } != TASK_NONE {
        matched |= unsafe { of_owner((*connection).task.pid.into(), OWNER_TASK) };
    }
    matched
}

/// As on the wire: a v4-mapped socket's packets are IPv4's.
#[inline(always)]
fn is_protocol(ends: &Ends, rule: ProtocolRule) -> bool {
    let is_mapped = ends.remote[0] == 0 && ends.remote[1] == 0 && ends.remote[2] == MAPPED;
    let ethertype = if ends.family == AF_INET6 && !is_mapped { ETH_P_IPV6 } else { ETH_P_IP };
    (rule.ethertype == 0 || rule.ethertype == ethertype)
        && (rule.ip_protocol == ProtocolRule::ANY || rule.ip_protocol == u16::from(protocol::TCP))
}

const MAPPED: u32 = 0xffff_u32.to_be();

#[inline(always)]
fn addresses(ends: &Ends, is_remote: bool) -> Addresses {
    let (mut local, mut remote) = (ends.local, ends.remote);
    if ends.family == AF_INET {
        (local, remote) = ([0, 0, MAPPED, local[0]], [0, 0, MAPPED, remote[0]]);
    }
    if is_remote {
        let ports = Some(Ports { source: ends.remote_port, destination: ends.local_port });
        return Addresses { source: remote, destination: local, ports };
    }
    let ports = Some(Ports { source: ends.local_port, destination: ends.remote_port });
    Addresses { source: local, destination: remote, ports }
}
