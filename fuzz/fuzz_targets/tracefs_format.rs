//! Any text as the format file of `skb:kfree_skb`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netdrop::kernel::reasons::Reasons;

fuzz_target!(|text: &str| {
    if let Some(reasons) = Reasons::from_format(text) {
        assert!(reasons.iter().count() > 0);
    }
});
