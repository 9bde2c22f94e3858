//! `--reason` and `--class`: both are sets of reasons.
//!
//! Here the class is the reason's alone. `NOT_SPECIFIED` is of class `unknown`, though output classifies it by its function:
//! the program would need rules of (function, reason) for it, and a rule by function alone would let that function's drops for
//! other reasons in. Likewise `--class` needs a kernel with reasons.

use netdrop_common::{REASON_EXCLUDED, REASON_INCLUDED};

use super::{Choice, FilterError, Wanted};
use crate::kernel::reasons::Reasons;
use crate::knowledge::{Class, class_of};

/// The reasons' numbers with their verdicts. Exclusions come last, so that in a map they win.
pub fn resolve(wanted: &Wanted, reasons: &Reasons) -> Result<Vec<(u32, u32)>, FilterError> {
    if wanted.reason.is_empty() && wanted.class.is_empty() {
        return Ok(Vec::new());
    }
    if reasons.iter().next().is_none() {
        return Err(FilterError::NoReasons);
    }
    let mut resolved = Vec::new();
    for (of, verdict) in [
        (Choice::only as fn(&Choice) -> &[String], REASON_INCLUDED),
        (Choice::not as fn(&Choice) -> &[String], REASON_EXCLUDED),
    ] {
        for name in of(&wanted.reason) {
            resolved.push((number(name, reasons)?, verdict));
        }
        for name in of(&wanted.class) {
            let class: Class = name.parse()?;
            let members = reasons.iter().filter(|(_, name)| class_of(Some(name), None) == class);
            resolved.extend(members.map(|(number, _)| (number, verdict)));
        }
    }
    Ok(resolved)
}

fn number(name: &str, reasons: &Reasons) -> Result<u32, FilterError> {
    reasons.number(name).map_err(|unknown| FilterError::Reason {
        name: name.into(),
        suggestion: unknown.suggestion.map(|name| name.to_string()),
    })
}

impl Choice {
    fn only(&self) -> &[String] {
        &self.only
    }

    fn not(&self) -> &[String] {
        &self.not
    }
}
