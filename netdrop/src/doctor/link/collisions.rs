//! `link-collisions`: two ends that send at once, which only half duplex knows (`collisions`, late collisions; IEEE 802.3 aLateCollisions).

use crate::counters::losses::Trouble;
use crate::doctor::ports::{Ports, hardware, most};
use crate::doctor::{Area, Certainty, Check, Finding, Scope, Severity, Unread, Window, source};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "link-collisions",
    area: Area::Link,
    scope: Scope::Netns,
    needs: &[source::<Ports>()],
    run,
};

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let mut findings = Vec::new();
    for pair in hardware(window)? {
        let signs = pair.signs(Trouble::Collision);
        let modes = pair.now.told.modes.unwrap_or_default();
        // Faster links know no half duplex: drivers that say so know nothing.
        let can_be_half = modes.speed.is_some_and(|speed| speed <= 1000);
        let is_half = modes.is_half && can_be_half && pair.now.link.is_running();
        let collided = most(&signs);
        if collided == 0 && !is_half {
            continue;
        }
        let name = pair.now.name();
        let is_late = signs.iter().any(|sign| {
            let counter = sign.counter.to_ascii_lowercase();
            counter.contains("late") || counter.contains("window")
        });
        let sentence = if collided > 0 {
            format!("{} that {name} sent collided with others.", counted(collided, "frame", "frames"))
        } else {
            format!("{name} runs at half duplex: it can't receive while it sends.")
        };
        // A collision is repaired by the next attempt, a late one loses its frame.
        let judged = Severity::of_loss(collided, pair.traffic()[1]);
        let severity = if is_late { judged } else { judged.min(Severity::Warning) };
        let (certainty, cause) = if is_late {
            (
                Certainty::Certain,
                "One end is full duplex and sends whenever it likes, the other is half: a late collision can't come about otherwise on a cable of legal length.",
            )
        } else {
            (
                Certainty::Likely,
                "The other end doesn't negotiate, so that this one fell back to half duplex; or there is a hub.",
            )
        };
        let what = "Let both ends negotiate: here, and at the port of the switch.";
        findings.push(
            Finding::new(severity.max(if is_half { Severity::Warning } else { Severity::Info }), name, sentence)
                .losing(window.rate(collided))
                .because(certainty, cause)
                .shown_by(signs)
                .shown_by(pair.now.link_evidence())
                .remedy(pair.now.remedy(window, what, "duplex", ("-s", "autoneg on")))
                .caution("The link goes down for some seconds. Where one end is fixed and the other negotiates, the latter falls back to half duplex: change both."),
        );
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::counters::ethtool_netlink::{Modes, Told};
    use crate::doctor::made::Made;
    use crate::doctor::ports::made::{port, told};

    fn of(late: u64, is_half: bool) -> Ports {
        let modes = Some(Modes { speed: Some(100), is_half, ..Modes::default() });
        let standard = vec![("eth-mac", "LateCollisions", late)];
        told(port(10_000 + late, &[]), Told { modes, standard, ..Told::default() })
    }

    #[test]
    fn a_duplex_mismatch() {
        assert_snapshot!(Made::default().part(of(0, true), of(40, true)).told(&CHECK));
    }

    #[test]
    fn full_duplex_without_collisions_is_nothing() {
        assert_eq!(Made::default().part(of(3, false), of(3, false)).check(&CHECK), Ok(Vec::new()));
        assert_eq!(
            Made::default().part(of(3, true), of(3, true)).check(&CHECK).unwrap()[0].severity,
            Severity::Warning
        );
    }
}
