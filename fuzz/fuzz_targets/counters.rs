//! Any text as a file of counters, by each of the doctor's readers; the first byte tells which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netdrop::counters::cpu_set::CpuSet;
use netdrop::counters::cpu_table::CpuTable;
use netdrop::counters::fragment_memory::FragmentMemory;
use netdrop::counters::protocols::Counters;
use netdrop::counters::sockstat::Sockstat;
use netdrop::counters::tracked::Tracked;
use netdrop::counters::{cpu_times, interrupts, ksoftirqd, losses, received, softnet};

fuzz_target!(|bytes: &[u8]| {
    let Some((which, text)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let (first, second) = text.split_at(text.floor_char_boundary(text.len() / 2));
    match which % 13 {
        0 => drop(softnet::parse(&text)),
        1 => drop(CpuTable::parse(&text)),
        2 => drop(Counters::parse(&text)),
        3 => drop(Counters::parse_v6(&text)),
        4 => drop(cpu_times::parse(&text)),
        5 => drop(received::parse(&text)),
        6 => {
            let _ = (ksoftirqd::cpu_of(&text), ksoftirqd::waited(&text));
        }
        7 => drop(interrupts::parse(&text)),
        8 => {
            let _ = (CpuSet::of_mask(&text), CpuSet::of_list(&text));
        }
        9 => {
            let _ = (losses::trouble(&text), losses::receive_queue(&text));
        }
        10 => drop(Sockstat::parse(&text)),
        11 => {
            let _ = FragmentMemory::parse(first, second);
        }
        _ => {
            let mut tracked = Tracked::default();
            text.lines().for_each(|line| tracked.add(line));
            assert!(tracked.read <= text.lines().count() as u64);
        }
    }
});
