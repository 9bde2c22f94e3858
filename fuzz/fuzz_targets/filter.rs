//! Any text as the value of a filter, an assertion, a duration or a size: what is accepted must mean what it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netdrop::assertion::Assertion;
use netdrop::filter::{parse_ports, parse_prefix, parse_protocol};
use netdrop::model::Summary;
use netdrop::units::{bytes, elapsed, parse_duration, parse_size, rate, thousands};

/// Suggestions compare with every name: longer texts are slow and find nothing else.
const LENGTH_MAX: usize = 64;

fuzz_target!(|text: &str| {
    if text.len() > LENGTH_MAX {
        return;
    }
    if let Ok(rule) = parse_prefix(text) {
        for (address, mask) in rule.address.iter().zip(rule.mask) {
            assert_eq!(address & mask, *address, "an address reaches beyond its prefix");
        }
    }
    if let Ok(range) = parse_ports(text) {
        assert!(range.first <= range.last);
    }
    let _ = parse_protocol(text);
    if let Ok(assertion) = text.parse::<Assertion>() {
        assertion.evaluate(&Summary::default());
    }
    if let Ok(time) = parse_duration(text) {
        assert!(!time.is_zero());
        let _ = (elapsed(time), rate(u64::MAX, time));
    }
    if let Ok(size) = parse_size(text) {
        assert!(size > 0);
        let _ = (bytes(size), thousands(size));
    }
});
