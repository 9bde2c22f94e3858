//! The table, by subsystem.

mod attribution;
mod bridge;
mod classes;
mod devlink;
mod doctor;
mod exactness;
mod failures;
mod filters;
mod fragments;
mod ip;
mod ipv6;
mod knowledge;
mod lasting;
mod lines;
mod link;
mod ndisc;
mod neighbour;
mod netfilter;
mod owned;
mod owner;
mod packet;
mod pcap;
mod recordings;
mod reused;
mod run;
mod shape;
mod soak;
mod socket;
mod standstill;
mod tc_xdp;
mod tcp;
mod tcp_accounts;
mod tcp_auth;
mod tcp_beside;
mod tcp_handshake;
mod tcp_life;
mod tcp_owners;
mod tcp_resets;
mod tcp_retransmits;
mod tcp_rtt;
mod tcp_segments;
mod tcp_states;
mod tun;
mod tunnel;
mod udp;
mod unix;
mod verdicts;
mod whose;

pub use run::unread;

use crate::scenario::Case;

/// All cases, in the order they run.
pub fn all() -> Vec<Case> {
    let tables = [
        udp::table(),
        tcp::table(),
        tcp_handshake::table(),
        tcp_segments::table(),
        tcp_auth::table(),
        ip::table(),
        fragments::table(),
        ipv6::table(),
        ndisc::table(),
        neighbour::table(),
        netfilter::table(),
        link::table(),
        bridge::table(),
        tunnel::table(),
        tun::table(),
        tc_xdp::table(),
        packet::table(),
        unix::table(),
    ];
    let systems = [
        exactness::table(),
        filters::table(),
        classes::table(),
        whose::table(),
        tcp_life::table(),
        tcp_resets::table(),
        tcp_states::table(),
        tcp_owners::table(),
        tcp_accounts::table(),
        tcp_retransmits::table(),
        tcp_rtt::table(),
        tcp_beside::table(),
        knowledge::table(),
        lines::table(),
        owner::table(),
        socket::table(),
        owned::table(),
        pcap::table(),
        recordings::table(),
        attribution::table(),
        devlink::table(),
        verdicts::table(),
        failures::table(),
        run::table(),
        reused::table(),
        lasting::table(),
        standstill::table(),
        soak::table(),
    ];
    let scenarios = tables.into_iter().flatten().map(Case::Scenario);
    scenarios.chain(systems.into_iter().flatten().map(Case::System)).chain(doctor::table()).collect()
}
