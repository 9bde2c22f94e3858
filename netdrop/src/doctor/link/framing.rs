//! `link-framing`: frames that are too short or whose ends are in the wrong place: alignment errors, undersize, fragments, jabber
//! (IEEE 802.3 aAlignmentErrors; RFC 2819 etherStatsUndersizePkts, etherStatsFragments, etherStatsJabbers).

use super::{damaged, look_at_module};
use crate::counters::losses::Trouble;
use crate::doctor::ports::Ports;
use crate::doctor::{Area, Certainty, Check, Finding, Remedy, Scope, Severity, Unread, Window, source};
use crate::units::counted;

pub const CHECK: Check =
    Check { name: "link-framing", area: Area::Link, scope: Scope::Netns, needs: &[source::<Ports>()], run };

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    damaged(window, Trouble::Framing, |pair, lost, signs| {
        let sentence = format!(
            "{} cut or ran on at {}: the beginning or the end is in the wrong place.",
            counted(lost, "frame was", "frames were"),
            pair.now.name()
        );
        let has = |part: &str| signs.iter().any(|sign| sign.counter.to_ascii_lowercase().contains(part));
        let (certainty, cause) = if pair.now.told.modes.is_some_and(|modes| modes.is_half) {
            (
                Certainty::Likely,
                "Collisions cut them: the link is half duplex, and the other end most likely is not.",
            )
        } else if has("jab") || has("jbr") {
            (
                Certainty::Likely,
                "A sender that doesn't stop: a network card or a port of the switch is broken.",
            )
        } else if has("under") || has("short") || has("undrsz") {
            (
                Certainty::Possible,
                "A device sends frames below 64 bytes whose check sequence is right: a broken driver or a virtual switch that doesn't pad.",
            )
        } else {
            (Certainty::Likely, "Cable or module: the signal is lost for moments.")
        };
        Finding::new(Severity::Info, pair.now.name(), sentence)
            .because(certainty, cause)
            .shown_by(signs)
            .shown_by(pair.now.link_evidence())
            .remedy(Remedy::advice(
                "Set both ends to negotiate, then exchange the cable, the modules, the port, one at a time.",
            ))
            .remedy(look_at_module(pair, window))
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::counters::ethtool_netlink::{Modes, Told};
    use crate::doctor::made::Made;
    use crate::doctor::ports::made::{port, ports, told};

    #[test]
    fn fragments_on_a_half_duplex_link() {
        let modes = Some(Modes { speed: Some(100), is_half: true, ..Modes::default() });
        let of = |received, errors| {
            told(port(received, &[("rx_fragments", errors)]), Told { modes, ..Told::default() })
        };
        assert_snapshot!(Made::default().part(of(0, 0), of(10_000, 300)).told(&CHECK));
    }

    #[rstest::rstest]
    #[case("rx_jabber", "doesn't stop")]
    #[case("rx_undersize", "below 64 bytes")]
    #[case("rx_fragments", "lost for moments")]
    fn each_has_its_cause(#[case] counter: &str, #[case] cause: &str) {
        let of = |errors| ports(port(10_000, &[(counter, errors)]));
        let findings = Made::default().part(of(0), of(30)).check(&CHECK).unwrap();
        assert!(findings[0].cause.contains(cause), "{}", findings[0].cause);
    }
}
