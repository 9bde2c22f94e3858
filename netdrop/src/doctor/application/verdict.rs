//! Which of the reasons it is: the first that fits, from what leaves no doubt to what remains.

use super::case::{self, Case};
use super::{memory, not_scheduled, one_busy_thread, reads_slowly, stopped, throttled};
use crate::doctor::{Finding, Unread, Window};

/// Judges one process: its finding, where the evidence fits.
pub type Judge = fn(&Case) -> Option<Finding>;

/// A stopped process uses no CPU, a throttled one waits for it as one does that isn't scheduled, one that swaps seems to sleep: the order matters.
pub const JUDGES: [(&str, Judge); 6] = [
    ("application-stopped", stopped::judge),
    ("application-throttled", throttled::judge),
    ("application-memory", memory::judge),
    ("application-not-scheduled", not_scheduled::judge),
    ("application-one-busy-thread", one_busy_thread::judge),
    ("application-reads-slowly", reads_slowly::judge),
];

/// What the check of that name finds: of each process the first verdict alone.
pub fn found(window: &Window, check: &str) -> Result<Vec<Finding>, Unread> {
    let cases = case::all(window)?;
    let first = |case: &Case| JUDGES.iter().find_map(|(name, judge)| Some((*name, judge(case)?)));
    let of_check = |(name, finding): (&str, Finding)| (name == check).then_some(finding);
    Ok(cases.iter().filter_map(|case| of_check(first(case)?)).collect())
}
