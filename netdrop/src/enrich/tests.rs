use std::io;

use netdrop_common::{Event, bytes_of};

use super::*;
use crate::decode::decode;

const KALLSYMS: &str = "ffffffff81000000 T icmp_rcv\nffffffff81000100 T _etext\n";
const KNOWN: u64 = 0xffff_ffff_8100_0004;
const NF_HOOK_SLOW: u64 = 0xffff_ffff_8100_0104;
const IP_FORWARD: u64 = 0xffff_ffff_8100_0204;
const UNKNOWN: u64 = 0xffff_ffff_9000_0000;

fn enricher() -> Enricher {
    Enricher::new("/nowhere", Reasons::built_in(""))
}

fn symbols() -> Result<Symbols, SymbolsError> {
    Symbols::read(KALLSYMS.as_bytes())
}

fn hidden() -> Result<Symbols, SymbolsError> {
    Err(io::Error::other("hidden").into())
}

/// The function of a drop at this address, empty where there is none; `None` when the drop must wait for it.
fn function(enricher: &mut Enricher, site: u64) -> Option<String> {
    let key = CounterKey { site, reason: REASON_NONE, ..CounterKey::default() };
    let event = Event { key, ..Event::default() };
    let raw = decode(bytes_of(&event)).unwrap();
    enricher.enrich(&raw, Beside::default(), |drop| drop.site.function.clone().unwrap_or_default())
}

#[test]
fn a_drop_waits_for_the_first_symbols() {
    let mut enricher = enricher();
    assert_eq!(function(&mut enricher, KNOWN), None);
    enricher.learn(symbols());
    assert_eq!(function(&mut enricher, KNOWN), Some("icmp_rcv".into()));
}

/// It waits for one reading, not for ever.
#[test]
fn an_address_that_no_symbol_covers_stays_unnamed_for_a_while() {
    let mut enricher = enricher();
    enricher.learn(symbols());
    assert_eq!(function(&mut enricher, UNKNOWN), Some(String::new()));
    enricher.symbols_read = Instant::now().checked_sub(SYMBOLS_AGAIN);
    enricher.turn();
    assert!(enricher.wants_symbols(UNKNOWN) && !enricher.wants_symbols(KNOWN));
    assert_eq!(function(&mut enricher, UNKNOWN), None);
}

#[test]
fn without_symbols_drops_are_unnamed_until_a_reading_succeeds() {
    let mut enricher = enricher();
    enricher.learn(hidden());
    assert_eq!(function(&mut enricher, KNOWN), Some(String::new()));
    enricher.learn(symbols());
    assert_eq!(function(&mut enricher, KNOWN), Some("icmp_rcv".into()));
}

#[test]
fn a_drop_waits_for_its_source_line_once_its_function_is_known() {
    let mut enricher = enricher();
    enricher.want_lines();
    assert!(!enricher.wants_line(KNOWN));
    enricher.learn(symbols());
    assert!(enricher.wants_line(KNOWN) && !enricher.wants_line(UNKNOWN));
    assert_eq!(function(&mut enricher, KNOWN), None);
    // A summary may name it meanwhile.
    assert_eq!(enricher.site(KNOWN).source, None);
    let source = Source { line: "net/ipv4/icmp.c:1".into(), inlined: Vec::new() };
    enricher.learn_line(KNOWN, Some(source.clone()));
    assert_eq!(function(&mut enricher, KNOWN), Some("icmp_rcv".into()));
    assert_eq!(enricher.site(KNOWN).source, Some(source));
}

#[test]
fn a_site_without_a_line_is_asked_for_once() {
    let mut enricher = enricher();
    enricher.want_lines();
    enricher.learn(symbols());
    enricher.learn_line(KNOWN, None);
    assert!(!enricher.wants_line(KNOWN));
    assert_eq!(function(&mut enricher, KNOWN), Some("icmp_rcv".into()));
}

#[test]
fn without_debug_information_nothing_waits_for_lines() {
    let mut enricher = enricher();
    enricher.learn(symbols());
    assert!(!enricher.wants_line(KNOWN));
}

/// A drop's call chain, named as far as it is shown, and what it tells of netfilter.
#[rstest::rstest]
#[case::what_it_tells(&[NF_HOOK_SLOW, IP_FORWARD], NF_HOOK_SLOW, false, Some("ip forward"), "")]
#[case::shown(&[NF_HOOK_SLOW, IP_FORWARD], NF_HOOK_SLOW, true, Some("ip forward"), "nf_hook_slow+0x4 ip_forward+0x4")]
#[case::no_chain(&[], NF_HOOK_SLOW, true, Some(""), "")]
#[case::netfilter_came_by(&[KNOWN, NF_HOOK_SLOW, IP_FORWARD], KNOWN, false, None, "")]
fn the_verdict_of_netfilters_drops(
    #[case] chain: &[u64],
    #[case] site: u64,
    #[case] shows: bool,
    #[case] expected: Option<&str>,
    #[case] stack: &str,
) {
    let mut enricher = enricher();
    if shows {
        enricher.show_stacks();
    }
    let kallsyms = "ffffffff81000000 T icmp_rcv\nffffffff81000100 T nf_hook_slow\n\
        ffffffff81000200 T ip_forward\nffffffff81000300 T _etext\n";
    enricher.learn(Symbols::read(kallsyms.as_bytes()));
    let key = CounterKey { site, reason: REASON_NONE, ..CounterKey::default() };
    let event = Event { key, ..Event::default() };
    let raw = decode(bytes_of(&event)).unwrap();
    let beside = Beside { chain: (!chain.is_empty()).then_some(chain), ..Beside::default() };
    let told = enricher.enrich(&raw, beside, |drop| {
        (drop.context.verdict.map(|verdict| verdict.to_string()), drop.context.stack.join(" "))
    });
    assert_eq!(told, Some((expected.map(str::to_owned), stack.to_owned())));
}
