//! Any bytes as the kernel's build-id notes and as a file with debug information: lines, none, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netdrop::kernel::debug_info::{BuildId, frames_of_bytes};

fuzz_target!(|bytes: &[u8]| {
    if let Some(id) = BuildId::from_notes(bytes) {
        assert!(id.debug_path().ends_with(".debug"));
    }
    // Addresses of the fixtures' functions, in the kernel and in the module.
    for address in [0xffff_ffff_8100_0019, 0x100e] {
        if let Ok(frames) = frames_of_bytes(bytes, address) {
            assert!(frames.last().is_none_or(|outermost| !outermost.inlined));
        }
    }
});
