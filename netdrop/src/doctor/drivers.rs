//! Recorded statistics of real drivers: each names the same trouble in its own way, and the right finding comes of it.

use std::path::Path;

use super::made::Made;
use super::ports::Port;
use super::ports::made::{port, ports};
use super::{Check, Finding, all};
use crate::counters::cpu_times::CpuTimes;

/// A driver's counters before and after, as `ethtool -S` shows them; after a dash, the kernel whose driver it is.
fn recorded(name: &str) -> (Port, Port) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/drivers").join(format!("{name}.tsv"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut both: [Vec<(&str, u64)>; 2] = Default::default();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('\t');
        let name = fields.next().unwrap();
        for counters in &mut both {
            counters.push((name, fields.next().unwrap().parse().unwrap()));
        }
    }
    let [before, after] = both;
    let driver = name.split('-').next().map(str::to_owned);
    let of = |port| Port { driver: driver.clone(), ..port };
    (of(port(0, &before)), of(port(100_000, &after)))
}

/// All findings of the areas of ports on what a driver recorded, as check, and packets a second.
fn found(driver: &str) -> Vec<(&'static str, f64)> {
    let (before, after) = recorded(driver);
    let made = Made::default()
        .part(ports(before), ports(after))
        .part(CpuTimes::default(), CpuTimes::default())
        .part(super::ring::KeptFree(67_584), super::ring::KeptFree(67_584));
    let areas = ["link", "ring"];
    let checks = all().filter(|check| areas.contains(&check.area.as_str()));
    let findings = checks.flat_map(|check: &'static Check| made.check(check).unwrap());
    findings.map(|finding: Finding| (finding.check, finding.rate)).collect()
}

#[rstest::rstest]
#[case::ixgbe("ixgbe", &[("link-pause-sent", 0.0), ("ring-overrun", 300.0)])]
#[case::i40e("i40e", &[("link-pause-received", 0.0), ("ring-overrun", 180.0)])]
#[case::ice("ice", &[("link-crc-errors", 64.0), ("link-framing", 9.0), ("link-symbol-errors", 0.0)])]
#[case::mlx5("mlx5", &[("link-length", 12.0), ("link-pause-sent", 0.0), ("ring-overrun", 520.0)])]
#[case::bnxt("bnxt", &[("link-framing", 8.0), ("link-length", 24.0), ("ring-overrun", 120.0)])]
#[case::ena("ena", &[("link-allowance-exceeded", 1000.0), ("ring-memory", 20.0)])]
#[case::virtio("virtio_net-6.12", &[])]
#[case::virtio_before_queue_statistics("virtio_net-6.1", &[])]
#[case::vmxnet3("vmxnet3", &[("ring-overrun", 183.8)])]
#[case::gve("gve", &[("link-length", 6.6), ("ring-overrun", 128.0), ("ring-memory", 15.0)])]
fn what_drivers_say(#[case] driver: &str, #[case] expected: &[(&str, f64)]) {
    assert_eq!(found(driver), expected);
}

#[test]
fn every_driver_tells_the_packets_of_its_queues() {
    for (driver, queues) in [
        ("ixgbe", 4),
        ("i40e", 4),
        ("ice", 4),
        ("mlx5", 4),
        ("bnxt", 4),
        ("ena", 4),
        ("virtio_net-6.1", 1),
        ("vmxnet3", 2),
        ("gve", 4),
    ] {
        assert_eq!(recorded(driver).1.queues.len(), queues, "{driver}");
    }
}
