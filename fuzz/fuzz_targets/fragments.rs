//! Any bytes as the lines of `/proc/net/sockstat` and `sockstat6` that tell of fragments.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netdrop::counters::fragment_memory::FragmentMemory;

fuzz_target!(|bytes: &[u8]| {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let _ = FragmentMemory::parse(&String::from_utf8_lossy(first), &String::from_utf8_lossy(second));
});
