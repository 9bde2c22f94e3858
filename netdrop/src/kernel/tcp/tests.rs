use rstest::rstest;

use super::*;
use crate::kernel::fixtures;

fn kernel(name: &str) -> TcpKernel {
    TcpKernel::from_btf(&Btf::parse(&fixtures::btf(name)).unwrap()).unwrap()
}

#[test]
fn layouts_of_the_five_kernels() {
    for name in fixtures::KERNELS {
        insta::assert_debug_snapshot!(format!("layout-{name}"), kernel(name).layout);
    }
}

/// The reason of a reset since 6.10, the error of a retransmission since 6.16.
#[rstest]
#[case("5.10", 2, 2, 0)]
#[case("6.1", 2, 2, 0)]
#[case("6.12", 3, 2, 1)]
#[case("6.18", 3, 3, 1)]
#[case("7.3", 3, 3, 1)]
fn prototypes_differ(
    #[case] name: &str,
    #[case] reset: u32,
    #[case] retransmit: u32,
    #[case] least_reasons: usize,
) {
    let kernel = kernel(name);
    assert_eq!(kernel.tracepoints.len(), TcpTracepoint::ALL.len());
    assert_eq!(kernel.arguments(TcpTracepoint::ResetSent), reset);
    assert_eq!(kernel.arguments(TcpTracepoint::Retransmit), retransmit);
    assert_eq!(kernel.arguments(TcpTracepoint::State), 3);
    assert_eq!(kernel.arguments(TcpTracepoint::Probe), 2);
    assert_eq!(kernel.reset_reasons.is_empty(), least_reasons == 0);
}

#[test]
fn reasons_for_resets_are_the_kernels_own() {
    let kernel = kernel("6.12");
    insta::assert_debug_snapshot!(kernel.reset_reasons);
    assert!(kernel.reset_reasons.keys().all(|number| *number < 31), "a detail has room for each");
}

/// `icsk_ca_state` is a bit-field: its bits in the byte where it is.
#[rstest]
fn a_bit_field_is_found(#[values("5.10", "6.1", "6.12", "6.18", "7.3")] name: &str) {
    let layout = kernel(name).layout;
    assert_ne!(layout.ca_state, netdrop_common::ABSENT);
    assert_eq!((layout.ca_state_shift, layout.ca_state_mask), (0, 0x1f));
}
