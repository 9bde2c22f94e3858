//! Values that are odd by a rule of `settings.rec`.

use super::condition::Terms;
use super::host::Host;
use crate::doctor::parts::Sysctls;
use crate::doctor::{Certainty, Finding, Moved, Remedy, Severity, Unread, Window};
use crate::knowledge::{self, Entry, Kind};

/// Fewer events in a window may have any cause.
const EVIDENCE: u64 = 10;

/// A line `Rule: check | condition | value | sentence | counters`.
pub struct Rule {
    pub check: &'static str,
    pub condition: &'static str,
    pub value: Option<&'static str>,
    pub sentence: &'static str,
    pub counters: Vec<(&'static str, &'static str)>,
}

impl Rule {
    /// Nothing where it hasn't that form.
    pub fn parse(line: &'static str) -> Option<Self> {
        let mut fields = line.split('|').map(str::trim);
        let (check, condition, value, sentence) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let counters = fields.next()?.split(',').filter(|name| !name.is_empty());
        Some(Self {
            check,
            condition,
            value: Some(value).filter(|value| *value != "-"),
            sentence,
            counters: counters.map(|name| name.split_once('.')).collect::<Option<_>>()?,
        })
    }
}

/// What the rules of that check find.
pub fn found(window: &Window, check: &str) -> Result<Vec<Finding>, Unread> {
    let (settings, host) = (window.now::<Sysctls>()?, window.now::<Host>()?);
    // What the whole host has once is told with the caller's own namespace.
    let is_ours = window.home.enter.is_none();
    let entries = knowledge::entries().filter(|entry| entry.kind() == Kind::Setting);
    let of_entry = |entry: &'static Entry| {
        let terms = Terms { key: entry.name(), settings, host };
        let rules = entry.rules().filter_map(Rule::parse).filter(|rule| rule.check == check);
        let odd = rules.filter(move |rule| terms.hold(rule.condition));
        odd.map(move |rule| finding(window, entry, &terms, &rule))
    };
    let is_of_host = |entry: &&Entry| entry.is_of_host() || settings.is_of_host(entry.name());
    Ok(entries.filter(|entry| is_ours || !is_of_host(entry)).flat_map(of_entry).collect())
}

fn finding(window: &Window, entry: &Entry, terms: &Terms, rule: &Rule) -> Finding {
    let key = entry.name();
    let moved = rule.counters.iter().filter_map(|(group, name)| window.delta(group, name).ok());
    let moved: Vec<Moved> = moved.filter(|moved| moved.by() >= EVIDENCE).collect();
    let default = entry.default().unwrap_or("none");
    let meaning = format!("{} Default: {default}.", entry.meaning());
    let (severity, certainty, cause) = if moved.is_empty() {
        let cause = format!("(hygiene: nothing on this host shows harm by it in this window) {meaning}");
        (Severity::Info, Certainty::Possible, cause)
    } else {
        (Severity::Warning, Certainty::Likely, meaning)
    };
    let rate = moved.iter().map(|moved| moved.rate).sum();
    let finding = Finding::new(severity, key, rule.sentence)
        .losing(rate)
        .because(certainty, cause)
        .shown_by(moved)
        .shown_by(window.setting(key))
        .shown_by(Terms::keys(rule.condition).into_iter().filter_map(|key| window.setting(key)))
        .caution(entry.caution().unwrap_or_default());
    let Some(value) = rule.value.and_then(|value| terms.text(value)) else {
        return finding.remedy(Remedy::advice(format!("Take the line that sets it out of /etc/sysctl.d, and start again with the kernel's default: {default}.")));
    };
    let what = "Set it so, and take what set it out of /etc/sysctl.d.";
    finding.remedy(if entry.is_of_host() {
        Remedy::host_sysctl(what, &[(key, &value)])
    } else {
        Remedy::sysctl(window, what, &[(key, &value)])
    })
}
