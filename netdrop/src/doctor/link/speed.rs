//! `link-speed`: a link slower than both of its ends could be (IEEE 802.3, clause 28: negotiation takes the best that both offer).

use crate::doctor::ports::{Ports, hardware};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Remedy, Scope, Severity, Unread, Window, source,
};

pub const CHECK: Check =
    Check { name: "link-speed", area: Area::Link, scope: Scope::Netns, needs: &[source::<Ports>()], run };

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let untold = window.now::<Ports>()?.untold.as_ref();
    let mut findings = Vec::new();
    for pair in hardware(window)?.iter().filter(|pair| pair.now.link.is_running()) {
        let Some(modes) = pair.now.told.modes else { continue };
        let (Some(speed), Some(most), Some(peer)) = (modes.speed, modes.most, modes.peer) else { continue };
        let possible = most.min(peer);
        if speed >= possible {
            continue;
        }
        let name = pair.now.name();
        let offered = modes.offered.unwrap_or(0);
        let sentence = format!("{name} runs at {speed} Mbit/s, though both ends can do {possible}.");
        let finding =
            Finding::new(Severity::Warning, name, sentence).shown_by(pair.now.link_evidence()).shown_by([
                Evidence::value(
                    "offered here",
                    format!("up to {offered} Mbit/s of {most}"),
                    format!("ethtool {name}"),
                ),
                Evidence::value("offered there", format!("up to {peer} Mbit/s"), format!("ethtool {name}")),
            ]);
        let setting = format!("autoneg on speed {possible} duplex full");
        findings.push(if offered < possible || !modes.is_negotiated {
            finding
                .because(Certainty::Certain, "This end is set to less than it can.")
                .remedy(pair.now.remedy(window, format!("Offer {possible} Mbit/s."), "speed", ("-s", &setting)))
                .caution("The link goes down for some seconds while it negotiates.")
        } else {
            finding
                .because(Certainty::Likely, "Both offered more, and fell back: a wire of the cable is broken or badly crimped (1000BASE-T and above need all four pairs), or the cable is of too low a category.")
                .remedy(Remedy::advice("Exchange the cable; then look at the connectors and the patch panel."))
        });
    }
    match untold {
        Some(why) if findings.is_empty() => Err(Unread::new("ethtool's netlink interface", why)),
        _ => Ok(findings),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::counters::ethtool_netlink::{Modes, Told};
    use crate::doctor::made::Made;
    use crate::doctor::ports::made::{port, told};

    fn made(speed: u32, offered: u32, peer: Option<u32>) -> Made {
        let modes = Modes {
            is_negotiated: true,
            speed: Some(speed),
            is_half: false,
            most: Some(10_000),
            offered: Some(offered),
            peer,
        };
        let of = || told(port(0, &[]), Told { modes: Some(modes), ..Told::default() });
        Made::default().part(of(), of())
    }

    #[test]
    fn a_broken_pair_of_wires() {
        assert_snapshot!(made(100, 10_000, Some(1000)).told(&CHECK));
    }

    #[test]
    fn this_end_offers_less() {
        assert_snapshot!(made(100, 100, Some(1000)).told(&CHECK));
    }

    #[test]
    fn the_best_that_both_can_is_fine_and_so_is_what_nobody_told() {
        assert_eq!(made(1000, 10_000, Some(1000)).check(&CHECK), Ok(Vec::new()));
        assert_eq!(made(1000, 10_000, None).check(&CHECK), Ok(Vec::new()));
    }

    #[test]
    fn a_kernel_without_that_interface_says_so() {
        let ports = || Ports { untold: Some("no family".into()), ..Ports::default() };
        let why = Made::default().part(ports(), ports()).check(&CHECK).unwrap_err();
        assert_eq!(why, "ethtool's netlink interface: no family");
    }
}
