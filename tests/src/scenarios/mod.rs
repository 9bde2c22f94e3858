//! The table, by subsystem.

mod attribution;
mod exactness;
mod failures;
mod filters;
mod ip;
mod ipv6;
mod knowledge;
mod lines;
mod link;
mod neighbour;
mod netfilter;
mod owner;
mod pcap;
mod recordings;
mod shape;
mod socket;
mod tc_xdp;
mod tcp;
mod udp;

use crate::scenario::Case;

/// All cases, in the order they run.
pub fn all() -> Vec<Case> {
    let tables = [
        udp::table(),
        tcp::table(),
        ip::table(),
        ipv6::table(),
        neighbour::table(),
        netfilter::table(),
        link::table(),
        tc_xdp::table(),
    ];
    let systems = [
        exactness::table(),
        filters::table(),
        knowledge::table(),
        lines::table(),
        owner::table(),
        socket::table(),
        pcap::table(),
        recordings::table(),
        attribution::table(),
        failures::table(),
    ];
    let scenarios = tables.into_iter().flatten().map(Case::Scenario);
    scenarios.chain(systems.into_iter().flatten().map(Case::System)).collect()
}
