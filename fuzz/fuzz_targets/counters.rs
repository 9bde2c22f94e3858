//! Any text as a file of counters, by each of the doctor's readers; the first byte tells which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netdrop::counters::cpu_table::CpuTable;
use netdrop::counters::protocols::Counters;
use netdrop::counters::softnet;

fuzz_target!(|bytes: &[u8]| {
    let Some((which, text)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    match which % 4 {
        0 => drop(softnet::parse(&text)),
        1 => drop(CpuTable::parse(&text)),
        2 => drop(Counters::parse(&text)),
        _ => drop(Counters::parse_v6(&text)),
    }
});
