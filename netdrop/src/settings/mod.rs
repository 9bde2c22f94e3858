//! What `netdrop serve` is told: a file, variables of the environment, flags. Later ones win; each key is checked.

mod capture;
mod doctor;
mod error;
mod log;
mod overrides;
mod quantities;
mod sources;
#[cfg(test)]
mod tests;

pub use capture::{Capture, Hardware, Names, named};
pub use doctor::Doctor;
pub use error::SettingsError;
pub use log::{Log, Target};
pub use overrides::{Override, environment};
pub use quantities::{Size, Time, Turn};
use serde::{Deserialize, Serialize};
pub use sources::{DEFAULT_FILE, Sources};

use crate::export::{metrics, otlp};
use crate::{http, sandbox};

/// All settings. A section that another part owns is that part's `Settings`: one line here.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What is counted, and of which drops there are details.
    pub capture: Capture,
    /// `/metrics`.
    pub metrics: metrics::Settings,
    /// The web server.
    pub http: http::Settings,
    /// Where metrics and drops are sent.
    pub otlp: otlp::Settings,
    /// Where drops are written.
    pub log: Log,
    /// What is wrong with this host's network.
    pub doctor: Doctor,
    /// What is given up once all is attached.
    pub sandbox: sandbox::Settings,
}

impl Settings {
    /// As the file that would say the same.
    ///
    /// # Errors
    /// Where a value has no form in TOML: a path that isn't text.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}
