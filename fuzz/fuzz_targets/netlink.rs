//! Any bytes as the kernel's answers about devices, filters, queues, sockets, connections and neighbours, and as a driver's counters.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use netdrop::counters::neighbours::Neighbours;
use netdrop::counters::{
    classifiers, ethtool, ethtool_netlink, inet_sockets, links, losses, neighbour_tables, qdiscs,
    queue_packets, tcp_connections, tcp_stalls,
};
use netdrop::model::Direction;

fuzz_target!(|bytes: &[u8]| {
    let _ = links::link(bytes);
    let _ = classifiers::classifier(bytes, Direction::Ingress);
    let _ = (qdiscs::device(bytes), qdiscs::queue(bytes), tcp_stalls::parse(bytes));
    let _ = (neighbour_tables::parse(bytes), queue_packets::parse(bytes));
    Neighbours::default().add(bytes);
    // A connection is a socket with more.
    let socket = inet_sockets::parse(bytes);
    assert_eq!(tcp_connections::parse(bytes).map(|connection| connection.socket), socket);
    if let Some((which, answer)) = bytes.split_first() {
        ethtool_netlink::add(&mut BTreeMap::new(), *which, answer);
    }
    let (names, values) = bytes.split_at(bytes.len() / 2);
    for (name, _) in ethtool::counters(names, values) {
        let _ = losses::loss(&name);
    }
});
