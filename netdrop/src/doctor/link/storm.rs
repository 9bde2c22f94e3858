//! `link-storm`: frames for everybody take the link and every host's CPU (IEEE 802.3 aBroadcastFramesReceivedOK).

use crate::counters::losses::Trouble;
use crate::doctor::ports::{Ports, hardware, most};
use crate::doctor::shell::shell;
use crate::doctor::{Area, Certainty, Check, Finding, Remedy, Scope, Severity, Unread, Window, source};

pub const CHECK: Check =
    Check { name: "link-storm", area: Area::Link, scope: Scope::Netns, needs: &[source::<Ports>()], run };

/// A thousand hosts that each ask for a neighbour once a second: more than any network that is whole has.
const MANY: f64 = 1000.0;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let mut findings = Vec::new();
    for pair in hardware(window)? {
        let signs = pair.signs(Trouble::Broadcast);
        let frames = most(&signs);
        let rate = window.rate(frames);
        if rate < MANY {
            continue;
        }
        let name = pair.now.name();
        // Where they are most of what comes, there is little else: a loop.
        let is_most = frames.saturating_mul(2) >= pair.traffic()[0];
        let cause = if is_most {
            "Broadcasts are most of what comes: frames go round in a loop of switches or bridges, or a device sends without end."
        } else {
            "A device, or a bridge of this host, sends broadcasts without end."
        };
        findings.push(
            Finding::new(if is_most { Severity::Critical } else { Severity::Warning }, name, format!("{name} received {rate:.0} broadcasts a second, which every host of the network has to look at."))
                .losing(0.0)
                .because(Certainty::Likely, cause)
                .shown_by(signs)
                .remedy(Remedy::command("See who sends them.", format!("timeout 10 tcpdump -enni {} -c 100 broadcast", shell(name))).inside(window))
                .remedy(Remedy::advice("Have the spanning tree protocol on wherever bridges meet, and storm control at the switch's ports."))
                .caution("Storm control drops what is above its limit without looking: ARP and DHCP too, so that hosts can't be reached while it acts."),
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

    fn of(received: u64, broadcasts: u64) -> Ports {
        ports(port(received, &[("rx_broadcast_phy", broadcasts)]))
    }

    #[test]
    fn a_loop() {
        assert_snapshot!(Made::default().part(of(0, 0), of(300_000, 250_000)).told(&CHECK));
    }

    #[test]
    fn beside_much_else_it_is_less_and_few_are_nothing() {
        let made =
            |broadcasts| Made::default().part(of(0, 0), of(9_000_000, broadcasts)).check(&CHECK).unwrap();
        assert_eq!(made(50_000)[0].severity, Severity::Warning);
        assert_eq!(made(4000), []);
    }
}
