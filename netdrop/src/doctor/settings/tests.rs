//! The rules, on made-up hosts.

use std::collections::BTreeSet;
use std::path::PathBuf;

use insta::assert_snapshot;

use super::odd::Rule;
use super::*;
use crate::doctor::made::Made;
use crate::doctor::{Finding, Home, Severity};
use crate::knowledge::{self, Kind};

const HOST: Host =
    Host { ram: 2 << 30, page: 4096, kernel: 6012, uplinks: 1, bridges: 0, listeners: BTreeSet::new() };

/// As Linux 6.12 has them on a host with 2 GiB.
const DEFAULTS: [(&str, &str); 40] = [
    ("net.core.somaxconn", "4096"),
    ("net.core.rmem_default", "212992"),
    ("net.core.rmem_max", "212992"),
    ("net.core.wmem_default", "212992"),
    ("net.core.wmem_max", "212992"),
    ("net.core.optmem_max", "131072"),
    ("net.core.netdev_max_backlog", "1000"),
    ("net.core.netdev_budget", "300"),
    ("net.core.netdev_budget_usecs", "2000"),
    ("net.core.busy_poll", "0"),
    ("net.ipv4.tcp_rmem", "4096 131072 6291456"),
    ("net.ipv4.tcp_wmem", "4096 16384 4194304"),
    ("net.ipv4.tcp_mem", "22443 29926 44886"),
    ("net.ipv4.udp_mem", "44889 59853 89778"),
    ("net.ipv4.tcp_sack", "1"),
    ("net.ipv4.tcp_timestamps", "1"),
    ("net.ipv4.tcp_window_scaling", "1"),
    ("net.ipv4.tcp_moderate_rcvbuf", "1"),
    ("net.ipv4.tcp_tw_reuse", "2"),
    ("net.ipv4.tcp_syncookies", "1"),
    ("net.ipv4.tcp_max_syn_backlog", "128"),
    ("net.ipv4.tcp_abort_on_overflow", "0"),
    ("net.ipv4.tcp_fin_timeout", "60"),
    ("net.ipv4.tcp_max_tw_buckets", "8192"),
    ("net.ipv4.tcp_max_orphans", "8192"),
    ("net.ipv4.tcp_low_latency", "0"),
    ("net.ipv4.tcp_fack", "0"),
    ("net.ipv4.tcp_adv_win_scale", "1"),
    ("net.ipv4.tcp_no_metrics_save", "0"),
    ("net.ipv4.tcp_keepalive_time", "7200"),
    ("net.ipv4.tcp_retries2", "15"),
    ("net.ipv4.tcp_syn_retries", "6"),
    ("net.ipv4.tcp_synack_retries", "5"),
    ("net.ipv4.ip_no_pmtu_disc", "0"),
    ("net.ipv4.ipfrag_high_thresh", "4194304"),
    ("net.ipv4.ip_local_port_range", "32768 60999"),
    ("net.ipv4.conf.all.rp_filter", "2"),
    ("net.ipv4.ip_forward", "0"),
    ("net.ipv4.neigh.default.gc_thresh1", "128"),
    ("net.ipv4.neigh.default.gc_thresh2", "512"),
];

fn made(changed: &[(&str, &str)], host: &Host, counters: [(&str, &str, u64); 2]) -> Made {
    let settings: Sysctls = DEFAULTS.iter().chain(changed).copied().collect();
    // As before 6.8.
    let settings = settings.of_host(&["net.core.optmem_max"]);
    Made::default()
        .part(Sysctls::default(), settings)
        .part(HOST, host.clone())
        .part(Counters::default(), Counters::from(counters))
}

const QUIET: [(&str, &str, u64); 2] = [("TcpExt", "ListenOverflows", 0), ("Ip", "InAddrErrors", 3)];

/// All that any check of these finds.
fn found(changed: &[(&str, &str)], host: &Host) -> Vec<Finding> {
    let made = made(changed, host, QUIET);
    CHECKS.iter().take(5).flat_map(|check| made.check(check).unwrap()).collect()
}

#[test]
fn a_host_that_nobody_set_anything_on_is_fine() {
    assert_eq!(found(&[], &HOST), []);
    assert_eq!(found(&[("net.ipv4.neigh.default.gc_thresh3", "1024")], &HOST), []);
    // Hardened, and not off.
    assert_eq!(found(&[("net.ipv4.ip_no_pmtu_disc", "3")], &HOST), []);
}

#[rstest::rstest]
#[case::order(
    "net.ipv4.tcp_rmem",
    "87380 4096 16777216",
    "settings-order",
    "net.ipv4.tcp_rmem=\"4096 87380 16777216\""
)]
#[case::order_of_two(
    "net.ipv4.neigh.default.gc_thresh1",
    "1024",
    "settings-order",
    "net.ipv4.neigh.default.gc_thresh1=128"
)]
#[case::buffers("net.core.rmem_default", "8388608", "settings-order", "net.core.rmem_max=8388608")]
#[case::sack("net.ipv4.tcp_sack", "0", "settings-harmful", "net.ipv4.tcp_sack=1")]
#[case::scaling("net.ipv4.tcp_window_scaling", "0", "settings-harmful", "net.ipv4.tcp_window_scaling=1")]
#[case::cookies("net.ipv4.tcp_syncookies", "2", "settings-harmful", "net.ipv4.tcp_syncookies=1")]
#[case::discovery("net.ipv4.ip_no_pmtu_disc", "2", "settings-harmful", "net.ipv4.ip_no_pmtu_disc=0")]
#[case::tries("net.ipv4.tcp_syn_retries", "1", "settings-harmful", "net.ipv4.tcp_syn_retries=6")]
#[case::no_op("net.ipv4.tcp_low_latency", "1", "settings-useless", "net.ipv4.tcp_low_latency=0")]
#[case::obsolete("net.ipv4.tcp_adv_win_scale", "-2", "settings-useless", "net.ipv4.tcp_adv_win_scale=1")]
#[case::misused("net.ipv4.tcp_fin_timeout", "15", "settings-useless", "net.ipv4.tcp_fin_timeout=60")]
#[case::reset("net.ipv4.tcp_abort_on_overflow", "1", "settings-harmful", "net.ipv4.tcp_abort_on_overflow=0")]
fn an_odd_value(#[case] key: &str, #[case] value: &str, #[case] check: &str, #[case] command: &str) {
    let findings = found(&[(key, value)], &HOST);
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!((finding.check, finding.severity), (check, Severity::Info));
    assert!(finding.cause.starts_with("(hygiene"), "{finding:?}");
    assert_eq!(finding.remedies[0].now, [format!("sysctl -w {command}")]);
}

#[rstest::rstest]
#[case::pages_for_bytes(&[("net.ipv4.udp_mem", "8388608 12582912 16777216")], "settings-harmful")]
#[case::reuse_without_timestamps(&[("net.ipv4.tcp_timestamps", "0"), ("net.ipv4.tcp_tw_reuse", "1")], "settings-fighting")]
#[case::without_timestamps(&[("net.ipv4.tcp_timestamps", "0")], "settings-harmful")]
#[case::syn_backlog(&[("net.ipv4.tcp_max_syn_backlog", "65536")], "settings-fighting")]
#[case::buckets(&[("net.netfilter.nf_conntrack_max", "1000000"), ("net.netfilter.nf_conntrack_buckets", "65536")], "settings-fighting")]
#[case::budget(&[("net.core.netdev_budget", "5000")], "settings-fighting")]
#[case::memory(&[("net.ipv4.tcp_rmem", "4096 131072 1073741824")], "settings-harmful")]
#[case::metrics(&[("net.ipv4.tcp_no_metrics_save", "1"), ("net.ipv4.tcp_no_ssthresh_metrics_save", "1")], "settings-useless")]
fn values_that_depend_on_others(#[case] changed: &[(&str, &str)], #[case] check: &str) {
    let findings = found(changed, &HOST);
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!((finding.check, finding.severity), (check, Severity::Info));
}

#[test]
fn values_that_depend_on_the_host() {
    let strict = [("net.ipv4.conf.all.rp_filter", "1")];
    assert_eq!(found(&strict, &HOST), []);
    assert_eq!(found(&strict, &Host { uplinks: 2, ..HOST }).len(), 1);
    assert_eq!(found(&[], &Host { bridges: 1, ..HOST }).len(), 1);
    let scale = [("net.ipv4.tcp_adv_win_scale", "2")];
    assert_eq!(found(&scale, &Host { kernel: 6001, ..HOST }), []);
}

#[test]
fn evidence_makes_it_a_warning() {
    let counters = [("TcpExt", "ListenOverflows", 50), ("Ip", "InAddrErrors", 0)];
    let made = made(&[("net.ipv4.tcp_abort_on_overflow", "1")], &HOST, counters);
    let harmful = CHECKS.iter().find(|check| check.name == "settings-harmful").unwrap();
    assert_snapshot!(made.told(harmful));
}

#[test]
fn ports_of_services_in_the_range() {
    let host = Host { listeners: [80, 8080, 9000, 40_000].into(), ..HOST };
    assert_eq!(found(&[], &host), []);
    let wide =
        [("net.ipv4.ip_local_port_range", "1024 65535"), ("net.ipv4.ip_local_reserved_ports", "9000-9010")];
    let made = made(&wide, &host, QUIET);
    assert_snapshot!(made.told(&ports::CHECK));
}

#[test]
fn in_a_namespace_its_own_settings_alone() {
    let home = Home { inode: 9, name: Some("web".into()), enter: Some(PathBuf::from("/run/netns/web")) };
    let changed =
        [("net.ipv4.tcp_sack", "0"), ("net.core.busy_poll", "5000"), ("net.core.optmem_max", "1024")];
    let made = made(&changed, &HOST, QUIET).at(home);
    let findings: Vec<_> = CHECKS.iter().take(5).flat_map(|check| made.check(check).unwrap()).collect();
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!(finding.remedies[0].now, ["nsenter --net=/run/netns/web sysctl -w net.ipv4.tcp_sack=1"]);
}

/// A rule that isn't understood would never find anything.
#[test]
fn every_rule_is_understood() {
    let names: BTreeSet<&str> = CHECKS.iter().map(|check| check.name).collect();
    let entries: Vec<_> = knowledge::entries().filter(|entry| entry.kind() == Kind::Setting).collect();
    let settings: BTreeSet<&str> = entries.iter().map(|entry| entry.name()).collect();
    let mut rules = 0;
    for entry in &entries {
        for line in entry.rules() {
            let rule = Rule::parse(line).unwrap_or_else(|| panic!("{line}"));
            assert!(names.contains(rule.check), "{line}");
            for comparison in rule.condition.split(" or ").flat_map(|all| all.split(" and ")) {
                assert_eq!(comparison.split(' ').count(), 3, "{line}");
            }
            assert!(rule.sentence.ends_with('.') && !rule.condition.is_empty(), "{line}");
            rules += 1;
        }
    }
    assert!(rules >= 40 && settings.len() >= 40, "{rules} rules of {} settings", settings.len());
}

/// This host, whatever it is, can be looked at, and its settings are at most remarked on.
#[test]
fn this_host_is_read() {
    use crate::doctor::{Part as _, Place};
    let host = Host::read(&Place::new("/")).unwrap();
    assert!(host.ram > 1 << 20 && host.page >= 4096 && host.kernel >= 5010, "{host:?}");
}
