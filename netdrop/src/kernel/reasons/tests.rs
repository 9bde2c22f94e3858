use std::fs;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::kernel::fixtures;

fn of(kernel: &str) -> Reasons {
    let bytes = fixtures::btf(kernel);
    Reasons::from_btf(&Btf::parse(&bytes).unwrap()).unwrap()
}

#[rstest]
#[case("6.1", 2, "NO_SOCKET", 66)]
#[case("6.12", 3, "NO_SOCKET", 104)]
#[case("6.18", 1, "CONSUMED", 127)]
#[case("7.3", 3, "NO_SOCKET", 135)]
fn names_come_from_the_kernels_own_enum(
    #[case] kernel: &str,
    #[case] number: u32,
    #[case] name: &str,
    #[case] count: usize,
) {
    let reasons = of(kernel);
    assert_eq!(reasons.source(), Source::Btf);
    assert_eq!(reasons.name(number).map(AsRef::as_ref), Some(name));
    assert_eq!(reasons.number(name), Ok(number));
    assert_eq!(reasons.iter().count(), count);
}

#[test]
fn a_kernel_without_reasons_says_so() {
    let bytes = fixtures::btf("5.10");
    let btf = Btf::parse(&bytes).unwrap();
    assert!(Reasons::from_btf(&btf).is_none());
    let reasons = Reasons::load(Some(&btf), None, "5.10.0-46-cloud-amd64");
    assert_eq!((reasons.source(), reasons.iter().count()), (Source::None, 0));
}

#[rstest]
#[case("6.1", &["core"])]
#[case("6.12", &["core", "mac80211_unusable", "mac80211_monitor", "openvswitch"])]
#[case("7.3", &["core", "mac80211_unusable", "openvswitch", "qdisc"])]
fn subsystems_are_listed(#[case] kernel: &str, #[case] expected: &[&str]) {
    let reasons = of(kernel);
    let names: Vec<&str> = reasons.subsystems().map(|(_, name)| name.as_ref()).collect();
    assert_eq!(names, expected);
}

#[test]
fn subsystem_reasons_keep_the_names_that_the_kernel_prints() {
    let reasons = of("7.3");
    let overlimit = reasons.number("qdisc_drop_overlimit").unwrap();
    assert_eq!(overlimit, (3 << 16) + 2);
    assert_eq!(reasons.subsystem(overlimit).map(AsRef::as_ref), Some("qdisc"));
    assert_eq!(reasons.name(3 << 16), None, "the subsystem's base is no reason");
}

#[rstest]
#[case("no_socket")]
#[case("SKB_DROP_REASON_NO_SOCKET")]
#[case("skb_drop_reason_no_socket")]
fn names_are_found_however_they_are_written(#[case] name: &str) {
    assert_eq!(of("6.12").number(name), Ok(3));
}

#[rstest]
#[case("SKB_CSUM")]
#[case("skb_drop_reason_skb_csum")]
#[case("SKB_GSO_SEG")]
fn names_that_begin_like_a_prefix_are_found(#[case] name: &str) {
    let reasons = of("7.3");
    let number = reasons.number(name).unwrap();
    assert!(name.to_ascii_uppercase().ends_with(&**reasons.name(number).unwrap()));
}

#[rstest]
#[case("NO_SOKET", "this kernel has no drop reason `NO_SOKET`; did you mean `NO_SOCKET`?")]
#[case(
    "tcp_listen_overflw",
    "this kernel has no drop reason `tcp_listen_overflw`; did you mean `TCP_LISTEN_OVERFLOW`?"
)]
#[case("qqq", "this kernel has no drop reason `qqq`")]
fn an_unknown_name_gets_a_suggestion(#[case] name: &str, #[case] message: &str) {
    assert_eq!(of("7.3").number(name).unwrap_err().to_string(), message);
}

/// A made-up /sys/kernel/btf with the 7.3 kernel and the given modules.
fn tree(modules: &[(&str, &[u8])]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let kernel = fixtures::btf("7.3");
    for (name, bytes) in [("vmlinux", &kernel[..])].iter().chain(modules) {
        crate::made_up::file(root.path(), &format!("sys/kernel/btf/{name}"), bytes);
    }
    root
}

const OVS_LAST_ACTION: u32 = (2 << 16) + 1;

#[rstest]
#[case::by_its_own_name("openvswitch")]
#[case::under_another_name("zzz")]
fn a_modules_reasons_are_found_when_met(#[case] module: &str) {
    let openvswitch = fixtures::btf("7.3-openvswitch");
    let root = tree(&[("broken", b"no BTF"), (module, &openvswitch)]);
    let mut reasons = of("7.3");
    assert_eq!(reasons.name(OVS_LAST_ACTION), None);
    assert_eq!(reasons.name_or_search(OVS_LAST_ACTION, root.path()).as_deref(), Some("OVS_DROP_LAST_ACTION"));
    assert!(reasons.number("OVS_DROP_METER").is_ok());
}

#[test]
fn a_subsystem_is_searched_for_once() {
    let root = tree(&[]);
    let mut reasons = of("7.3");
    assert_eq!(reasons.name_or_search(OVS_LAST_ACTION, root.path()), None);
    fs::write(root.path().join("sys/kernel/btf/openvswitch"), fixtures::btf("7.3-openvswitch")).unwrap();
    assert_eq!(reasons.name_or_search(OVS_LAST_ACTION + 1, root.path()), None);
}

#[test]
fn no_modules_at_all_is_no_error() {
    let mut reasons = of("7.3");
    assert_eq!(reasons.name_or_search(OVS_LAST_ACTION, "/nowhere".as_ref()), None);
    assert_eq!(reasons.name_or_search(9999, "/nowhere".as_ref()), None);
    assert_eq!(reasons.name_or_search(77 << 16, "/nowhere".as_ref()), None);
    reasons.search_all("/nowhere".as_ref());
}

const FORMAT: &str = r#"name: kfree_skb
print fmt: "skbaddr=%p reason: %s", REC->skbaddr, __print_symbolic(REC->protocol, { 8, "OTHER" }), __print_symbolic(REC->reason, { 2, "NOT_SPECIFIED" }, { 0x3, "NO_SOCKET" }, { SKB_X, "BY_NAME" }, { 128, "MAX" })
"#;

#[test]
fn tracefs_is_the_second_source() {
    let reasons = Reasons::load(None, Some(FORMAT), "6.12.1");
    assert_eq!(reasons.source(), Source::TracefsFormat);
    let names: Vec<_> = reasons.iter().map(|(number, name)| (number, name.as_ref())).collect();
    assert_eq!(names, [(2, "NOT_SPECIFIED"), (3, "NO_SOCKET")]);
}

/// The built-in table is the five kernels' own.
#[rstest]
#[case("6.1", "6.1.192")]
#[case("6.12", "6.12.117+deb12-cloud-amd64")]
#[case("6.18", "6.18")]
#[case("7.3", "7.3-rc1")]
fn built_in_names_are_the_last_resort(#[case] kernel: &str, #[case] release: &str) {
    let built_in = Reasons::load(None, Some("no symbols"), release);
    assert_eq!(built_in.source(), Source::BuiltIn);
    let core: Vec<_> = of(kernel)
        .iter()
        .filter(|(number, _)| *number <= 0xffff)
        .map(|(n, name)| (n, name.clone()))
        .collect();
    assert_eq!(built_in.iter().map(|(n, name)| (n, name.clone())).collect::<Vec<_>>(), core);
}

#[rstest]
#[case("6.13.1")]
#[case("")]
#[case("reason")]
#[case("#")]
fn a_release_without_a_table_leaves_numbers(#[case] release: &str) {
    assert_eq!(Reasons::built_in(release).source(), Source::None);
}

proptest! {
    #[test]
    fn any_format_file_is_safe(text in any::<String>(), cut in any::<prop::sample::Index>()) {
        let _ = Reasons::from_format(&text);
        let _ = Reasons::from_format(&FORMAT[..cut.index(FORMAT.len())]);
        let _ = Reasons::from_format(&format!("__print_symbolic(REC->reason,{text}"));
    }

    #[test]
    fn any_name_is_safe_to_look_up(name in any::<String>()) {
        prop_assert!(of("6.1").number(&name).is_err() || name.to_ascii_uppercase().is_ascii());
    }
}
