//! Which netfilter hook decided a drop, from the names of the functions in its call chain.
//!
//! A rule's verdict is carried out by `nf_hook_slow`, whose caller is the place in the stack that has the hook. Which functions those
//! are was read from the machine code of the kernels of the matrix (5.10 to 7.3): each caller of `nf_hook_slow`, and the hook that the
//! source passes there. iptables' functions have returned by then, so that their table is told only by drops that happen inside of them;
//! nftables frees a packet itself on newer kernels (`NF_DROP_REASON`), which names its family.

use super::source_name;
use crate::model::{Framework, Hook, Table, TableFamily as Family, Verdict};

/// The verdict that a call chain tells of: the names of its functions from the site on, the innermost first; inlined ones may be among them.
/// None where no part of netfilter is in it.
pub fn verdict<'n>(functions: impl IntoIterator<Item = &'n str>) -> Option<Verdict> {
    let names: Vec<&str> = functions.into_iter().map(source_name).collect();
    let slow = names.iter().position(|name| matches!(*name, "nf_hook_slow" | "nf_hook_slow_list"));
    let inside = &names[..slow.unwrap_or(names.len())];
    let mut verdict = evaluator(inside);
    if let Some(slow) = slow {
        let place = place(&names[slow..]).unwrap_or_default();
        let known = verdict.unwrap_or_default();
        // An evaluator without a family of its own may be one of `inet`.
        let family = if known.framework.is_some() { known.family } else { place.family };
        return Some(Verdict { family, hook: known.hook.or(place.hook), ..known });
    }
    // A bridge's first hook is open-coded (net/bridge/br_input.c, nf_hook_bridge_pre).
    let before_bridge = inside.contains(&"nf_hook_bridge_pre");
    if before_bridge || (verdict.is_some() && inside.contains(&"br_handle_frame")) {
        let found = verdict.get_or_insert_default();
        found.family.get_or_insert(Family::Bridge);
        found.hook.get_or_insert(Hook::Prerouting);
    }
    verdict
}

/// What the functions that evaluate rules tell of themselves.
fn evaluator(names: &[&str]) -> Option<Verdict> {
    use Family::{Arp, Bridge, Inet, Ip, Ip6, Netdev};
    use Framework::{Nftables, Xtables};
    use Table::{Broute, Filter, Mangle, Nat, Raw, Security};

    let mut found: Option<Verdict> = None;
    for name in names {
        let (framework, family, table) = match *name {
            "nft_do_chain" | "nft_nat_do_chain" => (Nftables, None, None),
            "nft_do_chain_ipv4" | "nf_route_table_hook4" => (Nftables, Some(Ip), None),
            "nft_do_chain_ipv6" | "nf_route_table_hook6" => (Nftables, Some(Ip6), None),
            "nft_do_chain_inet" | "nft_do_chain_inet_ingress" | "nf_route_table_inet" => {
                (Nftables, Some(Inet), None)
            }
            "nft_do_chain_arp" => (Nftables, Some(Arp), None),
            "nft_do_chain_bridge" => (Nftables, Some(Bridge), None),
            "nft_do_chain_netdev" => (Nftables, Some(Netdev), None),
            "ipt_do_table" => (Xtables, Some(Ip), None),
            "iptable_filter_hook" => (Xtables, Some(Ip), Some(Filter)),
            "iptable_mangle_hook" => (Xtables, Some(Ip), Some(Mangle)),
            "iptable_nat_do_chain" => (Xtables, Some(Ip), Some(Nat)),
            "iptable_raw_hook" => (Xtables, Some(Ip), Some(Raw)),
            "iptable_security_hook" => (Xtables, Some(Ip), Some(Security)),
            "ip6t_do_table" => (Xtables, Some(Ip6), None),
            "ip6table_filter_hook" => (Xtables, Some(Ip6), Some(Filter)),
            "ip6table_mangle_hook" => (Xtables, Some(Ip6), Some(Mangle)),
            "ip6table_nat_do_chain" => (Xtables, Some(Ip6), Some(Nat)),
            "ip6table_raw_hook" => (Xtables, Some(Ip6), Some(Raw)),
            "ip6table_security_hook" => (Xtables, Some(Ip6), Some(Security)),
            "arpt_do_table" => (Xtables, Some(Arp), None),
            "arptable_filter_hook" => (Xtables, Some(Arp), Some(Filter)),
            "ebt_do_table" => (Xtables, Some(Bridge), None),
            "ebt_in_hook" | "ebt_out_hook" => (Xtables, Some(Bridge), Some(Filter)),
            "ebt_nat_in" | "ebt_nat_out" => (Xtables, Some(Bridge), Some(Nat)),
            "ebt_broute" => (Xtables, Some(Bridge), Some(Broute)),
            _ => continue,
        };
        let verdict = found.get_or_insert_default();
        verdict.framework = Some(framework);
        verdict.family = verdict.family.or(family);
        verdict.table = verdict.table.or(table);
    }
    found
}

/// The place that has the hook: the first caller of `nf_hook_slow` that is not a part of netfilter's own macros.
fn place(names: &[&str]) -> Option<Verdict> {
    use Family::{Arp, Bridge, Ip, Ip6, Netdev};
    use Hook::{Egress, Forward, Ingress, Input, Output, Postrouting, Prerouting};

    let at = names.iter().position(|name| !is_glue(name))?;
    let (family, hook) = match names[at] {
        // br_nf_… are br_netfilter's, which shows a bridge's packets to the hooks of IP and ARP.
        "ip_rcv" | "ip_list_rcv" | "ip_sublist_rcv" | "xfrm4_transport_finish" | "br_nf_pre_routing" => {
            (Some(Ip), Some(Prerouting))
        }
        "ip_local_deliver" => (Some(Ip), Some(Input)),
        "ip_forward" | "ipmr_queue_xmit" | "ipmr_queue_fwd_xmit" => (Some(Ip), Some(Forward)),
        "__ip_local_out" | "raw_sendmsg" | "raw_send_hdrinc" | "vrf_ip_local_out" => (Some(Ip), Some(Output)),
        "ip_output" | "ip_mc_output" | "xfrm4_output" | "vrf_output" => (Some(Ip), Some(Postrouting)),
        "ipv6_rcv"
        | "ipv6_list_rcv"
        | "ip6_sublist_rcv"
        | "xfrm6_transport_finish"
        | "br_nf_pre_routing_ipv6" => (Some(Ip6), Some(Prerouting)),
        "ip6_input" => (Some(Ip6), Some(Input)),
        "ip6_forward" | "ip6mr_forward2" => (Some(Ip6), Some(Forward)),
        "__ip6_local_out" | "ip6_xmit" | "rawv6_sendmsg" | "rawv6_send_hdrinc" | "ndisc_send_skb"
        | "mld_sendpack" | "igmp6_send" | "vrf_ip6_local_out" => (Some(Ip6), Some(Output)),
        "ip6_output" | "ip6_finish_output2" | "xfrm6_output" | "vrf_output6" => {
            (Some(Ip6), Some(Postrouting))
        }
        "xfrm_output_resume" | "br_nf_post_routing" => (None, Some(Postrouting)),
        "arp_rcv" => (Some(Arp), Some(Input)),
        "arp_xmit" => (Some(Arp), Some(Output)),
        "__netif_receive_skb_core" => (Some(Netdev), Some(Ingress)),
        "__dev_queue_xmit" | "nf_hook_direct_egress" => (Some(Netdev), Some(Egress)),
        // Its first hook doesn't pass nf_hook_slow; this is the one for frames to the bridge's own protocols.
        "br_handle_frame" | "br_pass_frame_up" => (Some(Bridge), Some(Input)),
        "__br_forward" => (Some(Bridge), bridge_origin(&names[at..])),
        "br_forward_finish" => (Some(Bridge), Some(Postrouting)),
        "br_send_bpdu" | "__br_multicast_send_query" | "br_multicast_port_query_queue_work" => {
            (Some(Bridge), Some(Output))
        }
        "br_nf_forward_arp" => (Some(Arp), Some(Forward)),
        "br_nf_forward" | "br_nf_forward_ip" => (None, Some(Forward)),
        _ => return None,
    };
    Some(Verdict { family, hook, ..Verdict::default() })
}

/// Netfilter's macros and inline functions between a place and `nf_hook_slow` (include/linux/netfilter.h).
fn is_glue(name: &str) -> bool {
    matches!(
        name,
        "nf_hook_slow"
            | "nf_hook_slow_list"
            | "nf_hook"
            | "nf_hook_ingress"
            | "nf_hook_egress"
            | "NF_HOOK"
            | "NF_HOOK_COND"
            | "NF_HOOK_LIST"
    )
}

/// `__br_forward` serves what was received and what this machine sends.
fn bridge_origin(callers: &[&str]) -> Option<Hook> {
    callers.iter().find_map(|name| match *name {
        "br_handle_frame_finish" => Some(Hook::Forward),
        "br_dev_xmit" => Some(Hook::Output),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// Call chains as kernels give them, and the verdict in words.
    #[rstest]
    #[case::input("nf_hook_slow ip_local_deliver ip_sublist_rcv_finish", "ip input")]
    #[case::prerouting("nf_hook_slow ip_rcv __netif_receive_skb_one_core", "ip prerouting")]
    #[case::list("nf_hook_slow nf_hook_slow_list ip_sublist_rcv ip_list_rcv", "ip prerouting")]
    #[case::forward("nf_hook_slow ip_forward ip_rcv", "ip forward")]
    #[case::output("nf_hook_slow __ip_local_out ip_local_out __ip_queue_xmit", "ip output")]
    #[case::raw_socket("nf_hook_slow raw_sendmsg inet_sendmsg", "ip output")]
    #[case::postrouting("nf_hook_slow ip_output ip_send_skb udp_send_skb", "ip postrouting")]
    #[case::multicast("nf_hook_slow ip_mc_output", "ip postrouting")]
    #[case::input6("nf_hook_slow ip6_input ip6_rcv_finish", "ip6 input")]
    #[case::prerouting6("nf_hook_slow ipv6_rcv", "ip6 prerouting")]
    #[case::list6("nf_hook_slow nf_hook_slow_list ip6_sublist_rcv", "ip6 prerouting")]
    #[case::forward6("nf_hook_slow ip6_forward", "ip6 forward")]
    #[case::output6("nf_hook_slow ip6_xmit tcp_v6_connect", "ip6 output")]
    #[case::neighbour_discovery(
        "nf_hook_slow NF_HOOK.constprop.0.isra.0 ndisc_send_skb ndisc_send_ns",
        "ip6 output"
    )]
    #[case::postrouting6("nf_hook_slow ip6_output", "ip6 postrouting")]
    #[case::arp_in("nf_hook_slow arp_rcv", "arp input")]
    #[case::arp_out("nf_hook_slow arp_xmit arp_send_dst", "arp output")]
    #[case::ingress(
        "nf_hook_slow __netif_receive_skb_core.constprop.0 __netif_receive_skb_list_core",
        "netdev ingress"
    )]
    #[case::ingress_inlined("nf_hook_slow nf_hook_ingress __netif_receive_skb_core", "netdev ingress")]
    #[case::egress("nf_hook_slow __dev_queue_xmit ip_finish_output2 ip_output", "netdev egress")]
    #[case::bridge_input("nf_hook_slow br_pass_frame_up br_handle_frame_finish", "bridge input")]
    #[case::bridge_link_local("nf_hook_slow br_handle_frame __netif_receive_skb_core", "bridge input")]
    #[case::bridge_forward(
        "nf_hook_slow __br_forward br_forward br_handle_frame_finish br_handle_frame",
        "bridge forward"
    )]
    #[case::bridge_output(
        "nf_hook_slow __br_forward br_flood br_dev_xmit dev_hard_start_xmit",
        "bridge output"
    )]
    #[case::bridge_unknown("nf_hook_slow __br_forward maybe_deliver", "bridge -")]
    #[case::bridge_postrouting("nf_hook_slow br_forward_finish __br_forward", "bridge postrouting")]
    #[case::bridge_prerouting(
        "nft_do_chain nft_do_chain_bridge br_handle_frame __netif_receive_skb_core",
        "nftables bridge prerouting"
    )]
    #[case::bridge_prerouting_inlined("nf_hook_bridge_pre br_handle_frame", "bridge prerouting")]
    #[case::bridge_netfilter(
        "nf_hook_slow br_nf_pre_routing nf_hook_bridge_pre br_handle_frame",
        "ip prerouting"
    )]
    #[case::bridge_netfilter_any("nf_hook_slow br_nf_forward_ip.part.0", "- forward")]
    #[case::bridge_netfilter_thresh("nf_hook_slow br_nf_hook_thresh br_nf_forward_finish", "- -")]
    #[case::ipsec("nf_hook_slow xfrm_output_resume", "- postrouting")]
    #[case::nft("nft_do_chain nft_do_chain_ipv4 nf_hook_slow ip_local_deliver", "nftables ip input")]
    #[case::nft_inet("nft_do_chain nft_do_chain_inet nf_hook_slow ip6_input", "nftables inet input")]
    #[case::nft_netdev(
        "nft_do_chain nft_do_chain_netdev nf_hook_slow __netif_receive_skb_core",
        "nftables netdev ingress"
    )]
    #[case::nft_nat(
        "nft_do_chain nft_nat_do_chain nf_nat_inet_fn nf_hook_slow __ip_local_out",
        "nftables - output"
    )]
    #[case::nft_reset(
        "nf_send_reset nft_reject_ipv4_eval nft_do_chain nft_do_chain_ipv4 nf_hook_slow ip_forward",
        "nftables ip forward"
    )]
    #[case::iptables(
        "nf_send_reset reject_tg ipt_do_table nf_hook_slow ip_local_deliver",
        "xtables ip input"
    )]
    #[case::iptables_table(
        "nf_send_reset reject_tg ipt_do_table iptable_filter_hook nf_hook_slow ip_forward",
        "xtables ip forward filter"
    )]
    #[case::raw_table(
        "kfree ip6t_do_table ip6table_raw_hook nf_hook_slow ipv6_rcv",
        "xtables ip6 prerouting raw"
    )]
    #[case::ebtables(
        "x ebt_do_table ebt_nat_out nf_hook_slow br_forward_finish",
        "xtables bridge postrouting nat"
    )]
    #[case::unknown_place("nf_hook_slow something __ip_local_out", "- -")]
    #[case::cut_short("nf_hook_slow", "- -")]
    fn a_call_chain_tells_the_hook(#[case] chain: &str, #[case] expected: &str) {
        let Verdict { framework, family, hook, table } = verdict(chain.split(' ')).unwrap();
        let place = [family.map_or("-", Family::as_str), hook.map_or("-", Hook::as_str)];
        let ends = (framework.map(Framework::as_str), table.map(Table::as_str));
        let words: Vec<&str> = ends.0.into_iter().chain(place).chain(ends.1).collect();
        assert_eq!(words.join(" "), expected);
    }

    #[rstest]
    #[case("")]
    #[case("__udp4_lib_rcv ip_protocol_deliver_rcu ip_local_deliver")]
    #[case("br_handle_frame __netif_receive_skb_core")]
    fn without_netfilter_there_is_no_verdict(#[case] chain: &str) {
        assert_eq!(verdict(chain.split(' ')), None);
    }

    proptest! {
        /// What lies below the place that has the hook doesn't matter, but for the origin of a bridge's frame.
        #[test]
        fn only_the_place_counts(rest in prop::collection::vec("ip_forward|ip_rcv|arp_xmit|nf_hook_slow|x", 0..6)) {
            let chain = ["nf_hook_slow", "ip_output"].into_iter().chain(rest.iter().map(String::as_str));
            prop_assert_eq!(verdict(chain), verdict(["nf_hook_slow", "ip_output"]));
        }
    }
}
