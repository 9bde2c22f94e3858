//! Where settings come from, so that they can be read again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Override, Settings, SettingsError};

/// The file that is read where no other is named, if it exists.
pub const DEFAULT_FILE: &str = "/etc/netdrop/netdrop.toml";

/// Where settings come from. The file is read each time; variables and flags stay what they were at the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sources {
    /// The file, and whether it must exist.
    file: Option<(PathBuf, bool)>,
    overrides: Vec<Override>,
}

impl Sources {
    /// The file that the user named, else the default one, and over it `overrides`, the last first heard.
    pub fn new(file: Option<PathBuf>, overrides: Vec<Override>) -> Self {
        let file = file.map_or_else(|| (DEFAULT_FILE.into(), false), |file| (file, true));
        Self { file: Some(file), overrides }
    }

    /// Reads them.
    ///
    /// # Errors
    /// For the first thing that is wrong.
    pub fn read(&self) -> Result<Settings, SettingsError> {
        let settings = match &self.file {
            Some((path, named)) => read_file(path, *named)?,
            None => Settings::default(),
        };
        self.overrides.iter().try_fold(settings, |settings, each| each.apply(&settings))
    }

    /// The file, where there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path()).filter(|path| path.exists())
    }
}

fn read_file(path: &Path, must_exist: bool) -> Result<Settings, SettingsError> {
    match fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|error| SettingsError::in_file(path, &text, &error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => Ok(Settings::default()),
        Err(error) => Err(SettingsError::Read { path: path.to_owned(), error }),
    }
}
