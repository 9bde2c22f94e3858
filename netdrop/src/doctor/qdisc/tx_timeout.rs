//! `qdisc-tx-timeout`: queues of a device that stood still until the kernel had the device reset (`dev_watchdog`, `net/sched/sch_generic.c`).

use super::TxTimeouts;
use crate::doctor::shell::shell;
use crate::doctor::{
    Area, Certainty, Check, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::times;

pub const CHECK: Check = Check {
    name: "qdisc-tx-timeout",
    area: Area::Qdisc,
    scope: Scope::Host,
    needs: &[source::<TxTimeouts>()],
    run,
};

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let (before, after) = window.both::<TxTimeouts>()?;
    let mut findings = Vec::new();
    for (queue, count) in &after.0 {
        let pair = (before.0.get(queue).copied().unwrap_or(0), *count);
        let moved = window.moved(format!("tx_timeout of {queue}"), pair, TxTimeouts::FROM);
        if moved.by() > 0 {
            let device = queue.split(' ').next().unwrap_or_default();
            let sentence = format!(
                "A queue of {device} sent nothing for so long, {}, that the device was reset.",
                times(moved.by())
            );
            findings.push(
                Finding::new(Severity::Critical, queue, sentence)
                    .shown_by([moved])
                    .because(
                        Certainty::Likely,
                        "The device or its driver hangs: a fault of firmware or driver, pause frames from the other side without end, or an interrupt that never comes.",
                    )
                    .remedy(Remedy::command(
                        "See what the driver said then, and which driver and firmware it is.",
                        format!("dmesg | grep -i -A 3 -e {} -e 'transmit queue'; ethtool -i {}", shell(&format!("NETDEV WATCHDOG: {device}")), shell(device)),
                    ))
                    .remedy(Remedy::advice(
                        "Update firmware and driver. Until then, offloads may be what hangs: `ethtool -K DEVICE tso off gso off`; look at the link's pause frames, too.",
                    ))
                    .caution("All that was in the device's rings is lost each time. Without offloads, sending takes more of the CPU."),
            );
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::Made;

    fn made(before: u64, after: u64) -> Made {
        let of = |count| TxTimeouts([("eth0 tx-3".to_owned(), count), ("eth0 tx-4".to_owned(), 9)].into());
        Made::default().part(of(before), of(after))
    }

    #[test]
    fn a_device_hangs() {
        assert_snapshot!(made(1, 3).told(&CHECK));
    }

    #[test]
    fn old_ones_are_over() {
        assert_eq!(made(3, 3).check(&CHECK), Ok(Vec::new()));
    }
}
