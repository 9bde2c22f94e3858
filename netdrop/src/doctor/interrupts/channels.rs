//! `interrupts-channels`: fewer queues than the device and the CPUs could have, while one CPU can't keep up (scaling.rst: a queue for each CPU, or
//! as many as the device has).

use super::strained;
use crate::counters::cpu_times::CpuTimes;
use crate::doctor::ports::Ports;
use crate::doctor::{Area, Certainty, Check, Evidence, Finding, Scope, Severity, Unread, Window, source};

pub const CHECK: Check = Check {
    name: "interrupts-channels",
    area: Area::Interrupts,
    scope: Scope::Netns,
    needs: &[source::<Ports>(), source::<CpuTimes>()],
    run,
};

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let mut findings = Vec::new();
    for port in strained(window)? {
        let Some(channels) = port.pair.now.told.channels else { continue };
        let (kind, (now, most)) =
            if channels.combined.1 > 0 { ("combined", channels.combined) } else { ("rx", channels.receive) };
        let cpus = u32::try_from(port.cpus.len()).unwrap_or(u32::MAX);
        let wanted = most.min(cpus);
        if now == 0 || now >= wanted {
            continue;
        }
        let name = port.pair.now.name();
        let sentence = format!(
            "{name} spreads its packets over {now} of {most} possible queues, while there are {cpus} CPUs, and it can't be kept up with."
        );
        let value = format!("{now} of {most} ({kind})");
        findings.push(
            Finding::new(Severity::Warning, name, sentence)
                .losing(port.losing(window))
                .because(Certainty::Likely, "Each queue is emptied by one CPU: as many CPUs as there are queues work at most.")
                .shown_by(port.evidence())
                .shown_by([Evidence::value("channels", value, format!("ethtool -l {name}"))])
                .remedy(port.pair.now.remedy(window, format!("Use {wanted} queues."), "channels", ("-L", &format!("{kind} {wanted}"))))
                .caution("The device starts anew: its link may go down for seconds, and filters and the indirection table are set back. One flow stays on one queue, however many there are."),
        );
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::counters::ethtool_netlink::{Channels, Told};
    use crate::doctor::interrupts::made::window;
    use crate::doctor::made::Made;
    use crate::doctor::ports::Port;
    use crate::doctor::ports::made::port;

    fn made(percent: u64, now: u32) -> Made {
        let channels = Some(Channels { combined: (now, 63), receive: (0, 0) });
        let of = |received| Port { told: Told { channels, ..Told::default() }, ..port(received, &[]) };
        window(percent, of(0), of(500_000))
    }

    #[test]
    fn one_queue_for_four_cpus() {
        assert_snapshot!(made(80, 1).told(&CHECK));
    }

    #[test]
    fn as_many_as_cpus_or_nothing_to_do_is_fine() {
        assert_eq!(made(80, 4).check(&CHECK), Ok(Vec::new()));
        assert_eq!(made(30, 1).check(&CHECK), Ok(Vec::new()));
        assert_eq!(made(80, 1).since_boot().check(&CHECK), Ok(Vec::new()));
    }
}
