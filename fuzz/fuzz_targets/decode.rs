//! Any bytes as an event of the ring buffer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netdrop::decode::{count_key, decode};

fuzz_target!(|bytes: &[u8]| {
    let Ok(drop) = decode(bytes) else { return };
    assert!(drop.header.bytes.len() <= bytes.len());
    // The packet may tell what the counter couldn't, but its link layer's protocol is the counter's.
    let counted = count_key(&drop.key).protocol.ethertype;
    assert!(counted == 0 || drop.packet.protocol.ethertype == counted);
    // A flow has both ends or none.
    assert_eq!(drop.packet.source.is_some(), drop.packet.destination.is_some());
    for vlan in drop.packet.vlans.iter().flatten() {
        assert!(vlan.id < 4096 && vlan.priority < 8);
    }
});
