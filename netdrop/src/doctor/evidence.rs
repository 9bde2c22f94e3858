//! What a finding is shown by.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Something that was read, and shows what is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Evidence {
    /// A counter that moved.
    Counter(Moved),
    /// Something as it was at the end of the window: a setting, a queue.
    Value {
        /// What it is.
        name: String,
        /// As it stood there.
        value: String,
        /// Where it was read.
        read_from: String,
    },
    /// Drops that netdrop counted, exactly.
    Drops(Drops),
}

impl Evidence {
    /// Something as it was at the end of the window.
    pub fn value(
        name: impl Into<String>,
        value: impl std::fmt::Display,
        read_from: impl Into<String>,
    ) -> Self {
        Self::Value { name: name.into(), value: value.to_string(), read_from: read_from.into() }
    }
}

impl From<Moved> for Evidence {
    fn from(moved: Moved) -> Self {
        Self::Counter(moved)
    }
}

/// A counter at both ends of the window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// Its name, as `nstat` or the file has it: `TcpExtListenOverflows`.
    pub counter: String,
    /// At the start.
    pub before: u64,
    /// At the end.
    pub after: u64,
    /// How much a second.
    pub rate: f64,
    /// Where it was read.
    pub read_from: String,
    #[serde(skip)]
    by: u64,
}

impl Moved {
    /// A counter of 64 bits. One that is smaller than before was set back; then all of it is new.
    pub fn new(
        counter: impl Into<String>,
        (before, after): (u64, u64),
        lasted: Duration,
        read_from: impl Into<String>,
    ) -> Self {
        let by = after.checked_sub(before).unwrap_or(after);
        Self {
            counter: counter.into(),
            before,
            after,
            rate: rate(by, lasted),
            read_from: read_from.into(),
            by,
        }
    }

    /// A counter of 32 bits, which begins again at zero when it is full. One that would have risen by more than half of what it holds was set back.
    pub fn of_32_bits(
        counter: impl Into<String>,
        (before, after): (u32, u32),
        lasted: Duration,
        read_from: impl Into<String>,
    ) -> Self {
        let by = after.wrapping_sub(before);
        let by = u64::from(if by > u32::MAX / 2 { after } else { by });
        let moved = Self::new(counter, (before.into(), after.into()), lasted, read_from);
        Self { by, rate: rate(by, lasted), ..moved }
    }

    /// By how much it rose.
    pub fn by(&self) -> u64 {
        self.by
    }
}

/// Drops that netdrop counted in the window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drops {
    /// The kernel's function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Bytes from its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The kernel's reason; kernels before 5.17 have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many packets.
    pub drops: u64,
    /// How many a second.
    pub rate: f64,
    /// One of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<Example>,
}

/// Between whom a packet was on its way: `10.0.0.2:4000`, `[2001:db8::1]:53`, or an address alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// From.
    pub source: String,
    /// To.
    pub destination: String,
}

/// So many a second. Nothing lasts no time at all.
#[expect(clippy::cast_precision_loss, reason = "a rate is for people: 53 bits are plenty")]
pub(super) fn rate(count: u64, lasted: Duration) -> f64 {
    let seconds = lasted.as_secs_f64().max(f64::EPSILON);
    (count as f64 / seconds * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(10, 30, 20)]
    #[case(10, 10, 0)]
    #[case::set_back(10, 3, 3)]
    fn a_counter_moves(#[case] before: u64, #[case] after: u64, #[case] by: u64) {
        let moved = Moved::new("x", (before, after), Duration::from_secs(2), "here");
        assert_eq!((moved.by(), moved.rate), (by, rate(by, Duration::from_secs(2))));
    }

    #[test]
    fn small_counters_wrap() {
        let moved = Moved::of_32_bits("x", (u32::MAX, 4), Duration::from_secs(1), "here");
        assert_eq!((moved.by(), moved.before, moved.after), (5, u32::MAX.into(), 4));
    }

    #[rstest::rstest]
    #[case::nothing_since(5000, 0, 0)]
    #[case::some_since(5000, 7, 7)]
    #[case::half_of_all(0, u32::MAX / 2, u32::MAX / 2)]
    fn small_counters_are_set_back(#[case] before: u32, #[case] after: u32, #[case] by: u32) {
        let moved = Moved::of_32_bits("x", (before, after), Duration::from_secs(1), "here");
        assert_eq!(moved.by(), u64::from(by));
    }
}
