//! `completions` and `man`: made from the command line's own definition.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;

/// `netdrop completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub fn run(&self, command: &mut Command) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, command, "netdrop", &mut script);
        super::output::print(&script)
    }
}

/// `netdrop man`.
#[derive(Debug, Args)]
pub struct Man {
    /// The folder, made if it isn't there
    folder: PathBuf,
}

impl Man {
    pub fn run(&self, command: &Command) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.folder)
            .and_then(|()| clap_mangen::generate_to(command.clone(), &self.folder))
            .with_context(|| format!("can't write the manual pages into {}", self.folder.display()))
    }
}
