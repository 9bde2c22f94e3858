//! Colours of severities, which say nothing that words don't.

use crate::doctor::Severity;
use crate::output::color::RESET;

/// What a severity's colour begins with.
pub(super) fn of(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "\x1b[1;31m",
        Severity::Warning => "\x1b[33m",
        Severity::Info => "\x1b[36m",
    }
}

/// A text in that colour, where there are colours.
pub(super) fn painted(start: &str, text: &str, color: bool) -> String {
    if color { format!("{start}{text}{RESET}") } else { text.to_owned() }
}
