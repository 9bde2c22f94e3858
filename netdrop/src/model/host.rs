//! The machine that drops were recorded on.

use serde::{Deserialize, Serialize};

/// Where a recording was made. What isn't known is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Host {
    /// Its name, as uname(2) tells it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The release of its kernel: `6.12.9-amd64`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kernel: String,
}
