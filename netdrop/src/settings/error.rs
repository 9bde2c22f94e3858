//! What is wrong with settings: the file and line or the variable, the key, what is allowed, the nearest.

use std::io;
use std::path::{Path, PathBuf};

use crate::kernel::near::closest;

/// Settings that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file can't be read.
    #[error("can't read the settings in {}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A line of the file is wrong.
    #[error("{}:{line}: {message}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// From 1 on.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// A variable or a flag is wrong.
    #[error("{from}: {message}")]
    Override {
        /// Which.
        from: String,
        /// What is wrong with it.
        message: String,
    },
}

impl SettingsError {
    /// Of a file's text.
    pub(super) fn in_file(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let before = &text.as_bytes()[..at];
        let line = before.split(|byte| *byte == b'\n').count();
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let key =
            text.get(start..).and_then(|rest| rest.lines().next()).and_then(|line| line.split_once('='));
        let message = in_words(error.message());
        let message = match key {
            // Of a key that isn't known the message has the name itself.
            Some((key, _)) if !error.message().starts_with("unknown field") && !key.trim().is_empty() => {
                format!("{}: {message}", key.trim())
            }
            _ => message,
        };
        Self::File { path: path.to_owned(), line, message }
    }

    pub(super) fn in_override(from: &str, message: &str) -> Self {
        Self::Override { from: from.to_owned(), message: in_words(message) }
    }
}

/// serde's words for a name that isn't known, with the nearest that is.
fn in_words(message: &str) -> String {
    let message = message.trim();
    let is_key = message.starts_with("unknown field");
    if !is_key && !message.starts_with("unknown variant") {
        return message.lines().next().unwrap_or_default().to_owned();
    }
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = names.next().unwrap_or_default();
    let known: Vec<_> = names.collect();
    let near = closest(unknown, known.iter().copied());
    let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    let what = if is_key { "there is no key" } else { "there is no value" };
    format!("{what} `{unknown}`{near} (choose from {})", known.join(", "))
}
