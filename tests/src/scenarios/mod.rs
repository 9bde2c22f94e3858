//! The table, by subsystem.

mod ip;
mod ipv6;
mod link;
mod neighbour;
mod netfilter;
mod shape;
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
    tables.into_iter().flatten().map(Case::Scenario).collect()
}
