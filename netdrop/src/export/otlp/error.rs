//! Settings with which nothing can be sent.

use std::io;
use std::path::PathBuf;

/// Why the exporter can't start.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// An endpoint that is none.
    #[error(
        "otlp: the endpoint {0:?} is no http:// or https:// URL: write one such as http://collector:4317"
    )]
    Endpoint(String),
    /// A header that HTTP doesn't allow; its value isn't shown.
    #[error("otlp: the header {0:?} has a name or a value that HTTP does not allow: correct it")]
    Header(String),
    /// A number out of its range.
    #[error("otlp: {setting} must be at least {least}")]
    TooSmall {
        /// Which.
        setting: &'static str,
        /// What it may be.
        least: &'static str,
    },
    /// A file that can't be read.
    #[error("otlp: cannot read {path}: {error}; an https endpoint needs it", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A file with nothing of use.
    #[error("otlp: {path} has no {what} (PEM) of use", path = path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// None of the files that systems have.
    #[error(
        "otlp: this system has no file of trusted certificates: install ca-certificates, or set otlp.ca_file"
    )]
    NoAuthorities,
    /// One without the other.
    #[error("otlp: cert_file and key_file belong together: set both or none")]
    HalfACertificate,
    /// TLS refuses what was read.
    #[error("otlp: {0}")]
    Tls(#[from] rustls::Error),
    /// A variable of the environment.
    #[error("{variable} is {value:?}: write {allowed}, or unset it")]
    Variable {
        /// Which.
        variable: &'static str,
        /// What it says.
        value: String,
        /// What it may say.
        allowed: &'static str,
    },
}
