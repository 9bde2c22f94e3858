//! `[doctor]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Time;

/// Whether and how often the daemon looks for what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Doctor {
    /// Whether it does.
    pub enabled: bool,
    /// The time that an examination covers: from the one before to this.
    pub interval: Time,
}

impl Default for Doctor {
    fn default() -> Self {
        Self { enabled: true, interval: Time(Duration::from_mins(1)) }
    }
}
