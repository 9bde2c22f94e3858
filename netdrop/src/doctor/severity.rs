//! How much something matters.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Fewer lost packets than this in a window are strays: told, and no reason to wake anybody.
const STRAYS: u64 = 10;
/// One in so many: below, TCP hardly feels it (throughput goes with 1/√loss; Mathis et al., 1997), and voice doesn't hear it.
const NOTICEABLE: u64 = 10_000;
/// One in so many: above, a TCP connection over 10 ms falls below 15 Mbit/s by the same formula, and voice stutters.
const HEAVY: u64 = 100;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; nobody is harmed now.
    Info,
    /// Packets are lost, or will be soon.
    Warning,
    /// So much is lost that whoever it belongs to notices.
    Critical,
}

impl Severity {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// That of `lost` packets beside `passed` others that went the same way in the same time.
    pub fn of_loss(lost: u64, passed: u64) -> Self {
        let of = lost.saturating_add(passed);
        if lost < STRAYS || lost.saturating_mul(NOTICEABLE) < of {
            Self::Info
        } else if lost.saturating_mul(HEAVY) < of {
            Self::Warning
        } else {
            Self::Critical
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|severity| severity.as_str() == name);
        found.ok_or_else(|| {
            format!("there is no severity `{name}`; they are {}", Self::ALL.map(Self::as_str).join(", "))
        })
    }
}

impl Serialize for Severity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::a_stray(1, 0, Severity::Info)]
    #[case::strays(9, 100, Severity::Info)]
    #[case::all_of_them(10, 0, Severity::Critical)]
    #[case::one_in_a_hundred(10, 990, Severity::Critical)]
    #[case::less(10, 991, Severity::Warning)]
    #[case::one_in_ten_thousand(100, 999_900, Severity::Warning)]
    #[case::hardly_any(100, 1_000_000, Severity::Info)]
    #[case::more_than_there_are(u64::MAX, u64::MAX, Severity::Critical)]
    fn loss_is_judged_by_its_share(#[case] lost: u64, #[case] passed: u64, #[case] severity: Severity) {
        assert_eq!(Severity::of_loss(lost, passed), severity);
    }

    #[test]
    fn severities_are_read_as_they_are_written() {
        for severity in Severity::ALL {
            assert_eq!(severity.as_str().parse(), Ok(severity));
        }
        assert!("grave".parse::<Severity>().unwrap_err().contains("info, warning, critical"));
    }
}
