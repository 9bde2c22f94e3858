//! `application-reads-slowly`: the process gets the CPU and the memory that it wants, and still doesn't read fast enough.

use super::case::Case;
use super::check;
use super::verdict::found;
use crate::doctor::{Certainty, Check, Evidence, Finding, Remedy, Severity};

pub const CHECK: Check =
    check("application-reads-slowly", |window| found(window, "application-reads-slowly"));

/// What remains when nothing keeps it from reading.
pub fn judge(case: &Case) -> Option<Finding> {
    let threads = case.threads();
    // Without the first reading nobody knows what it did.
    let busiest = threads.first()?;
    let sums = |get: fn(&super::case::Ran) -> u64| threads.iter().map(get).sum::<u64>();
    let (ran, waited) = (sums(|one| one.on_cpu), sums(|one| one.waited.unwrap_or(0)));
    // A connection whose window is shut loses nothing: its sender waits.
    let severity = if case.lost() == 0 { Severity::Info } else { case.severity() };
    let (pid, share) = (case.after.pid, case.share(ran));
    let (why, advice) = match (case.after.stat.state, case.share(busiest.on_cpu)) {
        ('D', _) => (
            "It waits for a disk or a file server now (state D), and reads from its sockets when that answers.",
            "Have another thread than the one that reads do what waits for files; see what the disk is busy with (iostat -x 1).",
        ),
        (_, 50..) => (
            "It is busy with its own work most of the time, gets the CPU for it, and reads between.",
            "Have it do less for each packet, or read in more threads: SO_REUSEPORT, recvmmsg(2), more workers.",
        ),
        _ => (
            "It mostly sleeps or waits for somebody else (a lock, a database, an answer), although there is something to read.",
            "See what it waits for between two reads (strace -f -p, its own log), and have a thread that does nothing but read.",
        ),
    };
    let sentence = format!(
        "Its process reads too slowly, of its own accord: it had the CPU whenever it wanted, and used {share} % of one."
    );
    let milliseconds = |nanoseconds: u64| format!("{} ms", nanoseconds / 1_000_000);
    let from = format!("/proc/{pid}/task/*/schedstat");
    Some(
        case.finding(severity, sentence)
            .because(Certainty::Likely, why)
            .shown_by([
                Evidence::value("CPU time of its threads", milliseconds(ran), from.clone()),
                Evidence::value("they waited for a CPU", milliseconds(waited), from),
                Evidence::value("state", case.after.stat.state, format!("/proc/{pid}/stat")),
            ])
            .remedy(Remedy::advice(advice))
            .caution("More CPU, a higher quota or a larger queue don't help a program that doesn't read."),
    )
}
