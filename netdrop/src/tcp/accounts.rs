//! Where events went, in words.

use crate::model::tcp::TcpAccounts;
use crate::output::words::went;
use crate::units::thousands;

/// One sentence on where `what` went, and one for each thing that is missing; empty when nothing happened.
pub fn lines(accounts: &TcpAccounts, what: &str) -> Vec<String> {
    let TcpAccounts { seen, detailed, sampled_out, ring_full, filtered, .. } = *accounts;
    let seen = went(what, seen, [detailed, sampled_out, ring_full, filtered]);
    seen.into_iter().chain(missing(accounts)).collect()
}

/// What is missing, one sentence each; empty when nothing is.
pub fn missing(accounts: &TcpAccounts) -> Vec<String> {
    let sentences = [
        (
            accounts.recursion_misses,
            "more were not seen: the kernel's recursion guard kept them from netdrop.",
        ),
        (
            accounts.untracked,
            "connections found no room in the kernel's table: their beginning is not known, as of those that existed at the start.",
        ),
    ];
    let missing = sentences.into_iter().filter(|(count, _)| *count > 0);
    missing.map(|(count, why)| format!("{} {why}", thousands(count))).collect()
}

/// How many details are missing, in a few words; nothing when none are.
pub fn without_details(accounts: &TcpAccounts) -> Option<String> {
    let parts = [(accounts.sampled_out, "sampled out"), (accounts.ring_full, "lost (ring buffer full)")];
    let parts: Vec<_> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", thousands(count)))
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_accounted_for() {
        let accounts = TcpAccounts {
            seen: 12_000,
            detailed: 10_000,
            sampled_out: 1_500,
            ring_full: 400,
            filtered: 100,
            untracked: 7,
            recursion_misses: 3,
            ..TcpAccounts::default()
        };
        insta::assert_snapshot!(lines(&accounts, "changes of state").join("\n"), @r"
        12,000 changes of state seen: 10,000 with details, 1,500 sampled out, 400 details lost (ring buffer full), 100 left out by the filter.
        3 more were not seen: the kernel's recursion guard kept them from netdrop.
        7 connections found no room in the kernel's table: their beginning is not known, as of those that existed at the start.
        ");
        let few = without_details(&accounts);
        assert_eq!(few.as_deref(), Some("1,500 sampled out, 400 lost (ring buffer full)"));
        assert_eq!(lines(&TcpAccounts::default(), "events"), Vec::<String>::new());
        assert_eq!(without_details(&TcpAccounts::default()), None);
    }
}
