//! `--explain-filter`: what each rule came to, where it is evaluated, and what it can miss.

use std::fmt;

use netdrop_common::group;
use serde::{Serialize, Serializer};

/// The most numbers or names that are listed one by one.
const LISTED: usize = 8;

/// One rule of the filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// As on the command line: `--not-port 53`.
    pub rule: String,
    /// Where.
    pub evaluated: Evaluated,
    /// What it came to, in the kernel's terms.
    pub means: String,
    /// What it may leave out though it's meant, or let in though it isn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misses: Option<String>,
}

/// Where a rule is evaluated: whatever is asked for, the program in the kernel does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evaluated {
    /// Part of the program.
    Constants,
    /// In a map that is filled before the program is attached.
    Map,
    /// In a map that user space keeps up to date.
    FollowedMap,
}

impl Evaluated {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Constants => "in the kernel, by constants",
            Self::Map => "in the kernel, by a map",
            Self::FollowedMap => {
                "in the kernel, by a map that is kept up to date (every 250 ms or 5 % of the time)"
            }
        }
    }
}

impl Serialize for Evaluated {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Constants => "kernel-constants",
            Self::Map => "kernel-map",
            Self::FollowedMap => "kernel-map-followed",
        })
    }
}

impl Explained {
    /// Of a flag's value; its group tells whether the flag is a negated one.
    pub fn new(flag: &str, value: &str, group: u32, evaluated: Evaluated, means: String) -> Self {
        let not = if group == group::EXCLUDE { "not-" } else { "" };
        Self { rule: format!("--{not}{flag} {value}"), evaluated, means, misses: None }
    }

    /// With what it can miss.
    #[must_use]
    pub fn missing(self, misses: String) -> Self {
        Self { misses: Some(misses), ..self }
    }
}

/// `--owner nginx: in the kernel, by a map …: 3 sockets now, of nginx(10); can miss: …`
impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.rule, self.evaluated.as_str(), self.means)?;
        self.misses.as_ref().map_or(Ok(()), |misses| write!(f, "; can miss: {misses}"))
    }
}

/// The first of them, and how many more there are.
pub fn list<T: fmt::Display>(all: &[T]) -> String {
    let first: Vec<_> = all.iter().take(LISTED).map(ToString::to_string).collect();
    match all.len().saturating_sub(LISTED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
