//! `application-throttled`: nobody reads for a part of each period, as the cgroup has used up its quota of the CPU (`throttle_cfs_rq`, kernel/sched/fair.c).

use super::case::Case;
use super::check;
use super::limit::{self, Limit};
use super::verdict::found;
use crate::doctor::{Certainty, Check, Evidence, Finding};

pub const CHECK: Check = check("application-throttled", |window| found(window, "application-throttled"));

/// Throttled for less than a twentieth of the window, a queue that holds a tenth of a second carries over it.
const SHARE: u64 = 5;
/// Of a quota that is enough, a tenth of the periods may use all, in bursts.
const PERIODS: u64 = 10;

/// By `cpu.stat` of its cgroup and those around it: that which was kept waiting longest.
pub fn judge(case: &Case) -> Option<Finding> {
    let time = |group: &super::groups::Group| group.counts.throttled().unwrap_or(0);
    let groups = case.groups().filter(|(_, _, after)| after.quota.is_some());
    let worst = groups.max_by_key(|(_, before, after)| time(after).saturating_sub(time(before)))?;
    let (folder, before, after) = worst;
    let throttled = time(after).saturating_sub(time(before));
    let moved = |name| case.moved(name, "cpu.stat", worst);
    let (count, periods) = (moved("nr_throttled"), moved("nr_periods"));
    let is_throttled =
        case.share(throttled) >= SHARE && count.by() >= 2 && count.by() * PERIODS >= periods.by();
    let quota = after.quota.filter(|_| is_throttled)?;
    // What it ran, and what it would have run in the time that it was kept waiting.
    let usage = case.moved("usage_usec", "cpu.stat", worst).by().saturating_mul(1000).max(case.used());
    let wanted = case.share(usage.saturating_add(throttled));
    let most = u64::from(case.cpus()) * 100;
    // A quarter more for bursts, in steps of ten percent; and clearly more than now.
    let enough = (wanted + wanted / 4).next_multiple_of(10).max(quota.percent() * 3 / 2).max(10);
    let enough = enough.min(most.max(quota.percent()));
    let what = format!(
        "Give it {enough} % of a CPU: it used {} % and would have run for up to {} % more.",
        case.share(usage),
        case.share(throttled)
    );
    let sentence = format!(
        "Its process may not run for a part of the time: its cgroup's CPU quota was used up in {} of {} periods.",
        count.by(),
        periods.by()
    );
    let name = if after.is_old { "throttled_time" } else { "throttled_usec" };
    let (quota_file, of) = if after.is_old { ("cpu.cfs_quota_us", "µs in") } else { ("cpu.max", "µs in") };
    let quota_text = format!("{} {of} {} µs: {} % of a CPU", quota.quota, quota.period, quota.percent());
    Some(
        case.finding(case.severity(), sentence)
            .because(
                Certainty::Likely,
                format!(
                    "The cgroup {} may use {} % of a CPU and wants more. When a period's quota is used up, all its processes stand still until the next period, and what comes meanwhile waits in the sockets' queues.",
                    after.path,
                    quota.percent()
                ),
            )
            .shown_by([count, periods, moved(name)])
            .shown_by([Evidence::value("quota", quota_text, format!("{folder}/{quota_file}"))])
            .remedy(limit::set(what, folder, after, Limit::Cpu(enough)))
            .caution("What it gets, others on the host lose. Where a quota is shared by many threads, fewer threads last longer with the same quota."),
    )
}
