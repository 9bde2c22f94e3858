//! `--fail-on`: what must not happen in a run, and whether it did.
//!
//! ```text
//! any        = all { ("or" | "||") all }
//! all        = one { ("and" | "&&") one }
//! one        = "(" any ")" | test
//! test       = quantity [ op number ]              without: > 0
//! quantity   = "drops" | "rate" | "bytes" | "lost" | selector { "," selector }
//!            | "retransmits" | "retransmit-ratio" | "resets"
//! selector   = ("class" | "reason" | "function" | "device" | "netns" | "proto") ("=" | "!=") pattern
//! op         = ">" | ">=" | "<" | "<=" | "==" | "!="
//! number     = digits [ "k" | "M" ] [ "/s" ] | digits [ "." digits ] "%"      of retransmit-ratio
//! ```
//!
//! Selectors joined by commas are about the same drops: `class=congestion,device=eth0>10`. A pattern may hold `*`. All counts
//! are the kernel's exact ones.

mod error;
mod evaluate;
mod lexer;
mod parser;
#[cfg(test)]
mod tests;

pub use error::AssertionError;
pub use evaluate::Verdict;

use std::str::FromStr;

/// An expression over the counts of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Assertion {
    text: String,
    expression: Expression,
}

#[derive(Debug, Clone, PartialEq)]
enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Test(Test),
}

/// A comparison.
#[derive(Debug, Clone, PartialEq)]
struct Test {
    quantity: Quantity,
    operator: Operator,
    bound: Bound,
}

#[derive(Debug, Clone, PartialEq)]
enum Quantity {
    /// Drops to which all selectors apply.
    Drops(Vec<Selector>),
    /// Their lengths.
    Bytes,
    /// Details that were lost, and drops that are in no row or were not seen.
    Lost,
    /// Segments that TCP sent again.
    Retransmits,
    /// What part of the segments sent that is, by the kernel's own count of the namespace.
    RetransmitRatio,
    /// Resets, sent and received.
    Resets,
}

/// One condition on a drop.
#[derive(Debug, Clone, PartialEq)]
struct Selector {
    member: Member,
    negated: bool,
    pattern: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Class,
    Reason,
    Function,
    Device,
    Netns,
    Protocol,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    More,
    AtLeast,
    Less,
    AtMost,
    Equal,
    Unequal,
}

/// A number, or one a second, or a part of all.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bound {
    value: f64,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Events,
    PerSecond,
    /// The value is a part of 1.
    Percent,
}

impl FromStr for Assertion {
    type Err = AssertionError;

    fn from_str(text: &str) -> Result<Self, AssertionError> {
        Ok(Self { text: text.trim().to_owned(), expression: parser::parse(text)? })
    }
}

impl Assertion {
    /// Whether it asks for TCP's own events.
    pub fn needs_tcp(&self) -> bool {
        self.expression.any(&|test| test.quantity.is_of_tcp())
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Expression {
    fn any(&self, of: &impl Fn(&Test) -> bool) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.any(of)),
            Self::Test(test) => of(test),
        }
    }
}

impl Quantity {
    const fn is_of_tcp(&self) -> bool {
        matches!(self, Self::Retransmits | Self::RetransmitRatio | Self::Resets)
    }
}

impl Member {
    const ALL: [(&'static str, Self); 6] = [
        ("class", Self::Class),
        ("reason", Self::Reason),
        ("function", Self::Function),
        ("device", Self::Device),
        ("netns", Self::Netns),
        ("proto", Self::Protocol),
    ];

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, member)| member)
    }

    fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, member)| *member == self).map_or("", |(name, _)| name)
    }
}

impl Operator {
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::More => left > right,
            Self::AtLeast => left >= right,
            Self::Less => left < right,
            Self::AtMost => left <= right,
            #[expect(
                clippy::float_cmp,
                reason = "both are counts unless a rate is compared, where nobody asks for equality"
            )]
            Self::Equal => left == right,
            #[expect(clippy::float_cmp, reason = "likewise")]
            Self::Unequal => left != right,
        }
    }
}
