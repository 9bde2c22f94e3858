//! Snapshots before and after, and who is found.

use super::*;
use crate::counters::classifiers::{Action, Classifier};
use crate::counters::firewall::Firewall;
use crate::counters::iptables::{Version, saved};
use crate::counters::links::{Link, XdpMode, XdpProgram};
use crate::counters::nft;
use crate::counters::rule::{Count, Rule, RuleId, RuleKey};
use crate::counters::snapshot::{DeviceCounters, TcxProgram};
use crate::model::{Certainty, CounterSource, Counts, Direction, RuleHit, RuleSystem, RuleVerdict, Verdict};
use proptest::prelude::*;

const NETNS: u32 = 7;

fn netfilter(packets: u64) -> Dropped {
    let family = Some(Family::Ipv4);
    Dropped { netns: NETNS, ifindex: 2, cause: Cause::Netfilter, family, split: Split::default(), packets }
}

fn drops_at(cause: Cause, packets: u64) -> Dropped {
    Dropped { cause, ..netfilter(packets) }
}

fn found(before: &Snapshot, after: &Snapshot, drops: &[Dropped]) -> Attribution {
    let netns = Netns { inode: NETNS, name: Some("web".into()), ..Netns::default() };
    let programs = BTreeMap::from([(42, "fw".to_owned())]);
    attribute(&Window { netns: &netns, before, after, drops, programs: &programs }, true)
}

/// A rule with this handle.
fn rule(handle: u64, count: Count) -> Rule {
    let [family, table, chain] = ["inet", "fw", "input"].map(str::to_owned);
    Rule {
        key: RuleKey { system: RuleSystem::Nft, family, table, chain, id: RuleId::Handle(handle) },
        position: None,
        hook: Some("input".into()),
        hooks: ["input".to_owned()].into(),
        text: format!("rule {handle}"),
        verdict: RuleVerdict::Drop,
        count,
    }
}

fn dropped(packets: u64) -> Count {
    Count::Dropped(Counts { packets, bytes: packets * 29 })
}

fn passed(packets: u64) -> Count {
    Count::Passed(Counts { packets, bytes: packets * 29 })
}

fn rules(rules: Vec<Rule>) -> Snapshot {
    Snapshot { firewall: Firewall { rules, notes: Vec::new() }, ..Snapshot::default() }
}

/// `handle certainty packets`
fn told(attribution: &Attribution) -> Vec<(u64, Certainty, Option<u64>)> {
    attribution.rules.iter().map(|hit| (hit.handle.unwrap_or(0), hit.certainty, hit.packets)).collect()
}

/// Twenty that look alike, each with a count already: the one that moved by the number is it.
#[test]
fn one_of_twenty() {
    for right in 1..=20 {
        let all = |grown: u64| {
            (1..=20).map(|n| rule(n, dropped(n * 100 + if n == right { grown } else { 0 }))).collect()
        };
        let attribution = found(&rules(all(0)), &rules(all(5)), &[netfilter(5)]);
        assert_eq!(told(&attribution), [(right, Certainty::Exact, Some(5))]);
        assert_eq!(attribution.rules[0].bytes, Some(5 * 29));
        assert!(attribution.notes.is_empty());
    }
}

use Certainty::{Candidate, Exact, Only, Part};

/// Rules by what they counted before and after; handles are their places.
#[rstest::rstest]
#[case::one(5, &[(dropped(0), dropped(5))], &[(1, Exact, Some(5))])]
#[case::each_its_part(7, &[(dropped(1), dropped(6)), (dropped(0), dropped(2))], &[(1, Part, Some(5)), (2, Part, Some(2))])]
#[case::two_could_be_meant(5, &[(dropped(0), dropped(5)), (dropped(0), dropped(5))], &[(1, Candidate, Some(5)), (2, Candidate, Some(5))])]
#[case::others_were_filtered_out(5, &[(dropped(0), dropped(5)), (dropped(0), dropped(8))], &[(1, Exact, Some(5))])]
#[case::nothing_fits(5, &[(dropped(0), dropped(6)), (dropped(0), dropped(8))], &[(2, Candidate, Some(8)), (1, Candidate, Some(6))])]
#[case::traffic_goes_on(1000, &[(dropped(0), dropped(1020))], &[(1, Part, Some(1020))])]
#[case::the_rest_is_the_only_ones_without_a_counter(7, &[(dropped(0), dropped(5)), (Count::None, Count::None)], &[(1, Part, Some(5)), (2, Only, None)])]
#[case::nobody_counts(7, &[(Count::None, Count::None), (Count::None, Count::None)], &[(1, Candidate, None), (2, Candidate, None)])]
#[case::without_a_rest_nobody_else_is_named(5, &[(dropped(0), dropped(5)), (Count::None, Count::None), (passed(0), passed(9))], &[(1, Exact, Some(5))])]
#[case::a_counter_before_conditions(5, &[(passed(0), passed(9)), (dropped(3), dropped(3))], &[(1, Only, Some(9))])]
#[case::each_of_them_could(5, &[(passed(0), passed(4)), (Count::None, Count::None)], &[(1, Candidate, Some(4)), (2, Candidate, None)])]
#[case::together_then(5, &[(passed(0), passed(4)), (passed(0), passed(1))], &[(1, Candidate, Some(4)), (2, Candidate, Some(1))])]
#[case::reset_meanwhile(5, &[(dropped(100), dropped(5))], &[(1, Exact, Some(5))])]
#[case::nothing_moved(5, &[(dropped(3), dropped(3))], &[])]
fn by_their_counters(
    #[case] drops: u64,
    #[case] counts: &[(Count, Count)],
    #[case] expected: &[(u64, Certainty, Option<u64>)],
) {
    let before = counts.iter().zip(1..).map(|((before, _), handle)| rule(handle, *before)).collect();
    let after = counts.iter().zip(1..).map(|((_, after), handle)| rule(handle, *after)).collect();
    assert_eq!(told(&found(&rules(before), &rules(after), &[netfilter(drops)])), expected);
}

#[test]
fn without_drops_by_netfilter_no_rule_is_named() {
    let drops = [drops_at(Cause::Other, 5)];
    let attribution = found(&rules(vec![rule(1, dropped(0))]), &rules(vec![rule(1, dropped(5))]), &drops);
    assert_eq!(attribution, Attribution::default());
}

#[test]
fn a_rule_that_came_meanwhile_counts_from_zero() {
    let attribution = found(&rules(Vec::new()), &rules(vec![rule(9, dropped(5))]), &[netfilter(5)]);
    assert_eq!(told(&attribution), [(9, Exact, Some(5))]);
}

#[test]
fn what_nothing_explains_is_said() {
    let attribution = found(&rules(vec![rule(1, dropped(0))]), &rules(Vec::new()), &[netfilter(1500)]);
    assert_eq!(attribution.rules, []);
    let note = "netns web: 1,500 drops by netfilter fit no rule's counter, and 1 of the rules at the start are gone.";
    assert_eq!(attribution.notes, [note]);
}

/// The packets' family leaves others out.
#[rstest::rstest]
#[case::of_ipv4("ip", Some(Family::Ipv4), true)]
#[case::of_ipv6("ip", Some(Family::Ipv6), false)]
#[case::of_both("inet", Some(Family::Ipv6), true)]
#[case::inet_is_ip("inet", Some(Family::Arp), false)]
#[case::of_any("netdev", None, true)]
fn only_what_could_see_the_packet(
    #[case] of_rule: &str,
    #[case] family: Option<Family>,
    #[case] expected: bool,
) {
    let mut candidate = rule(1, Count::None);
    candidate.key.family = of_rule.into();
    let attribution =
        found(&Snapshot::default(), &rules(vec![candidate]), &[Dropped { family, ..netfilter(5) }]);
    assert_eq!(!attribution.rules.is_empty(), expected);
}

/// `nftables inet input`, the words in any order.
fn verdict(words: &str) -> Verdict {
    use crate::model::{Framework, Hook, Table, TableFamily};
    fn find<T>(words: &str, all: impl IntoIterator<Item = T>, name: fn(T) -> &'static str) -> Option<T>
    where
        T: Copy,
    {
        all.into_iter().find(|one| words.split(' ').any(|word| word == name(*one)))
    }
    Verdict {
        framework: find(words, [Framework::Nftables, Framework::Xtables], Framework::as_str),
        family: find(
            words,
            [TableFamily::Ip, TableFamily::Ip6, TableFamily::Inet, TableFamily::Netdev],
            TableFamily::as_str,
        ),
        hook: find(words, [Hook::Ingress, Hook::Input, Hook::Forward, Hook::Output], Hook::as_str),
        table: find(words, [Table::Filter, Table::Raw], Table::as_str),
    }
}

/// Drops that were decided at these places, each with its packets.
fn decided(places: &[(&str, u64)], sampled: bool) -> Dropped {
    let shares: BTreeMap<Verdict, u64> =
        places.iter().map(|(words, packets)| (verdict(words), *packets)).collect();
    Dropped { split: Split { shares, sampled }, ..netfilter(places.iter().map(|(_, packets)| packets).sum()) }
}

/// What the call chain tells leaves out what is elsewhere, and never what may be there.
#[rstest::rstest]
#[case::hook("ip input", "ip t input", true)]
#[case::another_hook("ip input", "ip t output", false)]
#[case::inet_hangs_there_too("ip input", "inet t input", true)]
#[case::netdev_is_elsewhere("ip input", "netdev t ingress", false)]
#[case::ingress_of_inet("netdev ingress", "inet t ingress", true)]
#[case::nftables_tells_its_family("nftables ip input", "inet t input", false)]
#[case::inet("nftables inet input", "inet t input", true)]
#[case::iptables_is_another("nftables ip input", "iptables filter input", false)]
#[case::iptables("xtables ip input", "iptables filter input", true)]
#[case::nft_is_another("xtables ip input", "ip filter input", false)]
#[case::table("xtables ip input filter", "iptables filter input", true)]
#[case::another_table("xtables ip input filter", "iptables raw input", false)]
#[case::whoever_it_was("ip input", "iptables raw input", true)]
#[case::reached_from_several("ip input", "ip t forward,input", true)]
#[case::reached_from_others("ip input", "ip t forward,output", false)]
#[case::reached_from_where("ip input", "ip t -", true)]
#[case::nothing_is_known("", "ip t output", true)]
fn only_what_is_where_it_was_decided(#[case] place: &str, #[case] of_rule: &str, #[case] expected: bool) {
    let words: Vec<&str> = of_rule.split(' ').collect();
    let mut candidate = rule(1, Count::None);
    if words[0] == "iptables" {
        candidate.key.system = RuleSystem::Iptables;
        candidate.key.family = "ip".into();
    } else {
        candidate.key.family = words[0].into();
    }
    candidate.key.table = words[1].into();
    candidate.hooks = words[2].split(',').filter(|hook| *hook != "-").map(str::to_owned).collect();
    let attribution = found(&Snapshot::default(), &rules(vec![candidate]), &[decided(&[(place, 5)], false)]);
    assert_eq!(!attribution.rules.is_empty(), expected);
}

/// A rule of a hook.
fn rule_at(hook: &str, handle: u64, count: Count) -> Rule {
    Rule { hook: Some(hook.into()), hooks: [hook.to_owned()].into(), ..rule(handle, count) }
}

/// Each hook's drops have rules of their own: a rule without a counter is the only one there.
#[test]
fn hooks_are_settled_each_for_itself() {
    let after = rules(vec![rule_at("input", 1, Count::None), rule_at("forward", 2, Count::None)]);
    let apart = [decided(&[("inet input", 5)], true), decided(&[("inet forward", 7)], true)];
    let mut attribution = found(&Snapshot::default(), &after, &apart);
    attribution.rules.sort_by_key(|hit| hit.handle);
    let drops: Vec<_> = attribution.rules.iter().map(|hit| (hit.certainty, hit.drops)).collect();
    assert_eq!(drops, [(Only, 5), (Only, 7)]);
    // One counter counted both: their shares are estimates, and leave nobody out.
    let together = [decided(&[("inet input", 5), ("inet forward", 7)], true)];
    let attribution = found(&Snapshot::default(), &after, &together);
    assert_eq!(told(&attribution), [(1, Candidate, None), (2, Candidate, None)]);
    let estimated: Vec<_> = attribution.verdicts.iter().map(|one| (one.packets, one.estimated)).collect();
    assert_eq!(estimated, [(7, true), (5, true)]);
}

#[test]
fn a_counter_of_two_families_counts_both() {
    let after = rules(vec![rule(1, dropped(12))]);
    let drops = [netfilter(5), Dropped { family: Some(Family::Ipv6), ..netfilter(7) }];
    assert_eq!(told(&found(&Snapshot::default(), &after, &drops)), [(1, Exact, Some(12))]);
}

/// Details may have missed a hook, as long as not each drop had them.
#[rstest::rstest]
#[case::sampled(true, &[(1, Part, Some(997)), (2, Exact, Some(3))], 0)]
#[case::all_had_details(false, &[(1, Part, Some(997))], 1)]
fn what_no_detail_met(
    #[case] sampled: bool,
    #[case] expected: &[(u64, Certainty, Option<u64>)],
    #[case] notes: usize,
) {
    let after = rules(vec![rule_at("input", 1, dropped(997)), rule_at("forward", 2, dropped(3))]);
    let attribution = found(&Snapshot::default(), &after, &[decided(&[("inet input", 1000)], sampled)]);
    let mut told = told(&attribution);
    told.sort_by_key(|(handle, ..)| *handle);
    assert_eq!(told, expected);
    assert_eq!(attribution.notes.len(), notes);
}

/// netdrop's own filter left out what other hooks dropped: the number is theirs as well, the hook is not.
#[test]
fn the_hook_tells_where_numbers_do_not() {
    let hooks = ["prerouting", "input", "forward", "output"];
    let all = |grown: u64| {
        let grown = |n| if n % 5 == 0 { grown } else { 0 };
        hooks.iter().cycle().zip(1..=20).map(|(hook, n)| rule_at(hook, n, dropped(n + grown(n)))).collect()
    };
    let told = |drops: Dropped| told(&found(&rules(all(0)), &rules(all(9)), &[drops]));
    assert_eq!(told(decided(&[("inet forward", 9)], true)), [(15, Exact, Some(9))]);
    assert_eq!(told(netfilter(9)).len(), 4, "without a call chain each of them may be meant");
}

#[test]
fn places_are_counted_where_they_are_known() {
    let after = rules(Vec::new());
    let verdicts = |drops: &[Dropped]| found(&after, &after, drops).verdicts;
    assert_eq!(verdicts(&[netfilter(5), decided(&[("", 7)], true)]), []);
    let drops = [decided(&[("ip input", 5)], true), decided(&[("ip input", 7), ("", 1)], false)];
    let counted: Vec<_> =
        verdicts(&drops).iter().map(|one| (one.verdict, one.packets, one.estimated)).collect();
    assert_eq!(counted, [(verdict("ip input"), 12, false), (Verdict::default(), 1, false)]);
}

/// The real listings, one of a moment before: what fell to each rule.
#[test]
fn a_real_ruleset() {
    let before = include_bytes!("../../tests/fixtures/rules/nft-before.json");
    let after = include_bytes!("../../tests/fixtures/rules/nft.json");
    let legacy = include_str!("../../tests/fixtures/rules/iptables-legacy-save.txt");
    let mut after = nft::rules(after).unwrap();
    after.extend(saved(legacy, Version::V4).unwrap().rules);
    let attribution = found(&rules(nft::rules(before).unwrap()), &rules(after), &[netfilter(30)]);
    let lines: Vec<String> = attribution.rules.iter().map(line).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

fn line(hit: &RuleHit) -> String {
    let RuleHit { system, family, table, chain, handle, packets, certainty, .. } = hit;
    let [family, table, chain] = [family, table, chain].map(|name| name.as_deref().unwrap_or("-"));
    format!("{certainty:?} {packets:?} {} {family} {table} {chain} {handle:?} {}", system.as_str(), hit.text)
}

fn filter(handle: u32, drops: Option<u32>) -> Classifier {
    Classifier {
        ifindex: 2,
        direction: Direction::Ingress,
        kind: "u32".into(),
        chain: 0,
        priority: 1,
        handle,
        program: None,
        name: None,
        is_direct: false,
        actions: vec![Action { kind: "gact".into(), drops }],
    }
}

fn program() -> Classifier {
    Classifier {
        kind: "bpf".into(),
        program: Some(42),
        is_direct: true,
        actions: Vec::new(),
        ..filter(9, None)
    }
}

fn filters(classifiers: Vec<Classifier>) -> Snapshot {
    Snapshot { classifiers, devices: vec![device(Link::default())], ..Snapshot::default() }
}

fn device(link: Link) -> DeviceCounters {
    DeviceCounters { link: Link { index: 2, name: "eth0".into(), ..link }, driver: Vec::new() }
}

const INGRESS: Cause = Cause::Classifier(Direction::Ingress);

#[rstest::rstest]
#[case::an_action_that_counts(vec![filter(1, Some(3)), filter(2, Some(0))], vec![filter(1, Some(8)), filter(2, Some(0))], &["Exact Some(5) tc - - 0 Some(1) filter u32 pref 1 action gact"])]
#[case::its_counter_turned_over(vec![filter(1, Some(u32::MAX - 1))], vec![filter(1, Some(3))], &["Exact Some(5) tc - - 0 Some(1) filter u32 pref 1 action gact"])]
#[case::a_program(vec![], vec![program()], &["Only None tc - - 0 Some(9) filter bpf pref 1 direct-action"])]
#[case::a_program_and_a_filter_that_did_not_move(vec![filter(1, Some(3))], vec![filter(1, Some(3)), program()], &["Only None tc - - 0 Some(9) filter bpf pref 1 direct-action"])]
#[case::the_other_way(vec![], vec![Classifier { direction: Direction::Egress, ..program() }], &[])]
fn filters_of_tc(#[case] before: Vec<Classifier>, #[case] after: Vec<Classifier>, #[case] expected: &[&str]) {
    let attribution = found(&filters(before), &filters(after), &[drops_at(INGRESS, 5)]);
    let lines: Vec<String> = attribution.rules.iter().map(line).collect();
    assert_eq!(lines, expected);
    let said = attribution
        .notes
        .iter()
        .any(|note| note == "eth0: 5 drops by tc on ingress fit no filter that is there now.");
    assert_eq!(said, expected.is_empty());
}

#[test]
fn a_program_of_tcx_has_its_device_and_name() {
    let tcx = vec![TcxProgram { ifindex: 2, direction: Direction::Ingress, id: 42 }];
    let after = Snapshot { tcx, ..filters(Vec::new()) };
    let attribution = found(&Snapshot::default(), &after, &[drops_at(INGRESS, 5)]);
    let [hit] = &attribution.rules[..] else { panic!("{attribution:?}") };
    assert_eq!(hit.program, Some(BpfProgram { id: 42, name: Some("fw".into()) }));
    assert_eq!(hit.device, Some(Device { index: 2, name: Some("eth0".into()) }));
    assert_eq!((hit.direction, hit.certainty), (Some(Direction::Ingress), Only));
}

fn xdp(mode: XdpMode, driver: &[(&str, u64)], before: &[(&str, u64)], drops: &[Dropped]) -> Attribution {
    let with = |counters: &[(&str, u64)]| {
        let xdp = vec![XdpProgram { id: 42, mode }];
        let driver = counters.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Snapshot {
            devices: vec![DeviceCounters { driver, ..device(Link { xdp, ..Link::default() }) }],
            ..Snapshot::default()
        }
    };
    found(&with(before), &with(driver), drops)
}

#[test]
fn drops_of_xdp_on_an_skb_name_the_program() {
    let attribution = xdp(XdpMode::Generic, &[], &[], &[drops_at(Cause::Xdp, 5)]);
    assert_eq!(line(&attribution.rules[0]), "Only None xdp - - - None XDP program, generic mode");
    assert_eq!(attribution.notes, [""; 0], "what runs on skbs is netdrop's to count");
}

#[test]
fn drops_of_xdp_in_the_driver_are_the_drivers_to_count() {
    let driver = [("rx_queue_0_xdp_drops", 7), ("rx_queue_1_xdp_drops", 3)];
    let attribution = xdp(XdpMode::Native, &driver, &[("rx_queue_0_xdp_drops", 2)], &[]);
    let [count] = &attribution.devices[..] else { panic!("{attribution:?}") };
    assert_eq!((count.counter.as_str(), count.count, count.also_seen), ("rx_queue_*_xdp_drops", 8, Some(0)));
    assert_eq!((count.source, count.program.as_ref().unwrap().id), (CounterSource::Driver, 42));
    assert_eq!(attribution.notes, [""; 0]);
}

#[test]
fn a_driver_that_does_not_count_for_xdp_is_named() {
    let attribution = xdp(XdpMode::Native, &[("rx_dropped", 0)], &[], &[]);
    assert_eq!(
        attribution.notes,
        [
            "eth0 runs XDP program 42 (fw), and its driver doesn't count what XDP drops: such packets are in no number \
             here, but perhaps in the program's own maps (bpftool-map(8))."
        ]
    );
}

#[test]
fn what_could_not_be_read_is_said() {
    let after =
        Snapshot { notes: vec!["the counters of devices can't be read: no.".into()], ..Snapshot::default() };
    assert_eq!(found(&Snapshot::default(), &after, &[]).notes, after.notes);
}

/// `counter source growth also-seen`
fn counted(before: &Snapshot, after: &Snapshot, drops: &[Dropped]) -> Vec<String> {
    let counts = found(before, after, drops).devices;
    counts
        .iter()
        .map(|one| format!("{} {:?} {} {:?}", one.counter, one.source, one.count, one.also_seen))
        .collect()
}

fn link(losses: &[(&'static str, u64)], driver: &[(&str, u64)]) -> Snapshot {
    let driver = driver.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let device = DeviceCounters { driver, ..device(Link { losses: losses.to_vec(), ..Link::default() }) };
    Snapshot { devices: vec![device], ..Snapshot::default() }
}

#[rstest::rstest]
#[case::nothing_moved(&[("rx_missed_errors", 3)], &[("rx_missed_errors", 3)], &[])]
#[case::hardware(&[("rx_missed_errors", 3)], &[("rx_missed_errors", 10)], &["rx_missed_errors Link 7 None"])]
#[case::the_stack_saw_them_too(&[("rx_dropped", 0)], &[("rx_dropped", 9)], &["rx_dropped Link 9 Some(4)"])]
#[case::a_sum_of_others(&[("rx_errors", 0), ("rx_crc_errors", 0)], &[("rx_errors", 5), ("rx_crc_errors", 5)], &["rx_crc_errors Link 5 None"])]
#[case::a_sum_of_more(&[("rx_errors", 0), ("rx_crc_errors", 0)], &[("rx_errors", 6), ("rx_crc_errors", 5)], &["rx_errors Link 6 None", "rx_crc_errors Link 5 None"])]
#[case::reset(&[("rx_fifo_errors", 9)], &[("rx_fifo_errors", 2)], &["rx_fifo_errors Link 2 None"])]
fn counters_of_the_kernel(
    #[case] before: &[(&'static str, u64)],
    #[case] after: &[(&'static str, u64)],
    #[case] expected: &[&str],
) {
    let drops = [drops_at(Cause::Other, 4), Dropped { ifindex: 3, ..drops_at(Cause::Other, 50) }];
    assert_eq!(counted(&link(before, &[]), &link(after, &[]), &drops), expected);
}

#[rstest::rstest]
#[case::queues_are_summed(&[("rx_queue_0_drops", 1), ("rx_queue_1_drops", 2)], &["rx_queue_*_drops Driver 3 None"])]
#[case::the_drivers_total_is_enough(&[("rx0_xdp_drop", 1), ("rx1_xdp_drop", 2), ("rx_xdp_drop", 3)], &["rx_xdp_drop Driver 3 Some(0)"])]
#[case::a_sum_of_its_rings(&[("[0]: rx_discards", 1), ("[1]: rx_discards", 2), ("rx_total_ring_discards", 3)], &["[*]: rx_discards Driver 3 None"])]
#[case::the_kernel_said_it(&[("rx_missed_errors", 7)], &[])]
#[case::the_driver_says_otherwise(&[("rx_missed_errors", 8)], &["rx_missed_errors Driver 8 None"])]
#[case::what_is_no_loss(&[("rx_packets", 7)], &[])]
fn counters_of_the_driver(#[case] driver: &[(&str, u64)], #[case] expected: &[&str]) {
    let kernel = |value| [("rx_missed_errors", value)];
    let mut told = counted(&link(&kernel(0), &[]), &link(&kernel(7), driver), &[]);
    assert_eq!(told.remove(0), "rx_missed_errors Link 7 None");
    assert_eq!(told, expected);
}

proptest! {
    /// Counters that only ever count what they drop, and nothing else counted: each rule has exactly its own.
    #[test]
    fn every_rule_has_its_own(own in proptest::collection::vec(0..50_u64, 1..20)) {
        let before = (1..).zip(&own).map(|(handle, _)| rule(handle, dropped(1000))).collect();
        let after = (1..).zip(&own).map(|(handle, own)| rule(handle, dropped(1000 + own))).collect();
        let total = own.iter().sum();
        let mut told = told(&found(&rules(before), &rules(after), &[netfilter(total)]));
        told.sort_unstable();
        let moved: Vec<(u64, u64)> = (1..).zip(own).filter(|(_, own)| *own > 0).collect();
        let certainty = if moved.len() == 1 { Exact } else { Part };
        let expected: Vec<_> = moved.into_iter().map(|(handle, own)| (handle, certainty, Some(own))).collect();
        prop_assert_eq!(told, expected);
    }

    /// Whatever the counters say: the certain ones never have more than there is.
    #[test]
    fn nothing_is_certain_beyond_the_number(counts in proptest::collection::vec((any::<u64>(), any::<u64>(), 0..3_u8), 0..6), drops in any::<u64>()) {
        let count = |value, kind| match kind { 0 => dropped(value / 64), 1 => passed(value / 64), _ => Count::None };
        let before = (1..).zip(&counts).map(|(handle, (before, _, kind))| rule(handle, count(*before, *kind))).collect();
        let after = (1..).zip(&counts).map(|(handle, (_, after, kind))| rule(handle, count(*after, *kind))).collect();
        let hits = found(&rules(before), &rules(after), &[netfilter(drops)]).rules;
        let certain = |hit: &&RuleHit| [Exact, Part].contains(&hit.certainty);
        let sum: u128 = hits.iter().filter(certain).filter_map(|hit| hit.packets).map(u128::from).sum();
        prop_assert!(sum <= u128::from(drops) + u128::from(drops / 20), "{hits:?}");
        prop_assert!(hits.iter().filter(|hit| hit.certainty == Exact).count() <= 1);
    }
}
