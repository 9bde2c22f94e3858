//! What is wrong with an expression, and where.

use thiserror::Error;

use crate::knowledge::UnknownClass;

/// Why an expression can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AssertionError {
    /// Something else was expected.
    #[error("at {}: {found}, where {expected} is expected; as in class=congestion, reason=NETFILTER_DROP>10, rate>100/s, lost>0", position + 1)]
    Unexpected {
        /// Bytes before it.
        position: usize,
        /// What stands there, in words.
        found: String,
        /// What could.
        expected: &'static str,
    },
    /// A number that is none.
    #[error("at {}: {text} is no number; write one as in 10, 5k, 100/s", position + 1)]
    Number {
        /// Bytes before it.
        position: usize,
        /// What stands there.
        text: String,
    },
    /// A quantity that a rate makes no sense of.
    #[error("{0} is not a rate: leave out /s")]
    NotARate(&'static str),
    /// A part of all that is compared with a number.
    #[error("{0} is a part of all segments: write per cent, as in {0}>1%")]
    APart(String),
    /// A number that is compared with a part.
    #[error("{0} is a number, no part of anything: leave out %")]
    NoPart(String),
    /// A class that isn't one.
    #[error(transparent)]
    Class(#[from] UnknownClass),
    /// A reason that nobody knows.
    #[error("no kernel has a drop reason {name}{}", suggestion.map(|name| format!("; did you mean {name}?")).unwrap_or_default())]
    Reason {
        /// What was asked for.
        name: String,
        /// A name like it.
        suggestion: Option<&'static str>,
    },
    /// More parentheses within each other than anyone writes.
    #[error("at {}: more than {} parentheses within each other", position + 1, super::parser::MAX_DEPTH)]
    TooDeep {
        /// Bytes before it.
        position: usize,
    },
}
