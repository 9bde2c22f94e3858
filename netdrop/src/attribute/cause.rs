//! Who decided a drop, from its reason or, where the kernel gives none, its function.

use crate::model::Direction;

/// Who can be asked for the rule behind a drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// nftables or iptables.
    Netfilter,
    /// A filter of tc, or a program of tcx.
    Classifier(Direction),
    /// An XDP program, on an skb.
    Xdp,
    /// No rule.
    Other,
}

/// The cause by `enum skb_drop_reason` (`include/net/dropreason-core.h`). Kernels before 5.17, and for each of these reasons
/// some later ones, give none: there the function tells, as long as the compiler has not put it into another.
pub fn cause(reason: Option<&str>, function: Option<&str>) -> Cause {
    match reason {
        Some("NETFILTER_DROP" | "NETFILTER_INGRESS" | "NETFILTER_EGRESS") => Cause::Netfilter,
        Some("TC_INGRESS") => Cause::Classifier(Direction::Ingress),
        Some("TC_EGRESS") => Cause::Classifier(Direction::Egress),
        Some("XDP") => Cause::Xdp,
        None | Some("NOT_SPECIFIED") => by_function(function.unwrap_or_default()),
        Some(_) => Cause::Other,
    }
}

fn by_function(function: &str) -> Cause {
    // Compilers add `.isra.0`, `.constprop.0`.
    match function.split('.').next().unwrap_or_default() {
        "nf_hook_slow" | "nft_do_chain" | "ipt_do_table" | "ip6t_do_table" => Cause::Netfilter,
        "sch_handle_ingress" => Cause::Classifier(Direction::Ingress),
        "sch_handle_egress" => Cause::Classifier(Direction::Egress),
        "do_xdp_generic" | "netif_receive_generic_xdp" | "bpf_prog_run_generic_xdp" | "veth_xdp_rcv_skb" => {
            Cause::Xdp
        }
        _ => Cause::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(Some("NETFILTER_DROP"), Some("nft_do_chain"), Cause::Netfilter)]
    #[case(Some("TC_EGRESS"), Some("__dev_queue_xmit"), Cause::Classifier(Direction::Egress))]
    #[case(Some("NOT_SPECIFIED"), Some("nf_hook_slow"), Cause::Netfilter)]
    #[case(None, Some("sch_handle_ingress.constprop.0"), Cause::Classifier(Direction::Ingress))]
    #[case(None, None, Cause::Other)]
    #[case(Some("NO_SOCKET"), Some("nf_hook_slow"), Cause::Other)]
    fn causes(#[case] reason: Option<&str>, #[case] function: Option<&str>, #[case] expected: Cause) {
        assert_eq!(cause(reason, function), expected);
    }
}
