//! Whether to colour, and which colour means what.

use std::ffi::OsStr;

use clap::ValueEnum;

use crate::knowledge::Class;

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal that understands it, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// Whether to colour. `no_color` and `term` are the environment's `NO_COLOR` (<https://no-color.org>: set and not
    /// empty) and `TERM`; a person's explicit `always` is above both.
    pub fn enabled(self, is_terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                is_terminal && no_color.is_none_or(OsStr::is_empty) && term.is_some_and(|term| term != "dumb")
            }
        }
    }
}

/// ECMA-48 "select graphic rendition" sequences: bold.
pub(crate) const BOLD: &str = "\x1b[1m";
/// Faint.
pub(crate) const FAINT: &str = "\x1b[2m";
/// What is worse than before.
pub(crate) const WORSE: &str = "\x1b[31m";
/// What is better.
pub(crate) const BETTER: &str = "\x1b[32m";
/// Back to normal.
pub(crate) const RESET: &str = "\x1b[0m";

/// The sequence that starts a class's colour: what needs a person is warm, what is normal is faint.
pub(super) fn of(class: Class) -> &'static str {
    match class {
        Class::Congestion => "\x1b[31m",
        Class::Policy => "\x1b[33m",
        Class::Malformed => "\x1b[35m",
        Class::Routing => "\x1b[36m",
        Class::NoReceiver => "\x1b[34m",
        Class::Lifecycle => FAINT,
        Class::Unknown => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(Color::Auto, true, None, Some("xterm"), true)]
    #[case(Color::Auto, true, Some(""), Some("xterm"), true)]
    #[case(Color::Auto, true, Some("1"), Some("xterm"), false)]
    #[case(Color::Auto, true, None, Some("dumb"), false)]
    #[case(Color::Auto, true, None, None, false)]
    #[case(Color::Auto, false, None, Some("xterm"), false)]
    #[case(Color::Always, false, Some("1"), Some("dumb"), true)]
    #[case(Color::Never, true, None, Some("xterm"), false)]
    fn who_decides(
        #[case] color: Color,
        #[case] is_terminal: bool,
        #[case] no_color: Option<&str>,
        #[case] term: Option<&str>,
        #[case] enabled: bool,
    ) {
        assert_eq!(color.enabled(is_terminal, no_color.map(OsStr::new), term.map(OsStr::new)), enabled);
    }
}
