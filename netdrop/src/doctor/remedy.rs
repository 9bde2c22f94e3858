//! What helps: exact commands, which netdrop never runs.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use super::Window;
use super::parts::Sysctls;

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
        let now = settings.iter().map(|(key, value)| format!("sysctl -w {key}={}", quoted(value)));
        let lines: Vec<_> = settings.iter().map(|(key, value)| format!("{key} = {value}\\n")).collect();
        // One file a remedy: a later one of another check doesn't undo it.
        let file = settings.first().map_or("", |(key, _)| key).replace(['/', '.'], "-");
        Self {
            what: what.into(),
            now: now.collect(),
            persistently: Some(format!("printf '{}' > /etc/sysctl.d/90-{file}.conf", lines.concat())),
        }
    }

    /// Settings that network namespaces have their own of (`net.core.somaxconn`); those that this kernel has but once are set for the host.
    pub fn sysctl(window: &Window, what: impl Into<String>, settings: &[(&str, &dyn Display)]) -> Self {
        let is_of_host = |key| window.now::<Sysctls>().is_ok_and(|settings| settings.is_of_host(key));
        let (host, own): (Vec<_>, Vec<_>) = settings.iter().partition(|(key, _)| is_of_host(key));
        if window.home.enter.is_none() || own.is_empty() {
            return Self::host_sysctl(what, settings);
        }
        let flags = own.iter().map(|(key, value)| format!(" --sysctl {key}={}", quoted(value)));
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
        let now = self.now.iter().map(|command| format!("nsenter --net={} {command}", path.display()));
        Self { now: now.collect(), ..self }
    }
}

/// Numbers stand as they are, several in quotes.
fn quoted(value: &dyn Display) -> String {
    let value = value.to_string();
    if value.contains(char::is_whitespace) { format!("\"{value}\"") } else { value }
}
