//! `interrupts-steering`: RPS, RFS and XPS that are missing, half set, or in each other's way (Documentation/networking/scaling.rst).

use super::{Steering, Strained, at_sysfs, strained};
use crate::counters::cpu_set::CpuSet;
use crate::counters::cpu_times::CpuTimes;
use crate::counters::queues::Queues;
use crate::doctor::parts::Sysctls;
use crate::doctor::ports::Ports;
use crate::doctor::shell::shell;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};

pub const CHECK: Check = Check {
    name: "interrupts-steering",
    area: Area::Interrupts,
    scope: Scope::Netns,
    needs: &[source::<Ports>(), source::<CpuTimes>(), source::<Steering>(), source::<Sysctls>()],
    run,
};

const FLOWS: &str = "net.core.rps_sock_flow_entries";
/// scaling.rst: so many for a server of moderate load.
const MANY_FLOWS: u32 = 32_768;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let strained = strained(window)?;
    let steering = window.now::<Steering>()?;
    let missing =
        strained.iter().filter_map(|port| missing(window, port, steering.of(port.pair.now.name())?));
    let mut findings: Vec<Finding> = missing.collect();
    // A namespace of its own sees no such setting: it is the host's.
    if let Ok(flows) = window.sysctl(FLOWS) {
        findings.extend(steering.devices.iter().filter_map(|queues| half(window, queues, flows)));
    }
    let cpus = window.now::<CpuTimes>()?.0.len();
    findings.extend(steering.devices.iter().filter_map(|queues| funnel(window, queues, cpus)));
    Ok(findings)
}

/// One queue, and no software spreads what it gets.
fn missing(window: &Window, port: &Strained, queues: &Queues) -> Option<Finding> {
    let channels = port.pair.now.told.channels.unwrap_or_default();
    let could_have_more = channels.combined.1.max(channels.receive.1) > 1;
    let is_one = queues.receive.len() == 1 && !could_have_more;
    let (hot, _) = port.hot.first()?;
    if !is_one || !queues.receive[0].cpus.is_empty() {
        return None;
    }
    let name = port.pair.now.name();
    // scaling.rst: the interrupted CPU does enough already.
    let others = CpuSet(port.cpus.iter().copied().filter(|cpu| cpu != hot).collect());
    let file = format!("/sys/class/net/{name}/queues/rx-0/rps_cpus");
    let command = format!("echo {} > {}", others.mask(), shell(&file));
    let rule = || port.pair.now.rule("rps", &format!("ATTR{{queues/rx-0/rps_cpus}}=\"{}\"", others.mask()));
    let spread = Remedy {
        what: "Have the other CPUs take the packets through the stack (RPS).".into(),
        now: vec![at_sysfs(window, &command)],
        persistently: window.home.enter.is_none().then(rule),
    };
    Some(
        Finding::new(Severity::Warning, name, format!("{name} has one receive queue, whose packets CPU {hot} can't keep up with, while {} others could help.", others.len()))
            .losing(port.losing(window))
            .because(Certainty::Likely, "One queue is emptied by one CPU, and RPS, which would hand its packets to others, is off.")
            .shown_by(port.evidence())
            .shown_by([Evidence::value("rps_cpus", "0", file)])
            .remedy(spread)
            .caution("Each packet then costs a second CPU's attention: on a host that is busy all over, RPS makes it worse. One flow stays on one CPU."),
    )
}

/// RFS needs both its settings: the host's and the queue's (`set_rps_cpu`, net/core/dev.c, looks at the queue's table first).
fn half(window: &Window, queues: &Queues, flows: u64) -> Option<Finding> {
    let name = &queues.device;
    let set: Vec<_> = queues.receive.iter().enumerate().filter(|(_, queue)| queue.flows > 0).collect();
    if set.is_empty() || flows > 0 {
        return None;
    }
    let what = format!("Set the other half: {MANY_FLOWS} flows for all queues together.");
    Some(
        Finding::new(Severity::Info, name, format!("{name} is set to follow flows to their readers (RFS), but the host's table of flows has no entries: it does nothing."))
            .because(Certainty::Certain, "RFS needs two settings, and one of them is missing.")
            .shown_by(set.iter().take(4).map(|(number, queue)| Evidence::value(format!("rps_flow_cnt of rx-{number}"), queue.flows, Steering::FROM)))
            .shown_by(window.setting(FLOWS))
            .remedy(Remedy::host_sysctl(what, &[(FLOWS, &MANY_FLOWS)]))
            .caution("Hygiene: nothing is lost by it now."),
    )
}

/// XPS that has all CPUs send by one queue of several (`get_xps_queue`, net/core/dev.c: a CPU's map comes before the hash).
fn funnel(window: &Window, queues: &Queues, cpus: usize) -> Option<Finding> {
    let (name, count) = (&queues.device, queues.transmit.len());
    let mut set = queues.transmit.iter().enumerate().filter(|(_, queue)| !queue.is_empty());
    let (queue, mask) = set.next()?;
    if set.next().is_some() || count < 2 || cpus < 2 || mask.len() < cpus {
        return None;
    }
    let file = format!("/sys/class/net/{name}/queues/tx-{queue}/xps_cpus");
    let command = at_sysfs(window, &format!("echo 0 > {}", shell(&file)));
    let sentence =
        format!("All {cpus} CPUs send by transmit queue {queue} of {name} alone, though it has {count}.");
    let cause =
        "Only that queue has CPUs set (XPS), and it has all of them: the other queues are never chosen.";
    let what = "Leave the choice of the queue to the flows' hash; or give each queue CPUs of its own.";
    Some(
        Finding::new(Severity::Info, name, sentence)
            .because(Certainty::Certain, cause)
            .shown_by([Evidence::value("xps_cpus", mask.mask(), file)])
            .remedy(Remedy::command(what, command))
            .caution("Hygiene: it costs where many CPUs send at once, and wait for one queue's lock."),
    )
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::counters::links::Link;
    use crate::counters::queues::ReceiveQueue;
    use crate::doctor::Home;
    use crate::doctor::interrupts::made::window;
    use crate::doctor::made::Made;
    use crate::doctor::ports::Port;
    use crate::doctor::ports::made::port;
    use crate::doctor::shell::made::arguments;

    fn made(percent: u64, cpus: &[u32], flows: u32, entries: u32) -> Made {
        let receive = vec![ReceiveQueue { cpus: CpuSet(cpus.to_vec()), flows }];
        let queues = Queues { device: "eth0".into(), receive, ..Queues::default() };
        let settings: Sysctls = [(FLOWS, entries)].into_iter().collect();
        window(percent, port(0, &[]), port(500_000, &[]))
            .part(Steering::default(), Steering { devices: vec![queues], is_balanced: false })
            .part(Sysctls::default(), settings)
    }

    #[test]
    fn one_queue_and_no_help() {
        assert_snapshot!(made(90, &[], 0, 0).told(&CHECK));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]

        /// The folder is within a command that is within another's argument.
        #[test]
        fn whatever_device_and_namespace_are_called(device in r"[^\x00/:\s]{1,15}", path in r"/run/netns/[^\x00/]{1,12}") {
            let of = |received| {
                let port = port(received, &[]);
                Port { link: Link { name: device.clone(), ..port.link }, ..port }
            };
            let receive = vec![ReceiveQueue { cpus: CpuSet(Vec::new()), flows: 0 }];
            let devices = vec![Queues { device: device.clone(), receive, ..Queues::default() }];
            let home = Home { inode: 9, name: None, enter: Some(path.as_str().into()) };
            let findings = window(90, of(0), of(500_000))
                .part(Steering::default(), Steering { devices, is_balanced: false })
                .part(Sysctls::default(), Sysctls::default())
                .at(home)
                .check(&CHECK)
                .unwrap();
            let words = arguments("nsenter", &findings[0].remedies[0].now[0]);
            assert_eq!(words[..5], [&format!("--net={path}"), "unshare", "--mount", "sh", "-c"]);
            let script = words[5].strip_prefix("mount -t sysfs sysfs /sys && ").unwrap();
            let file = arguments("echo", &script.replacen('>', "", 1)).pop().unwrap();
            assert_eq!(file, format!("/sys/class/net/{device}/queues/rx-0/rps_cpus"));
        }
    }

    fn sending(masks: &[&str]) -> Made {
        let transmit = masks.iter().map(|mask| CpuSet::of_mask(mask).unwrap()).collect();
        let queues = Queues { device: "eth0".into(), transmit, ..Queues::default() };
        let devices = vec![queues];
        window(0, port(0, &[]), port(0, &[]))
            .part(Steering::default(), Steering { devices, is_balanced: false })
            .part(Sysctls::default(), Sysctls::default())
    }

    #[test]
    fn all_send_by_one_queue() {
        assert_snapshot!(sending(&["0", "f", "0"]).told(&CHECK));
        for fine in [&["1", "2", "c"][..], &["0", "0"], &["f"], &["3", "0"]] {
            assert_eq!(sending(fine).check(&CHECK), Ok(Vec::new()), "{fine:?}");
        }
    }

    #[test]
    fn half_of_it() {
        assert_snapshot!(made(0, &[], 4096, 0).told(&CHECK));
    }

    #[rstest::rstest]
    #[case::helped(90, &[1, 2, 3], 0, 0)]
    #[case::at_ease(10, &[], 0, 0)]
    #[case::whole(10, &[], 4096, 32_768)]
    fn fine(#[case] percent: u64, #[case] cpus: &[u32], #[case] flows: u32, #[case] entries: u32) {
        assert_eq!(made(percent, cpus, flows, entries).check(&CHECK), Ok(Vec::new()));
    }
}
