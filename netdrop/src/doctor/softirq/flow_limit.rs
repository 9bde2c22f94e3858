//! `softirq-flow-limit`: packets of a flow that took more than its share of a filling backlog (`skb_flow_limit`, net/core/dev.c).

use super::{Softnet, pairs};
use crate::doctor::{
    Area, Certainty, Check, Finding, Moved, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "softirq-flow-limit",
    area: Area::Softirq,
    scope: Scope::Host,
    needs: &[source::<Softnet>()],
    run,
};

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let (mut limited, mut passed) = (Vec::new(), 0);
    for (before, after) in pairs(window.both::<Softnet>()?) {
        let name = format!("flow_limit_count on CPU {}", after.cpu);
        let pair = (before.flow_limit, after.flow_limit);
        limited.push(Moved::of_32_bits(name, pair, window.lasted, Softnet::FROM));
        passed += u64::from(after.processed.wrapping_sub(before.processed));
    }
    limited.retain(|moved| moved.by() > 0);
    let lost: u64 = limited.iter().map(Moved::by).sum();
    if lost == 0 {
        return Ok(Vec::new());
    }
    let sentence = format!(
        "{} dropped, so that smaller flows find room in the backlog.",
        counted(lost, "packet of a single large flow was", "packets of single large flows were")
    );
    Ok(vec![
        Finding::new(Severity::of_loss(lost, passed), "large flows", sentence)
            .losing(window.rate(lost))
            .because(
                Certainty::Certain,
                "A flow had more than half of the last 128 packets of a backlog that was half full, and a flow limit is set (FLOW_LIMIT_HISTORY).",
            )
            .shown_by(limited)
            .shown_by(window.drops_of(&["CPU_BACKLOG", "enqueue_to_backlog"]))
            .explains(&["CPU_BACKLOG", "enqueue_to_backlog"])
            .remedy(Remedy::host_sysctl("Switch the limit off, on all CPUs.", &[(
                "net.core.flow_limit_cpu_bitmap",
                &0,
            )]))
            .caution("The limit was switched on by somebody to protect small flows; without it the large one takes their room."),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made::Made;
    use crate::doctor::softirq::Cpu;

    #[test]
    fn a_large_flow_is_told_of() {
        let after = Cpu { flow_limit: 100, processed: 1000, ..Cpu::default() };
        let made = Made::default().part(Softnet::default(), Softnet(vec![after]));
        let findings = made.check(&CHECK).unwrap();
        assert_eq!(findings[0].severity, Severity::Critical);
        assert_eq!(findings[0].remedies[0].now, ["sysctl -w net.core.flow_limit_cpu_bitmap=0"]);
        let quiet = Made::default().part(Softnet(vec![after]), Softnet(vec![after]));
        assert_eq!(quiet.check(&CHECK), Ok(Vec::new()));
    }
}
