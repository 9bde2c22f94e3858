//! `netdrop doctor`: what is provoked is found, the printed remedy makes it go away, and where nothing is wrong it is silent. A file an area.

mod application;
mod conntrack;
mod general;
mod neighbour;
mod settings;
mod softirq;
mod tcp;
mod udp;

use std::time::Duration;

use crate::scenario::Case;

const PATIENCE: Duration = Duration::from_mins(1);

pub fn table() -> Vec<Case> {
    [
        general::table(),
        softirq::table(),
        neighbour::table(),
        conntrack::table(),
        udp::table(),
        tcp::table(),
        application::table(),
        settings::table(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
