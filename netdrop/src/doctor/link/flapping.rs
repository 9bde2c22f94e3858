//! `link-flapping`: a carrier that goes and comes back (`IFLA_CARRIER_CHANGES`, counted by `netif_carrier_on` and `netif_carrier_off`, `net/sched/sch_generic.c`).

use crate::doctor::ports::{Pair, Ports, pairs};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Moved, Remedy, Scope, Severity, Span, Unread, Window, source,
};
use crate::units::times;

pub const CHECK: Check =
    Check { name: "link-flapping", area: Area::Link, scope: Scope::Netns, needs: &[source::<Ports>()], run };

/// A link that somebody sets up once more changes twice: going once in a window is told, and may have been meant.
const OFTEN: u64 = 4;
/// Since the boot, a link changes as often as cables are pulled and switches restarted. More than this is worth knowing.
const OFTEN_SINCE_BOOT: u64 = 20;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let since_boot = window.span == Span::SinceBoot;
    let mut findings = Vec::new();
    for pair in pairs(window)?.into_iter().filter(|pair| pair.now.link.is_up()) {
        // A device that came in between, as a container's, was set up: that is no flapping.
        if pair.before.is_none() && !since_boot {
            continue;
        }
        let before = pair.before.and_then(|port| port.link.carrier_changes).unwrap_or(0);
        let Some(now) = pair.now.link.carrier_changes else { continue };
        let from = format!("ip -d link show {} (carrier_changes)", pair.now.name());
        let changes = Moved::of_32_bits("carrier changes", (before, now), window.lasted, from);
        // A port that went down just now has changed once.
        let is_down = pair.now.link.is_hardware() && !pair.now.link.is_running();
        let few = if since_boot {
            OFTEN_SINCE_BOOT
        } else if is_down {
            1
        } else {
            2
        };
        if changes.by() >= few {
            findings.push(flapping(window, &pair, changes));
        }
    }
    Ok(findings)
}

fn flapping(window: &Window, pair: &Pair, changes: Moved) -> Finding {
    let name = pair.now.name();
    let (count, is_running) = (changes.by(), pair.now.link.is_running());
    let state = if is_running { "up" } else { "down" };
    let sentence = if count == 1 {
        format!("The link of {name} went down and is down: its carrier is gone.")
    } else {
        format!(
            "The link of {name} went down and came up: its carrier changed {}, and it is {state} now.",
            times(count)
        )
    };
    // A bridge has a carrier as long as a port of it has: it comes and goes with containers.
    let is_bridge = pair.now.link.kind.as_deref() == Some("bridge");
    let severity = if window.span == Span::SinceBoot || is_bridge {
        Severity::Info
    } else if !is_running && pair.now.link.is_hardware() {
        Severity::Critical
    } else if count >= OFTEN {
        Severity::Warning
    } else {
        Severity::Info
    };
    let finding = Finding::new(severity, name, sentence)
        .shown_by([changes])
        .shown_by([Evidence::value("link", state, format!("ip link show {name}"))])
        .shown_by(pair.now.link_evidence());
    if pair.now.link.is_hardware() {
        finding
            .because(Certainty::Likely, "A loose or damaged cable, a module at its end, a port or a switch that restarts; where both ends save energy (EEE), one may be slow to wake.")
            .remedy(Remedy::advice("Seat cable and modules anew, then exchange them. Compare with the log of the switch: whether it lost the link too, or took it down itself."))
            .remedy(pair.now.remedy(window, "Switch off Energy-Efficient Ethernet, if the driver has it.", "eee", ("--set-eee", "eee off")))
    } else {
        finding
            .because(Certainty::Likely, "It is virtual: whoever has its other end, or the device below it, takes that down and up, as a container that is started again and again.")
            .remedy(Remedy::command("See who changes links.", "timeout 30 ip -timestamp monitor link").inside(window))
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::Made;
    use crate::doctor::ports::Port;
    use crate::doctor::ports::made::{port, ports};

    fn of(changes: u32, flags: u32, kind: Option<&str>) -> Port {
        let mut port = port(0, &[]);
        port.link.carrier_changes = Some(changes);
        port.link.flags = flags;
        port.link.kind = kind.map(Into::into);
        port
    }

    #[test]
    fn a_port() {
        assert_snapshot!(
            Made::default().part(ports(of(2, 0x41, None)), ports(of(8, 0x41, None))).told(&CHECK)
        );
    }

    #[test]
    fn a_veth() {
        let made = Made::default().part(ports(of(2, 0x41, Some("veth"))), ports(of(6, 0x41, Some("veth"))));
        let findings = made.check(&CHECK).unwrap();
        assert!(findings[0].cause.contains("virtual"), "{findings:?}");
        assert_eq!(findings[0].severity, Severity::Warning);
        // A bridge whose last container went.
        let bridge = |changes, flags| ports(of(changes, flags, Some("bridge")));
        let findings = Made::default().part(bridge(2, 0x41), bridge(7, 1)).check(&CHECK).unwrap();
        assert_eq!(findings[0].severity, Severity::Info);
    }

    #[rstest::rstest]
    #[case::once(4, 0x41, Some(Severity::Info))]
    #[case::down_now(3, 0x1, Some(Severity::Critical))]
    #[case::again_and_down(5, 0x1, Some(Severity::Critical))]
    #[case::set_down_by_hand(5, 0, None)]
    #[case::came_up(3, 0x41, None)]
    fn how_bad(#[case] changes: u32, #[case] flags: u32, #[case] severity: Option<Severity>) {
        let findings = Made::default()
            .part(ports(of(2, 0x41, None)), ports(of(changes, flags, None)))
            .check(&CHECK)
            .unwrap();
        assert_eq!(findings.first().map(|finding| finding.severity), severity);
    }

    #[test]
    fn new_devices_were_set_up() {
        let made = Made::default().part(Ports::default(), ports(of(8, 0x41, None)));
        assert_eq!(made.check(&CHECK), Ok(Vec::new()));
        assert_eq!(made.since_boot().check(&CHECK), Ok(Vec::new()));
    }
}
