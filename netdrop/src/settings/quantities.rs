//! Times and sizes as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::output::Limit;
use crate::units::{UnitError, parse_duration, parse_size};

/// A time, as in `10s`; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(pub Duration);

/// Bytes, as in `1M`; never zero, but where there is nothing to be said (`""`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(try_from = "String", into = "String")]
pub struct Size(pub Option<u64>);

/// When to turn to a new file: at a size, as in `100M`, after a time, as in `1h`, or never (`""`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(try_from = "String", into = "String")]
pub struct Turn(pub Option<Limit>);

impl FromStr for Time {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse_duration(text).map(Self)
    }
}

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text.is_empty() { Ok(Self(None)) } else { parse_size(text).map(|bytes| Self(Some(bytes))) }
    }
}

impl FromStr for Turn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let size = parse_size(text).map(Limit::Size);
        let either = size.or_else(|_| parse_duration(text).map(Limit::Age));
        either
            .map(|limit| Self(Some(limit)))
            .map_err(|_| format!("`{text}` is no size and no time: write 100M or 1h, or nothing for never"))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        match (micros % 1_000_000, micros % 1000) {
            (0, _) => write!(f, "{}s", self.0.as_secs()),
            (_, 0) => write!(f, "{}ms", self.0.as_millis()),
            _ => write!(f, "{micros}us"),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
        let Some(bytes) = self.0 else { return Ok(()) };
        match UNITS.into_iter().find(|(unit, _)| bytes.is_multiple_of(*unit)) {
            Some((unit, letter)) => write!(f, "{}{letter}", bytes / unit),
            None => write!(f, "{bytes}"),
        }
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Limit::Size(bytes)) => Size(Some(bytes)).fmt(f),
            Some(Limit::Age(time)) => Time(time).fmt(f),
            None => Ok(()),
        }
    }
}

macro_rules! as_text {
    ($($type:ty),*) => {$(
        impl TryFrom<String> for $type {
            type Error = <Self as FromStr>::Err;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    )*};
}

as_text!(Time, Size, Turn);
