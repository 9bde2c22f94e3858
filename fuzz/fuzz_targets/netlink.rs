//! Any bytes as the kernel's answers about devices, filters, queues, sockets, connections and tables of neighbours, and as a driver's counters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netdrop::counters::{classifiers, ethtool, inet_sockets, links, neighbour_tables, qdiscs, tcp_stalls};
use netdrop::model::Direction;

fuzz_target!(|bytes: &[u8]| {
    let _ = links::link(bytes);
    let _ = classifiers::classifier(bytes, Direction::Ingress);
    let _ = (qdiscs::device(bytes), qdiscs::queue(bytes), tcp_stalls::parse(bytes));
    let _ = inet_sockets::parse(bytes);
    let _ = neighbour_tables::parse(bytes);
    let (names, values) = bytes.split_at(bytes.len() / 2);
    for (name, _) in ethtool::counters(names, values) {
        let _ = netdrop::counters::losses::loss(&name);
    }
});
