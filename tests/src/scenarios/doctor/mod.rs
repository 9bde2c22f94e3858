//! `netdrop doctor`: what is provoked is found, the printed remedy makes it go away, and where nothing is wrong it is silent. A file an area.

mod application;
mod conntrack;
mod general;
mod link;
mod neighbour;
mod netfilter;
mod nic;
mod qdisc;
mod routing;
mod settings;
mod silence;
mod softirq;
mod tcp;
mod tcp_buffers;
mod tcp_loss;
mod tcp_ports;
mod tcp_speed;
mod ties;
mod udp;
mod udp_refused;

use std::time::Duration;

use crate::scenario::Case;

const PATIENCE: Duration = Duration::from_mins(1);

pub fn table() -> Vec<Case> {
    [
        general::table(),
        link::table(),
        nic::table(),
        softirq::table(),
        neighbour::table(),
        conntrack::table(),
        netfilter::table(),
        routing::table(),
        qdisc::table(),
        udp::table(),
        udp_refused::table(),
        tcp::table(),
        tcp_ports::table(),
        tcp_buffers::table(),
        tcp_loss::table(),
        tcp_speed::table(),
        application::table(),
        settings::table(),
        silence::table(),
        ties::table(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
