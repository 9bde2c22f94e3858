//! Any bytes as the kernel's answers about devices, filters, sockets and tables of neighbours, and as a driver's counters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netdrop::counters::{classifiers, ethtool, inet_sockets, links, neighbour_tables};
use netdrop::model::Direction;

fuzz_target!(|bytes: &[u8]| {
    let _ = links::link(bytes);
    let _ = classifiers::classifier(bytes, Direction::Ingress);
    let _ = inet_sockets::parse(bytes);
    let _ = neighbour_tables::parse(bytes);
    let (names, values) = bytes.split_at(bytes.len() / 2);
    for (name, _) in ethtool::counters(names, values) {
        let _ = netdrop::counters::losses::loss(&name);
    }
});
