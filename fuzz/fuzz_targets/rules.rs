//! Any bytes as a firewall's listing, by each of its readers; the first byte tells which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netdrop::counters::iptables::{Version, saved};
use netdrop::counters::{nft, nft_text};

fuzz_target!(|bytes: &[u8]| {
    let Some((which, listing)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(listing);
    match which % 3 {
        0 => drop(nft::rules(listing)),
        1 => drop(nft_text::texts(&text)),
        _ => drop(saved(&text, Version::V4)),
    }
});
