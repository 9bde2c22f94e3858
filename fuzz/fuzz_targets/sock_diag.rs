//! Any bytes as the kernel's answers about sockets, and as its text of how many there are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netdrop::counters::protocols::Counters;
use netdrop::counters::sockstat::Sockstat;
use netdrop::counters::{inet_sockets, tcp_connections};

fuzz_target!(|bytes: &[u8]| {
    // A connection is a socket with more.
    let socket = inet_sockets::parse(bytes);
    assert_eq!(tcp_connections::parse(bytes).map(|connection| connection.socket), socket);
    let text = String::from_utf8_lossy(bytes);
    let _ = (Sockstat::parse(&text), Counters::parse(&text), Counters::parse_v6(&text));
});
