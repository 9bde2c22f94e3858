//! Any bytes as what the kernel tells of network cards, interrupts and CPUs; the first byte tells which.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use netdrop::counters::cpu_set::CpuSet;
use netdrop::counters::{cpu_times, ethtool_netlink, interrupts, losses};

fuzz_target!(|bytes: &[u8]| {
    let Some((which, answer)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(answer);
    match which % 5 {
        0 => drop(interrupts::parse(&text)),
        1 => drop(cpu_times::parse(&text)),
        2 => drop((CpuSet::of_mask(&text), CpuSet::of_list(&text))),
        3 => {
            let _ = (losses::trouble(&text), losses::receive_queue(&text));
        }
        _ => ethtool_netlink::add(&mut BTreeMap::new(), which / 5, answer),
    }
});
