//! `application-one-busy-thread`: one thread is busy all the time while others idle: a garbage collector, or a program that does all in one thread.

use super::case::Case;
use super::check;
use super::verdict::found;
use crate::doctor::{Certainty, Check, Evidence, Finding, Remedy};

pub const CHECK: Check =
    check("application-one-busy-thread", |window| found(window, "application-one-busy-thread"));

/// Percent of the window from which a thread has no time left; the rest goes to interrupts and the clock's grain.
const BUSY: u64 = 90;
/// Below, a thread mostly waits for work.
const IDLE: u64 = 50;
/// How garbage collectors call their threads (15 bytes): the JVM's, Go's runtime has none, .NET's, V8's.
const COLLECTORS: [&str; 5] = ["GC ", "G1 ", "ZWorker", "Shenandoah", ".NET Server GC"];

/// By the CPU time of each thread.
pub fn judge(case: &Case) -> Option<Finding> {
    let threads = case.threads();
    let [first, rest @ ..] = &threads[..] else { return None };
    let is_alone = rest.iter().all(|one| case.share(one.on_cpu) < IDLE);
    if case.share(first.on_cpu) < BUSY || !is_alone {
        return None;
    }
    let (pid, id, name) = (case.after.pid, first.thread.id, &first.thread.name);
    let share = case.share(first.on_cpu);
    let is_collector = COLLECTORS.iter().any(|one| name.starts_with(one));
    let why = if is_collector {
        "The busy thread is a garbage collector: while it cleans up, those who read may have to wait."
    } else if rest.is_empty() {
        "The process has one thread, which does everything and reads between two pieces of work. More CPUs don't help it."
    } else {
        "One thread does the work while the others wait for it, and it is the one that reads, or that those who read wait for. More CPUs don't help it."
    };
    let advice = if is_collector {
        "Give the program a larger heap, or a collector with shorter pauses; then see whether it makes less garbage."
    } else {
        "Spread the work: a socket for each thread (SO_REUSEPORT), or more workers in its configuration; and have the thread that reads do nothing else."
    };
    let sentence = format!(
        "Its process has no time to read: thread {name}({id}) was busy in {share} % of the time, and no other was."
    );
    let second = rest.first().map_or(0, |one| case.share(one.on_cpu));
    Some(
        case.finding(case.severity(), sentence)
            .because(Certainty::Likely, why)
            .shown_by([
                Evidence::value(
                    format!("thread {name}({id})"),
                    format!("{share} % of a CPU"),
                    format!("/proc/{pid}/task/{id}/schedstat"),
                ),
                Evidence::value(
                    format!("{} others, each at most", rest.len()),
                    format!("{second} % of a CPU"),
                    format!("/proc/{pid}/task/*/schedstat"),
                ),
            ])
            .remedy(Remedy::advice(advice))
            .remedy(Remedy::advice(format!(
                "See what it does: perf top -t {id}, or the program's own profiler."
            )))
            .caution("A larger queue only makes what is read older: the thread is as busy as before."),
    )
}
