//! What helps: exact commands, which netdrop never runs.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use super::Window;
use super::parts::Sysctls;
use super::shell::{setting, shell};

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// What it does, in one sentence.
    pub what: String,
    /// Commands for a shell that make it so until the next boot; none where it is somebody's program or its settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub now: Vec<String>,
    /// A command, or where to write what, so that it stays so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistently: Option<String>,
}

impl Remedy {
    /// Something that no command does: a change in a program or its configuration.
    pub fn advice(what: impl Into<String>) -> Self {
        Self { what: what.into(), now: Vec::new(), persistently: None }
    }

    /// A command that helps for now.
    pub fn command(what: impl Into<String>, command: impl Into<String>) -> Self {
        Self { what: what.into(), now: vec![command.into()], persistently: None }
    }

    /// And how it stays so.
    #[must_use]
    pub fn kept_by(self, how: impl Into<String>) -> Self {
        Self { persistently: Some(how.into()), ..self }
    }

    /// Whether what keeps it so is a command for a shell, and no words.
    pub fn is_kept_by_command(&self) -> bool {
        let is_command = |how: &String| how.starts_with("printf ") || how.starts_with("systemctl ");
        self.persistently.as_ref().is_some_and(is_command)
    }

    /// Settings of the whole host (`net.core.netdev_max_backlog`).
    pub fn host_sysctl(what: impl Into<String>, settings: &[(&str, &dyn Display)]) -> Self {
        let now = settings.iter().map(|(key, value)| format!("sysctl -w {}", setting(key, value)));
        let lines: String =
            settings.iter().map(|(key, value)| printed(&format!("{key} = {value}"))).collect();
        // One file a remedy: a later one of another check doesn't undo it.
        let file = settings.first().map_or("", |(key, _)| key).replace(['/', '.'], "-");
        Self {
            what: what.into(),
            now: now.collect(),
            persistently: Some(format!(
                "printf {} > {}",
                shell(&lines),
                shell(&format!("/etc/sysctl.d/90-{file}.conf"))
            )),
        }
    }

    /// Settings that network namespaces have their own of (`net.core.somaxconn`); those that this kernel has but once are set for the host.
    pub fn sysctl(window: &Window, what: impl Into<String>, settings: &[(&str, &dyn Display)]) -> Self {
        let is_of_host = |key| window.now::<Sysctls>().is_ok_and(|settings| settings.is_of_host(key));
        let (host, own): (Vec<_>, Vec<_>) = settings.iter().partition(|(key, _)| is_of_host(key));
        if window.home.enter.is_none() || own.is_empty() {
            return Self::host_sysctl(what, settings);
        }
        let flags = own.iter().map(|(key, value)| format!(" --sysctl {}", setting(key, value)));
        let made = "where the namespace is made, as for a container: docker run";
        let mut kept = format!("{made}{}", flags.collect::<String>());
        let mut remedy = Self::host_sysctl(what, &own).inside(window);
        if !host.is_empty() {
            let Self { now, persistently, .. } = Self::host_sysctl("", &host);
            remedy.now.splice(0..0, now);
            kept += &persistently.map_or(String::new(), |how| format!("; on the host: {how}"));
        }
        remedy.kept_by(kept)
    }

    /// The same commands, run in the window's network namespace.
    #[must_use]
    pub fn inside(self, window: &Window) -> Self {
        let Some(path) = &window.home.enter else { return self };
        let path = path.to_string_lossy();
        let now = self.now.iter().map(|command| format!("nsenter --net={} {command}", shell(&path)));
        Self { now: now.collect(), ..self }
    }
}

/// A line as printf(1) has it in its format.
fn printed(line: &str) -> String {
    line.replace('\\', r"\\").replace('%', "%%") + r"\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::shell::made::{arguments, printed};

    #[rstest::rstest]
    #[case("eth0")]
    #[case(r"50%d\n$(id);'x")]
    fn a_devices_name_stays_what_it_is(#[case] device: &str) {
        let key = format!("net.ipv4.conf.{device}.log_martians");
        let remedy = Remedy::host_sysctl("x", &[(&key, &1)]);
        assert_eq!(arguments("sysctl", &remedy.now[0]), ["-w", &format!("{key}=1")]);
        let kept = remedy.persistently.unwrap();
        let (print, file) = kept.split_once(" > ").unwrap();
        assert_eq!(printed(print), format!("{key} = 1\n"));
        let name = key.replace('.', "-");
        assert_eq!(arguments("told", &format!("told {file}")), [format!("/etc/sysctl.d/90-{name}.conf")]);
    }
}
