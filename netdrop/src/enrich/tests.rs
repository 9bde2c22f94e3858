use std::io;

use netdrop_common::{Event, bytes_of};

use super::*;
use crate::decode::decode;
use crate::model::Workload;

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
    enricher.enrich(&raw, &mut (), |drop| drop.site.function.clone().unwrap_or_default())
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

/// One module goes and another comes to lie in its place, and further modules behind.
#[test]
fn a_module_in_the_place_of_another_is_not_taken_for_it() {
    const KERNEL: &str = "ffffffff81000000 T icmp_rcv\n";
    const OLD: &str = "ffffffffc0000000 t old_xmit\t[old]\nffffffffc0001000 t old_end\t[old]\n";
    const NEW: &str = "ffffffffc0000000 t new_xmit\t[new]\nffffffffc0002000 t next_xmit\t[next]\n";
    const SITES: [(u64, &str); 2] =
        [(0xffff_ffff_c000_0010, "new_xmit"), (0xffff_ffff_c000_2010, "next_xmit")];
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("proc")).unwrap();
    let modules = |text: &str| {
        std::fs::write(root.path().join("proc/modules"), text).unwrap();
        Loaded::read(root.path())
    };
    let read = |text: &str| Symbols::read((KERNEL.to_owned() + text).as_bytes());
    let mut enricher = Enricher::new(root.path(), Reasons::built_in(""));
    let old = modules("old 8192 0 - Live 0xffffffffc0000000\n");
    enricher.learn(Ok(read(OLD).unwrap().with_modules(old)));
    let site = 0xffff_ffff_c000_0008;
    assert_eq!(function(&mut enricher, site), Some("old_xmit".into()), "while it is there");

    let new = modules("next 4096 0 - Live 0xffffffffc0002000\nnew 8192 0 - Live 0xffffffffc0000000\n");
    for (site, _) in SITES {
        assert_eq!(function(&mut enricher, site), Some(String::new()), "too early for another reading");
    }
    enricher.turn();
    enricher.symbols_read = Instant::now().checked_sub(MODULES_AGAIN);
    for (site, _) in SITES {
        assert!(enricher.wants_symbols(site) && function(&mut enricher, site).is_none());
    }
    assert!(!enricher.wants_symbols(KNOWN), "the kernel's own functions stay where they are");
    enricher.learn(Ok(read(NEW).unwrap().with_modules(new)));
    for (site, name) in SITES {
        assert_eq!(function(&mut enricher, site), Some(name.into()));
    }
    assert_eq!(enricher.site(site).function.as_deref(), Some("old_xmit"), "what was dropped there before");
    enricher.symbols_read = Instant::now().checked_sub(MODULES_AGAIN);
    assert!(!enricher.wants_symbols(site + 0x100), "nothing has changed since");
}

/// Knows one trap.
#[derive(Debug)]
struct OneTrap(Vec<u64>);

impl TrapNames for OneTrap {
    fn trap(&mut self, site: u64) -> Option<Trap> {
        self.0.push(site);
        assert_eq!(self.0.len(), 1, "asked once for each: {:?}", self.0);
        Some(Trap { name: "tail_drop".into(), ..Trap::default() })
    }
}

#[test]
fn a_trap_needs_no_symbols_and_is_asked_for_once() {
    const SITE: u64 = 0x1234_5679;
    let mut enricher = enricher();
    let unknown = enricher.site(SITE ^ 8);
    assert_eq!(unknown.trap, Some(Trap::default()), "a trap that nobody knows is one all the same");
    enricher.with_traps(OneTrap(Vec::new()));
    for _ in 0..2 {
        assert_eq!(function(&mut enricher, SITE), Some(String::new()));
        enricher.turn();
    }
    assert_eq!(enricher.site(SITE).trap.as_ref().map(|trap| &*trap.name), Some("tail_drop"));
    assert!(!enricher.wants_symbols(SITE) && !enricher.wants_line(SITE));
}

/// Knows who lives in one namespace, and counts who asks for what.
#[derive(Default)]
struct Asked {
    drops: u32,
    namespaces: u32,
}

const INHABITED: u32 = 7;

impl Beyond for Asked {
    fn of(&mut self, _raw: &RawDrop<'_>, _place: Known<'_>) -> Beside {
        self.drops += 1;
        Beside::default()
    }

    fn in_netns(&mut self, inode: u32) -> Option<Arc<Workload>> {
        self.namespaces += 1;
        (inode == INHABITED)
            .then(|| Arc::new(Workload { unit: Some("web.service".into()), ..Workload::default() }))
    }
}

/// What belongs to a drop is asked for once, when nothing is to be waited for any more; of its namespace once an interval.
#[test]
fn nobody_is_asked_before_the_names_are_known() {
    let (mut enricher, mut asked) = (enricher(), Asked::default());
    let key = CounterKey { site: KNOWN, netns: INHABITED, reason: REASON_NONE, ..CounterKey::default() };
    let event = Event { key, ..Event::default() };
    let raw = decode(bytes_of(&event)).unwrap();
    let unit = |enricher: &mut Enricher, asked: &mut Asked| {
        enricher.enrich(&raw, asked, |drop| drop.netns.unwrap().workload.unit.clone().unwrap())
    };
    assert_eq!(unit(&mut enricher, &mut asked), None);
    assert_eq!((asked.drops, asked.namespaces), (0, 0));
    enricher.learn(symbols());
    for drops in 1..4 {
        assert_eq!(unit(&mut enricher, &mut asked).unwrap(), "web.service");
        assert_eq!((asked.drops, asked.namespaces), (drops, 1));
    }
    let mut names = Named { enricher: &mut enricher, beyond: &mut asked };
    assert_eq!(names.netns(INHABITED).workload.to_string(), "web.service");
    assert!(names.netns(8).workload.is_empty());
}

/// Knows a call chain.
struct Chained(Option<Arc<[u64]>>);

impl Beyond for Chained {
    fn of(&mut self, _raw: &RawDrop<'_>, _place: Known<'_>) -> Beside {
        Beside { chain: self.0.clone(), ..Beside::default() }
    }

    fn in_netns(&mut self, _inode: u32) -> Option<Arc<Workload>> {
        None
    }
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
    let mut beyond = Chained((!chain.is_empty()).then(|| chain.into()));
    let told = enricher.enrich(&raw, &mut beyond, |drop| {
        (drop.context.verdict.map(|verdict| verdict.to_string()), drop.context.stack.join(" "))
    });
    assert_eq!(told, Some((expected.map(str::to_owned), stack.to_owned())));
}
