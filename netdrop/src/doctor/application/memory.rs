//! `application-memory`: those who should read wait for memory, or their sockets may have no more of it (Documentation/admin-guide/cgroup-v2.rst, "Memory").

use super::case::Case;
use super::check;
use super::groups::Group;
use super::limit::{self, Limit};
use super::verdict::found;
use crate::doctor::{Certainty, Check, Evidence, Finding};
use crate::units::{bytes, times};

pub const CHECK: Check = check("application-memory", |window| found(window, "application-memory"));

/// Somebody in the cgroup waited for memory in so many percent of the window. Reclaim of a cache that fills its limit takes less.
const STALLED: u64 = 10;
/// So many pages a second that had to be read from a disk again: at some 100 µs each, a fiftieth of the time at least.
const FAULTS: u64 = 200;

/// By `memory.events`, PSI and major faults of its cgroup and those around it.
pub fn judge(case: &Case) -> Option<Finding> {
    case.groups().find_map(|of| of_group(case, of))
}

fn of_group(case: &Case, of: (&str, &Group, &Group)) -> Option<Finding> {
    let (folder, before, after) = of;
    let file = if after.is_old { "memory.failcnt" } else { "memory.events" };
    let moved = |name| case.moved(name, file, of);
    let (high, max, killed) = (moved("high"), moved("max"), moved("oom_kill"));
    let sockets = moved("sock_throttled");
    let hit = high.by() + max.by();
    let stalled = before
        .stalled
        .zip(after.stalled)
        .map(|pair| case.window.moved("some total (µs)", pair, format!("{folder}/memory.pressure")));
    let is_stalled =
        stalled.as_ref().is_some_and(|stalled| case.share(stalled.by().saturating_mul(1000)) >= STALLED);
    let faults = case.before.map(|was| {
        let pair = (was.stat.major_faults, case.after.stat.major_faults);
        case.window.moved("major faults", pair, format!("/proc/{}/stat", case.after.pid))
    });
    let is_thrashing =
        faults.as_ref().is_some_and(|faults| faults.by() >= FAULTS * case.window.lasted.as_secs().max(1));
    let refused = ["Udp", "Udp6"]
        .iter()
        .any(|group| case.window.delta(group, "MemErrors").is_ok_and(|moved| moved.by() > 0));
    let why = if killed.by() > 0 {
        "Processes of the cgroup were killed for want of memory, and what they should have read waits for others."
    } else if sockets.by() > 0 || (hit > 0 && refused) {
        "What waits in its sockets counts against the cgroup's memory, which is at its limit: the kernel gives the sockets no more."
    } else if hit > 0 && (is_stalled || is_thrashing) {
        "The cgroup is at its memory limit: its processes stand still while the kernel looks for pages to take from them, and read back from the disk what was taken."
    } else {
        return None;
    };
    let current = after.counts.get("current").unwrap_or(0);
    let (limit, name) = match (after.high, after.max) {
        (Some(high), _) if moved("high").by() > 0 => (high, "memory.high"),
        (_, Some(max)) => (max, if after.is_old { "memory.limit_in_bytes" } else { "memory.max" }),
        (high, None) => (high?, "memory.high"),
    };
    // Twice as much, in whole MiB: how much it would take, nobody knows before it has it.
    let enough = limit.max(current).saturating_mul(2).div_ceil(1 << 20).max(1);
    let to = if name == "memory.high" { Limit::MemoryHigh(enough) } else { Limit::Memory(enough) };
    let sentence = format!(
        "Those who should read are short of memory: their cgroup came up against its limit of {} {}.",
        bytes(limit),
        times(hit)
    );
    Some(
        case.finding(case.severity(), sentence)
            .because(Certainty::Likely, why)
            .shown_by([high, max, killed, sockets].into_iter().filter(|moved| moved.by() > 0))
            .shown_by(stalled.into_iter().chain(faults).filter(|moved| moved.by() > 0))
            .shown_by([Evidence::value(name, limit, format!("{folder}/{name}"))])
            .shown_by([Evidence::value("memory in use", current, folder)])
            .shown_by(after.counts.get("sock").map(|sock| Evidence::value("memory of its sockets", sock, folder)))
            .remedy(limit::set(format!("Give it twice the memory, {enough} MiB."), folder, after, to))
            .caution("See that the host has it. A process whose memory only grows fills any limit: then it is to be mended."),
    )
}
