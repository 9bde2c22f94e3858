//! `link-crc-errors`: frames whose check sequence is wrong (IEEE 802.3 aFrameCheckSequenceErrors; `rx_crc_errors` of `struct rtnl_link_stats64`).

use super::{damaged, look_at_module};
use crate::counters::losses::Trouble;
use crate::doctor::ports::Ports;
use crate::doctor::{Area, Certainty, Check, Finding, Remedy, Scope, Severity, Unread, Window, source};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "link-crc-errors",
    area: Area::Link,
    scope: Scope::Netns,
    needs: &[source::<Ports>()],
    run,
};

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    damaged(window, Trouble::Crc, |pair, lost, signs| {
        let sentence = format!(
            "{} came damaged at {}: the check sequence is wrong.",
            counted(lost, "frame", "frames"),
            pair.now.name()
        );
        let is_half = pair.now.told.modes.is_some_and(|modes| modes.is_half);
        let cause = if is_half {
            "The link is half duplex: where the other end is full, each damages what the other sends."
        } else {
            "The signal suffers between the last sender and this port: cable, connector, module, or a port that dies. A switch that cuts through passes on what was damaged before it."
        };
        Finding::new(Severity::Info, pair.now.name(), sentence)
            .because(Certainty::Likely, cause)
            .shown_by(signs)
            .shown_by(pair.now.link_evidence())
            .remedy(Remedy::advice(
                "Exchange one thing at a time, and check again after each: the cable (clean a fibre's ends first), the module here, the module there, the port.",
            ))
            .remedy(look_at_module(pair, window))
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::counters::ethtool_netlink::Told;
    use crate::doctor::made::Made;
    use crate::doctor::ports::made::{port, ports, told};

    #[test]
    fn damaged_frames_by_three_counters_are_the_same_frames() {
        let counted = |received, errors| {
            let mut port = port(received, &[("rx_crc_errors", errors)]);
            port.link.losses = vec![("rx_crc_errors", errors)];
            let standard = vec![("eth-mac", "FrameCheckSequenceErrors", errors + 3)];
            told(port, Told { standard, ..Told::default() })
        };
        assert_snapshot!(Made::default().part(counted(1000, 7), counted(21_000, 407)).told(&CHECK));
    }

    #[test]
    fn one_in_a_million_is_information_and_none_is_nothing() {
        let of = |errors| ports(port(9_000_000, &[("rx_crc_errors", errors)]));
        let findings = Made::default().part(of(0), of(9)).check(&CHECK).unwrap();
        assert_eq!(findings[0].severity, Severity::Info);
        assert_eq!(Made::default().part(of(9), of(9)).check(&CHECK), Ok(Vec::new()));
    }
}
