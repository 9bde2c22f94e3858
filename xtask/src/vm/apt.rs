//! apt with a configuration of its own: another suite of the mirror that this machine already uses.
//!
//! Nothing of the machine's apt changes: lists, cache and sources lie in one private folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// One suite, seen through a private apt configuration.
pub struct Apt {
    config: PathBuf,
}

impl Apt {
    /// Writes the configuration into `folder` and gets the suite's package lists.
    pub fn new(folder: &Path, suite: &str) -> Result<Self> {
        for sub in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(sub))
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let os = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let codename = os.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or_default();
        let mirror = mirror(&machine_sources(), codename, suite.ends_with("-security")).with_context(|| {
            format!("this machine's apt sources name no Debian mirror for {suite}; use `--kernel PATH` to an image instead")
        })?;
        let sources = folder.join("sources.list");
        fs::write(&sources, format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"))?;
        let config = folder.join("apt.conf");
        let at = |name: &str| folder.join(name).display().to_string();
        fs::write(
            &config,
            format!(
                "Dir::Etc::sourcelist \"{}\";\nDir::Etc::sourceparts \"-\";\nDir::State::lists \"{}\";\n\
                 Dir::Cache \"{}\";\nAPT::Sandbox::User \"root\";\n",
                at("sources.list"),
                at("lists"),
                at("cache")
            ),
        )?;
        let apt = Self { config };
        workspace::run(apt.command("apt-get").args(["update", "-qq"]))?;
        Ok(apt)
    }

    /// Names of the packages that match a regular expression.
    pub fn search(&self, pattern: &str) -> Result<Vec<String>> {
        let found = workspace::stdout(self.command("apt-cache").args(["search", "--names-only", pattern]))?;
        Ok(found.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
    }

    /// A package's version: of several, the newest.
    pub fn version(&self, package: &str) -> Result<String> {
        let record =
            workspace::stdout(self.command("apt-cache").args(["show", "--no-all-versions", package]))?;
        let version = record.lines().find_map(|line| line.strip_prefix("Version: "));
        version.map(str::to_owned).with_context(|| format!("apt knows no version of {package}"))
    }

    /// Downloads packages into a folder and returns their files.
    pub fn download(&self, packages: &[String], folder: &Path) -> Result<Vec<PathBuf>> {
        workspace::run(self.command("apt-get").args(["download", "-qq"]).args(packages).current_dir(folder))?;
        let files = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
        let files: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|suffix| suffix == "deb")).collect();
        if files.len() != packages.len() {
            bail!("asked for {packages:?}, got {} files", files.len());
        }
        Ok(files)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.config);
        command
    }
}

/// The text of all files that tell apt where to look (sources.list(5)).
fn machine_sources() -> String {
    let parts =
        fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path());
    let files = std::iter::once(PathBuf::from("/etc/apt/sources.list")).chain(parts);
    files.filter_map(|file| fs::read_to_string(file).ok()).collect::<Vec<_>>().join("\n\n")
}

/// The mirror that serves the machine's own release, or its security updates. Both of apt's formats are read:
/// one line a source, and paragraphs of `URIs:` and `Suites:`. Other vendors' suites never match the codename.
fn mirror(sources: &str, codename: &str, security: bool) -> Option<String> {
    let suite = if security { format!("{codename}-security") } else { codename.to_owned() };
    let serves = |suites: &str| {
        suites.split_whitespace().any(|word| word == suite || word == format!("{suite}/updates"))
    };
    sources.split("\n\n").find_map(|paragraph| {
        let field = |name: &str| paragraph.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let one_line = || {
            paragraph.lines().find_map(|line| {
                let rest = line.strip_prefix("deb ")?.trim_start();
                let rest = if rest.starts_with('[') { rest.split_once(']')?.1 } else { rest };
                let mut words = rest.split_whitespace();
                let (uri, found) = (words.next()?, words.next()?);
                serves(found).then(|| uri.to_owned())
            })
        };
        match (field("URIs:"), field("Suites:")) {
            (Some(uris), Some(suites)) if serves(suites) => uris.split_whitespace().next().map(str::to_owned),
            _ => one_line(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAGRAPHS: &str = "\
Types: deb
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates

Types: deb
URIs: http://mirror.example/security http://other.example/security
Suites: bookworm-security

deb https://vendor.example/apt cloud-bookworm main
";
    const LINES: &str = "\
# deb http://old.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main
deb http://mirror.example/security bookworm-security main
";

    #[test]
    fn the_mirror_comes_from_the_machines_own_sources() {
        for sources in [PARAGRAPHS, LINES] {
            assert_eq!(mirror(sources, "bookworm", false).unwrap(), "http://mirror.example/debian");
            assert_eq!(mirror(sources, "bookworm", true).unwrap(), "http://mirror.example/security");
            assert_eq!(mirror(sources, "trixie", false), None);
        }
    }
}
