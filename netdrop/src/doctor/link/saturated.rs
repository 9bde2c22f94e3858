//! `link-saturated`: a link that carries as much as it can: what comes beyond waits, and is dropped here or at the switch.

use crate::doctor::ports::{Ports, hardware};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Remedy, Scope, Severity, Span, Unread, Window, source,
};

pub const CHECK: Check =
    Check { name: "link-saturated", area: Area::Link, scope: Scope::Netns, needs: &[source::<Ports>()], run };

/// What each frame takes on the wire beside the bytes that are counted: check sequence 4, preamble 8, gap 12 (IEEE 802.3).
const BESIDE: f64 = 24.0;
/// Above this share over seconds, there are moments of more than all of it: queues grow (1/(1−ρ), M/M/1: ten packets wait on average).
const FULL: f64 = 0.9;

#[expect(clippy::cast_precision_loss, reason = "a share is for people")]
fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let mut findings = Vec::new();
    // An average since the boot says nothing of any moment.
    if window.span == Span::SinceBoot {
        return Ok(findings);
    }
    for pair in hardware(window)? {
        let (Some(_), Some(modes)) = (pair.before, pair.now.told.modes) else { continue };
        let Some(speed) = modes.speed else { continue };
        let [packets_in, packets_out, bytes_in, bytes_out] = pair.traffic();
        for (verb, packets, bytes) in [("receives", packets_in, bytes_in), ("sends", packets_out, bytes_out)]
        {
            let bits = (bytes as f64 + packets as f64 * BESIDE) * 8.0;
            let share = bits / window.lasted.as_secs_f64() / (f64::from(speed) * 1e6);
            if share < FULL {
                continue;
            }
            let name = pair.now.name();
            let value = format!("{:.0} Mbit/s of {speed}", share * f64::from(speed));
            let possible = modes.most.is_some_and(|most| most > speed);
            let cause = if possible {
                "It runs at less than this port can: the other end, or the cable, has no more."
            } else {
                "There is more traffic than this link can carry."
            };
            findings.push(
                Finding::new(Severity::Warning, name, format!("{name} {verb} {:.0} percent of what its link can carry.", share.min(1.0) * 100.0))
                    .because(Certainty::Certain, cause)
                    .shown_by([Evidence::value(verb, value, format!("ip -s link show {name}"))])
                    .shown_by(pair.now.link_evidence())
                    .remedy(Remedy::advice("A faster link or a second one (bonding); or less: see who sends what, and shape what can wait.")),
            );
        }
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

    fn of(packets: u64) -> Ports {
        let modes = Modes { speed: Some(1000), most: Some(10_000), ..Modes::default() };
        told(port(packets, &[]), Told { modes: Some(modes), ..Told::default() })
    }

    #[test]
    fn a_full_link() {
        // Packets of a thousand bytes: 8192 bits on the wire each.
        let told = Made::default().part(of(0), of(580_000)).told(&CHECK);
        assert_snapshot!(told.split_once("\n\n").unwrap().0);
    }

    #[test]
    fn half_a_link_is_fine() {
        assert_eq!(Made::default().part(of(0), of(300_000)).check(&CHECK), Ok(Vec::new()));
        assert_eq!(Made::default().part(of(0), of(580_000)).since_boot().check(&CHECK), Ok(Vec::new()));
    }
}
