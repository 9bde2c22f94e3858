//! Any bytes as kallsyms: every symbol must resolve to an address that its own ranges contain.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netdrop::kernel::symbols::Symbols;

fuzz_target!(|bytes: &[u8]| {
    let Ok(symbols) = Symbols::read(bytes) else { return };
    let probe = bytes.first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk));
    for address in [0, probe, 0xffff_ffff_8100_0000, u64::MAX] {
        if let Some(found) = symbols.resolve(address) {
            let ranges = symbols.ranges(found.name).expect("a name that resolves has ranges");
            assert!(ranges.iter().any(|range| range.contains(&address)));
        }
    }
});
