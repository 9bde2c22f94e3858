//! `link-symbol-errors`: symbols that are none, and a carrier lost while sending (IEEE 802.3 aSymbolErrorDuringCarrier, aCarrierSenseErrors).

use super::look_at_module;
use crate::counters::losses::Trouble;
use crate::doctor::ports::{Ports, hardware, most};
use crate::doctor::{Area, Certainty, Check, Finding, Remedy, Scope, Severity, Unread, Window, source};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "link-symbol-errors",
    area: Area::Link,
    scope: Scope::Netns,
    needs: &[source::<Ports>()],
    run,
};

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let mut findings = Vec::new();
    for pair in hardware(window)? {
        let (symbols, carrier) = (pair.signs(Trouble::Symbol), pair.signs(Trouble::Carrier));
        let [received, sent, ..] = pair.traffic();
        let (wrong, lost) = (most(&symbols), most(&carrier));
        if wrong + lost == 0 {
            continue;
        }
        let name = pair.now.name();
        let told = |wrong| counted(wrong, "symbol that doesn't exist", "symbols that don't exist");
        let sentence = match (wrong, lost) {
            (wrong, 0) => {
                format!("{name} read {}: the signal that reaches it is bad.", told(wrong))
            }
            (0, lost) => format!(
                "{} could not be sent from {name}, as there was no carrier.",
                counted(lost, "frame", "frames")
            ),
            (wrong, lost) => format!(
                "{name} read {}, and lost its carrier for {} that it sent.",
                told(wrong),
                counted(lost, "frame", "frames")
            ),
        };
        // An idle link sends symbols too: many may be wrong while no frame is damaged. Those are told by other checks.
        let severity =
            Severity::of_loss(wrong, received).min(Severity::Warning).max(Severity::of_loss(lost, sent));
        findings.push(
            Finding::new(severity, name, sentence)
                .losing(window.rate(lost))
                .because(Certainty::Likely, "Cable, connector or module: too little light, a bent or dirty fibre, a copper cable that is too long or badly crimped.")
                .shown_by(symbols)
                .shown_by(carrier)
                .shown_by(pair.now.link_evidence())
                .remedy(look_at_module(&pair, window))
                .remedy(Remedy::advice("Clean or exchange the cable, then the module at either end.")),
        );
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::counters::ethtool_netlink::Told;
    use crate::doctor::made::Made;
    use crate::doctor::ports::made::{port, ports, told};

    #[test]
    fn a_bad_signal() {
        let of = |wrong| {
            let standard = vec![("eth-phy", "SymbolErrorDuringCarrier", wrong)];
            told(port(10_000, &[("illegal_bytes", wrong / 2)]), Told { standard, ..Told::default() })
        };
        assert_snapshot!(Made::default().part(of(0), of(3000)).told(&CHECK));
    }

    #[test]
    fn what_did_not_move_is_no_finding() {
        let of = || ports(port(10_000, &[("illegal_bytes", 44)]));
        assert_eq!(Made::default().part(of(), of()).check(&CHECK), Ok(Vec::new()));
    }
}
