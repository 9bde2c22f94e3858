use rstest::rstest;

use super::*;
use crate::kernel::fixtures;

/// (kernel, arguments of `kfree_skb`)
const KERNELS: [(&str, usize); 5] = [("5.10", 2), ("6.1", 3), ("6.12", 4), ("6.18", 4), ("7.3", 4)];

#[test]
fn layouts_of_the_five_kernels() {
    for (kernel, arguments) in KERNELS {
        let bytes = fixtures::btf(kernel);
        let btf = Btf::parse(&bytes).unwrap();
        insta::assert_debug_snapshot!(format!("layout-{kernel}"), Layout::from_btf(&btf).unwrap());
        let tracepoint = KfreeSkb::from_btf(&btf).unwrap();
        assert_eq!(tracepoint.arguments, arguments, "{kernel}");
        assert_eq!(tracepoint.has_reason(), kernel != "5.10");
    }
}

/// A VLAN tag's presence is a word since 6.2 and was a bit-field before: one of them is always there.
#[rstest]
#[case("5.10", false)]
#[case("6.1", false)]
#[case("6.12", true)]
#[case("6.18", true)]
#[case("7.3", true)]
fn vlan_presence_is_known(#[case] kernel: &str, #[case] as_word: bool) {
    let bytes = fixtures::btf(kernel);
    let layout = Layout::from_btf(&Btf::parse(&bytes).unwrap()).unwrap();
    assert_eq!(layout.skb_vlan_all != ABSENT, as_word);
    assert_eq!(layout.skb_vlan_present == ABSENT, as_word);
    assert_eq!(layout.skb_vlan_present_mask, u32::from(!as_word));
}

/// Overwrites one name in the strings by another of the same length.
fn rename(bytes: &mut [u8], from: &str, to: &str) {
    let needle = format!("\0{from}\0");
    let at = bytes.windows(needle.len()).position(|window| window == needle.as_bytes()).unwrap();
    bytes[at + 1..=at + to.len()].copy_from_slice(to.as_bytes());
}

fn layout_with(renames: &[(&str, &str)]) -> Result<Layout, LayoutError> {
    let mut bytes = fixtures::btf("7.3");
    for (from, to) in renames {
        rename(&mut bytes, from, to);
    }
    Layout::from_btf(&Btf::parse(&bytes).unwrap())
}

#[test]
fn a_lacking_member_is_named() {
    let error = layout_with(&[("skb_iif", "skb_iix")]).unwrap_err();
    insta::assert_snapshot!(error, @"struct `sk_buff` has no member `skb_iif` in this BTF; netdrop can't find packets on this kernel: please report it with the output of `uname -r`");
}

#[test]
fn a_lacking_optional_member_is_absent() {
    assert_eq!(layout_with(&[("vlan_all", "vlan_any")]).unwrap().skb_vlan_all, ABSENT);
}

#[test]
fn a_member_of_another_width_is_refused() {
    let error = layout_with(&[("gso_size", "old_size"), ("nr_frags", "gso_size")]).unwrap_err();
    insta::assert_snapshot!(error, @"`skb_shared_info.gso_size` is 1 bytes in this kernel, not 2; netdrop would misread it: please report it with the output of `uname -r`");
}
