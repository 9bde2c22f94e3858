//! `--reason` and `--class`: both are sets of reasons.
//!
//! A reason that says nothing (`NOT_SPECIFIED`, or none at all before 5.17) has its class from the function that drops, as in all output: for it the
//! program looks into the kernel's code, cut into pieces by what is decided there.

use netdrop_common::{
    MAX_PIECES, Piece, REASON_BY_SITE, REASON_EXCLUDED, REASON_INCLUDED, REASON_NONE, group,
};

use super::explain::{Evaluated, Explained};
use super::{FilterError, Resolver, Wanted};
use crate::kernel::reasons::Reasons;
use crate::knowledge::{Class, Entry, Kind, class_of, entries};
use crate::order::InOrder as _;

/// What the two flags come to.
#[derive(Debug, Default)]
pub struct Resolved {
    /// The reasons' numbers with their verdicts. Exclusions come last, so that in a map they win.
    pub reasons: Vec<(u32, u32)>,
    /// By address, where a reason says nothing; none where that makes no difference.
    pub sites: Vec<Piece>,
    /// Whether one must match.
    pub required: bool,
}

/// The reason that says nothing.
const UNSAID: &str = "NOT_SPECIFIED";

/// Looks all of them up, and tells what was found.
pub fn resolve(
    wanted: &Wanted,
    reasons: &Reasons,
    resolver: &mut impl Resolver,
    explained: &mut Vec<Explained>,
) -> Result<Resolved, FilterError> {
    if wanted.reason.is_empty() && wanted.class.is_empty() {
        return Ok(Resolved::default());
    }
    let has_reasons = reasons.iter().next().is_some();
    if !has_reasons && !wanted.reason.is_empty() {
        return Err(FilterError::NoReasons);
    }
    let mut verdicts = Vec::new();
    for (name, group) in wanted.reason.each(group::REASON) {
        let numbers = numbers(name, reasons)?;
        let list: Vec<String> = numbers.iter().map(u32::to_string).collect();
        let means = format!("reason number {}", list.join(", "));
        explained.push(Explained::new("reason", name, group, Evaluated::Map, means));
        verdicts.extend(numbers.into_iter().map(|number| (number, verdict(group))));
    }
    let mut classes = Vec::new();
    for (name, group) in wanted.class.each(group::REASON) {
        let class: Class = name.parse()?;
        let members =
            reasons.iter().filter(|(_, name)| ***name != *UNSAID && class_of(Some(name), None) == class);
        let before = verdicts.len();
        verdicts.extend(members.map(|(number, _)| (number, verdict(group))));
        classes.push((class, group, verdicts.len() - before));
    }
    let unsaid = if has_reasons { number(UNSAID, reasons).ok() } else { Some(REASON_NONE) };
    let mut sites = Vec::new();
    if let Some(unsaid) = unsaid.filter(|_| !classes.is_empty()) {
        let of_reason =
            verdicts.iter().filter(|(number, _)| *number == unsaid).map(|(_, verdict)| *verdict).max();
        let of_class = |class| {
            let named = classes.iter().filter(|(one, ..)| *one == class).map(|(_, group, _)| verdict(*group));
            named.chain(of_reason).max().unwrap_or(0)
        };
        let found = by_site(&of_class, has_reasons, resolver)?;
        explained.extend(classes.iter().map(|of| explain(*of, found.functions.as_deref())));
        sites = found.pieces;
        verdicts.retain(|(number, _)| *number != unsaid);
        verdicts.push((unsaid, if sites.is_empty() { of_class(Class::Unknown) } else { REASON_BY_SITE }));
    }
    verdicts.retain(|(_, verdict)| *verdict != 0);
    verdicts.order_by_key(|(_, verdict)| *verdict == REASON_EXCLUDED);
    let required = !wanted.reason.only.is_empty() || !wanted.class.only.is_empty();
    Ok(Resolved { reasons: verdicts, sites, required })
}

/// Excluding wins.
const fn verdict(group: u32) -> u32 {
    const { assert!(REASON_EXCLUDED > REASON_INCLUDED) };
    if group == group::EXCLUDE { REASON_EXCLUDED } else { REASON_INCLUDED }
}

struct BySite {
    pieces: Vec<Piece>,
    /// The classes of all functions in the kernel that are known; `None` where its symbols are hidden.
    functions: Option<Vec<Class>>,
}

/// Cuts the code into pieces. Nothing is looked up, and there are none, where all functions are judged alike.
fn by_site(
    of_class: &impl Fn(Class) -> u32,
    has_reasons: bool,
    resolver: &mut impl Resolver,
) -> Result<BySite, FilterError> {
    let otherwise = of_class(Class::Unknown);
    let mut known = entries().filter(|entry| entry.kind() == Kind::Function).map(Entry::class);
    if known.all(|class| of_class(class) == otherwise) {
        return Ok(BySite { pieces: Vec::new(), functions: Some(Vec::new()) });
    }
    let functions = match resolver.sites() {
        Ok(functions) => functions,
        // Output can't name them either: there such drops are of unknown class.
        Err(FilterError::Symbols(_)) if has_reasons => {
            return Ok(BySite { pieces: Vec::new(), functions: None });
        }
        Err(error) => return Err(error),
    };
    let mut pieces = vec![Piece { start: 0, verdict: otherwise.into() }];
    let mut add = |start, verdict: u32| {
        // A function that begins where the one before ends: what is there is its.
        if pieces.last().is_some_and(|last: &Piece| last.start == start) {
            pieces.pop();
        }
        if pieces.last().is_none_or(|last| last.verdict != u64::from(verdict)) {
            pieces.push(Piece { start, verdict: verdict.into() });
        }
    };
    for (range, class) in &functions {
        add(range.start, of_class(*class));
        add(range.end, otherwise);
    }
    if pieces.len() > MAX_PIECES {
        return Err(FilterError::TooManySites(pieces.len()));
    }
    Ok(BySite { pieces, functions: Some(functions.into_iter().map(|(_, class)| class).collect()) })
}

fn explain((class, group, reasons): (Class, u32, usize), functions: Option<&[Class]>) -> Explained {
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let new = |means| Explained::new("class", class.as_str(), group, Evaluated::Map, means);
    let reasons = plural(reasons, "reason");
    let Some(functions) = functions else {
        let means = format!(
            "{reasons}; the kernel hides its functions, so drops that say no reason are of class unknown"
        );
        return new(means);
    };
    if class == Class::Unknown {
        return new(format!(
            "{reasons}, and drops that say no reason outside of the functions that are known"
        ));
    }
    let pieces = functions.iter().filter(|one| **one == class).count();
    let ranges = plural(pieces, "range");
    new(format!("{reasons}, and drops that say no reason in {ranges} of code"))
        .missing("functions of modules that are loaded later: they count as unknown".into())
}

/// The reason's own number, and those of the finer ones that are told in its place.
fn numbers(name: &str, reasons: &Reasons) -> Result<Vec<u32>, FilterError> {
    const GENERAL: &str = "QDISC_DROP";
    const FINER: &str = "QDISC_DROP_";
    let finer =
        reasons.iter().filter(|(_, one)| name.eq_ignore_ascii_case(GENERAL) && one.starts_with(FINER));
    Ok([number(name, reasons)?].into_iter().chain(finer.map(|(number, _)| number)).collect())
}

fn number(name: &str, reasons: &Reasons) -> Result<u32, FilterError> {
    reasons.number(name).map_err(|unknown| FilterError::Reason {
        name: name.into(),
        suggestion: unknown.suggestion.map(|name| name.to_string()),
    })
}
