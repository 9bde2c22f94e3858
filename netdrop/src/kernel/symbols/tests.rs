use std::fmt::Write as _;

use proptest::prelude::*;
use rstest::rstest;

use super::*;

const KALLSYMS: &str = "\
0000000000000000 A fixed_percpu_data
ffffffff81000000 t local_alias
ffffffff81000000 T a_long_global_alias
ffffffff81000000 T global_alias
ffffffff81000000 W weak
ffffffff81000100 T icmp_rcv
ffffffff81000200 t icmp_rcv.cold
ffffffff81000300 t icmp_rcv.isra.0
ffffffff81000400 t icmp_rcv.part.0.constprop.0
ffffffff81000500 t twice
ffffffff81000600 t twice
ffffffff81000700 T last
ffffffff81000800 T _etext
ffffffff82000000 D data
ffffffff83000000 T in_init_text
ffffffffc0200000 t module_function\t[openvswitch]
ffffffffc0200080 T module_last\t[openvswitch]
ffffffffc0201000 t bpf_prog_6deef7357e7b4530_x\t[bpf]
";

fn symbols() -> Symbols {
    Symbols::read(KALLSYMS.as_bytes()).unwrap()
}

#[rstest]
#[case::global_and_short_wins(0xffff_ffff_8100_0000, Some(("global_alias", 0, None)))]
#[case::offset(0xffff_ffff_8100_011c, Some(("icmp_rcv", 0x1c, None)))]
#[case::split_part(0xffff_ffff_8100_0204, Some(("icmp_rcv.cold", 4, None)))]
#[case::last_byte(0xffff_ffff_8100_07ff, Some(("last", 0xff, None)))]
#[case::behind_the_text(0xffff_ffff_8100_0801, None)]
#[case::data(0xffff_ffff_8200_0000, None)]
#[case::before_all(0xffff_ffff_80ff_ffff, None)]
#[case::module(0xffff_ffff_c020_0010, Some(("module_function", 0x10, Some("openvswitch"))))]
#[case::module_last(0xffff_ffff_c020_0fff, Some(("module_last", 0xf7f, Some("openvswitch"))))]
#[case::bpf(0xffff_ffff_c020_1001, Some(("bpf_prog_6deef7357e7b4530_x", 1, Some("bpf"))))]
#[case::far_behind_the_last(0xffff_ffff_c030_0000, None)]
#[case::zero(0, None)]
#[case::top(u64::MAX, None)]
fn address_resolves(#[case] address: u64, #[case] expected: Option<(&str, u64, Option<&str>)>) {
    let symbols = symbols();
    let found = symbols.resolve(address).map(|found| (found.name, found.offset, found.module));
    assert_eq!(found, expected);
}

/// What is selected is what resolves to it.
#[test]
fn functions_are_selected_by_name() {
    let symbols = symbols();
    let selected = symbols.select(|name| name.contains("alias").then_some(1));
    assert_eq!(selected, [(0xffff_ffff_8100_0000..0xffff_ffff_8100_0100, 1)]);
    let icmp = symbols.select(|name| name.starts_with("icmp_rcv").then_some(()));
    assert_eq!(icmp.len(), 4);
    for (range, ()) in icmp {
        for inside in [range.start, range.end - 1] {
            assert!(symbols.resolve(inside).is_some_and(|found| found.name.starts_with("icmp_rcv")));
        }
    }
}

/// BPF programs of arm64 lie terabytes away from the text.
#[test]
fn distant_symbols_resolve() {
    let text = "ffff800080000000 T text\nffffd00000000000 t bpf_prog_1\t[bpf]\n0000000000001000 T low\n";
    let symbols = Symbols::read(text.as_bytes()).unwrap();
    for (address, name) in
        [(0x1004, "low"), (0xffff_8000_8000_0004, "text"), (0xffff_d000_0000_0004, "bpf_prog_1")]
    {
        let found = symbols.resolve(address).unwrap();
        assert_eq!((found.name, found.offset), (name, 4));
    }
}

#[rstest]
#[case("icmp_rcv", &[0x100, 0x200, 0x300, 0x400])]
#[case("icmp_rcv.cold", &[0x200])]
#[case("twice", &[0x500, 0x600])]
#[case("weak", &[0])]
fn function_has_all_its_ranges(#[case] name: &str, #[case] starts: &[u64]) {
    let expected: Vec<_> =
        starts.iter().map(|start| 0xffff_ffff_8100_0000 + start..0xffff_ffff_8100_0100 + start).collect();
    assert_eq!(symbols().ranges(name).unwrap(), expected);
}

#[test]
fn unknown_function_gets_a_suggestion() {
    let error = symbols().ranges("icmp_rvc").unwrap_err();
    assert_eq!(error.to_string(), "this kernel has no function `icmp_rvc`; did you mean `icmp_rcv`?");
    assert_eq!(symbols().ranges("quux").unwrap_err().suggestion, None);
}

#[rstest]
#[case("", "the kernel lists no functions (CONFIG_KALLSYMS is off?): functions stay unnamed")]
#[case(
    "ffffffff82000000 D data\n",
    "the kernel lists no functions (CONFIG_KALLSYMS is off?): functions stay unnamed"
)]
#[case(
    "0000000000000000 T a\n0000000000000000 T b\n",
    "the kernel hides its addresses (kernel.kptr_restrict): functions stay unnamed; run as root or with CAP_SYSLOG, or set kernel.kptr_restrict to 1"
)]
#[case("ffffffff82000000 D data\nxyz T a\n", "line 2 of the kernel's symbols is malformed")]
#[case("ffffffff82000000 TT a\n", "line 1 of the kernel's symbols is malformed")]
#[case("ffffffff82000000 T a\t[open\n", "line 1 of the kernel's symbols is malformed")]
#[case("ffffffff82000000 T \n", "line 1 of the kernel's symbols is malformed")]
fn unusable_kallsyms_says_why(#[case] text: &str, #[case] message: &str) {
    assert_eq!(Symbols::read(text.as_bytes()).unwrap_err().to_string(), message);
}

/// 200,000 functions with names of a real kernel's mean length stay below 7 MB; a real kernel has about 120,000.
#[test]
fn table_is_compact() {
    let mut text = String::new();
    for at in 0..200_000_u64 {
        writeln!(text, "{:016x} t a_function_of_{at:08}", 0xffff_ffff_8100_0000 + at * 64).unwrap();
    }
    let symbols = Symbols::read(text.as_bytes()).unwrap();
    assert!(symbols.memory() <= 200_000 * (8 + 23), "{}", symbols.memory());
}

proptest! {
    #[test]
    fn any_text_is_safe(bytes in prop::collection::vec(any::<u8>(), 0..256), address in any::<u64>()) {
        if let Ok(symbols) = Symbols::read(&bytes[..]) {
            let _ = symbols.resolve(address);
            let _ = symbols.ranges("a");
        }
    }

    #[test]
    fn what_is_written_resolves(addresses in prop::collection::btree_set(1..u64::MAX, 1..50), probe in any::<u64>()) {
        let mut text = String::new();
        for (at, address) in addresses.iter().enumerate() {
            writeln!(text, "{address:016x} T f{at}").unwrap();
        }
        let symbols = Symbols::read(text.as_bytes()).unwrap();
        for (at, address) in addresses.iter().enumerate() {
            let found = symbols.resolve(*address).unwrap();
            prop_assert_eq!(found.name, format!("f{at}"));
            prop_assert_eq!(found.offset, 0);
            let ranges = symbols.ranges(found.name).unwrap();
            prop_assert!(ranges[0].contains(address));
        }
        if let Some(found) = symbols.resolve(probe) {
            prop_assert!(addresses.contains(&(probe - found.offset)));
        }
    }
}
