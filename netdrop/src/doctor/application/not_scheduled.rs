//! `application-not-scheduled`: those who should read are ready to run and wait for a CPU (`sched_info.run_delay`; PSI).

use super::case::{Case, Ran};
use super::check;
use super::limit::{self, Limit};
use super::verdict::found;
use crate::counters::process;
use crate::doctor::{Certainty, Check, Evidence, Finding, Remedy};

pub const CHECK: Check =
    check("application-not-scheduled", |window| found(window, "application-not-scheduled"));

/// A thread waited for a CPU in so many percent of the window: for a fifth of the time nobody read although somebody wanted to.
const WAITED: u64 = 20;

/// By its threads' run delay: that which waited longest.
pub fn judge(case: &Case) -> Option<Finding> {
    let threads = case.threads();
    let waited = |one: &Ran| one.waited.unwrap_or(0);
    let worst = threads.iter().max_by_key(|one| waited(one))?;
    let share = case.share(waited(worst));
    if share < WAITED {
        return None;
    }
    let (pid, id) = (case.after.pid, worst.thread.id);
    let from = format!("/proc/{pid}/task/{id}/schedstat");
    let (allowed, online) = (process::cpus(&case.after.cpus).unwrap_or(0), case.cpus());
    let is_pinned = allowed > 0 && allowed < online;
    let sentence = format!(
        "Its process is ready to read and gets no CPU: a thread waited for one in {share} % of the time, and ran in {} %.",
        case.share(worst.on_cpu)
    );
    let why = if is_pinned {
        format!(
            "It may run on {allowed} of {online} CPUs alone ({}), and others keep those busy.",
            case.after.cpus
        )
    } else {
        "The CPUs are busy with others: there are more threads that want to run than CPUs.".into()
    };
    let milliseconds = |nanoseconds: u64| format!("{} ms", nanoseconds / 1_000_000);
    let mut finding = case
        .finding(case.severity(), sentence)
        .because(Certainty::Likely, why)
        .shown_by([
            Evidence::value(
                format!("thread {}({id}) waited", worst.thread.name),
                milliseconds(waited(worst)),
                from.clone(),
            ),
            Evidence::value("it ran", milliseconds(worst.on_cpu), from),
            Evidence::value("CPUs that it may use", &case.after.cpus, format!("/proc/{pid}/status")),
        ])
        .shown_by(case.host_stalled())
        .caution("What it gets, others lose: see first what they are (top), and whether they are needed. With kernel.sched_autogroup_enabled, nice counts within a session alone (/proc/PID/autogroup).");
    if is_pinned {
        let all = format!("0-{}", online - 1);
        let what = "Let it run on all CPUs.";
        finding = finding.remedy(
            Remedy::command(what, format!("taskset -acp {all} {pid}"))
                .kept_by("where it is pinned: CPUAffinity= or AllowedCPUs= of the unit, cpuset of the container, taskset in its script"),
        );
    }
    let what = "Prefer its threads to others of its cgroup.";
    let renice = format!("for t in /proc/{pid}/task/*; do renice -n -10 -p ${{t##*/}}; done");
    finding = finding.remedy(Remedy::command(what, renice).kept_by("in its unit: Nice=-10"));
    let group = case.groups().find(|(_, _, group)| group.counts.get("nr_periods").is_some());
    match group {
        Some((folder, _, group)) => {
            finding.remedy(limit::set("Prefer its cgroup to others.", folder, group, Limit::Weight))
        }
        None => finding,
    }
    .into()
}
