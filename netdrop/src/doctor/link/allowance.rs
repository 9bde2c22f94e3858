//! `link-allowance-exceeded`: the cloud's limits of an instance (`drivers/net/ethernet/amazon/ena/ena_ethtool.c`, `*_allowance_exceeded`).

use crate::counters::losses::Trouble;
use crate::doctor::ports::{Ports, hardware, most};
use crate::doctor::{Area, Certainty, Check, Finding, Remedy, Scope, Severity, Unread, Window, source};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "link-allowance-exceeded",
    area: Area::Link,
    scope: Scope::Netns,
    needs: &[source::<Ports>()],
    run,
};

/// Counters and what is limited, with what helps.
const LIMITS: [(&str, &str, &str); 5] = [
    (
        "bw_in",
        "bandwidth inwards",
        "Take an instance with more bandwidth, or spread the traffic over several.",
    ),
    (
        "bw_out",
        "bandwidth outwards",
        "Take an instance with more bandwidth, shape below its limit (tc, fq), or compress.",
    ),
    (
        "pps",
        "packets a second",
        "Send larger packets: GSO and GRO on, MTU 9001 within the cloud, writes put together.",
    ),
    (
        "conntrack",
        "connections that the cloud's own firewall follows",
        "Keep connections instead of making new ones; security groups that allow all both ways are not tracked.",
    ),
    (
        "linklocal",
        "packets to the local services (DNS, metadata, time)",
        "Run a cache for DNS on the instance; ask the metadata service less often.",
    ),
];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let mut findings = Vec::new();
    for pair in hardware(window)? {
        let signs = pair.signs(Trouble::Allowance);
        let lost = most(&signs);
        let Some(worst) = signs.iter().max_by_key(|sign| sign.by()) else { continue };
        let Some((_, what, help)) = LIMITS.iter().find(|(start, ..)| worst.counter.starts_with(start)) else {
            continue;
        };
        let name = pair.now.name();
        findings.push(
            Finding::new(Severity::of_loss(lost, pair.traffic()[0]), name, format!("The cloud queued or dropped {} of {name}: the instance's limit of {what} was exceeded.", counted(lost, "packet", "packets")))
                .losing(window.rate(lost))
                .because(Certainty::Certain, "The limit is the instance type's, and holds for milliseconds too: averages of a minute may look harmless.")
                .shown_by(signs.clone())
                .remedy(Remedy::advice(*help)),
        );
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::Made;
    use crate::doctor::ports::made::{port, ports};

    #[test]
    fn a_limit() {
        let of = |received, lost| {
            ports(port(received, &[("pps_allowance_exceeded", lost), ("bw_in_allowance_exceeded", 3)]))
        };
        assert_snapshot!(Made::default().part(of(0, 0), of(1_000_000, 700)).told(&CHECK));
        assert_eq!(Made::default().part(of(0, 700), of(9, 700)).check(&CHECK), Ok(Vec::new()));
    }
}
