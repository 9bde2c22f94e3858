//! Any bytes as what the kernel tells of software interrupts, neighbours and connection tracking, by each of the readers; the first byte tells which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netdrop::counters::{
    cpu_table, cpu_times, ksoftirqd, neighbour_tables, neighbours, received, softnet, tracked,
};

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    match which % 8 {
        0 => drop(softnet::parse(&text)),
        1 => drop(cpu_table::CpuTable::parse(&text)),
        2 => drop(cpu_times::parse(&text)),
        3 => drop(received::parse(&text)),
        4 => {
            let _ = (ksoftirqd::cpu_of(&text), ksoftirqd::waited(&text));
        }
        5 => drop(neighbour_tables::parse(rest)),
        6 => neighbours::Neighbours::default().add(rest),
        _ => {
            let mut tracked = tracked::Tracked::default();
            text.lines().for_each(|line| tracked.add(line));
            assert!(tracked.read <= text.lines().count() as u64);
        }
    }
});
