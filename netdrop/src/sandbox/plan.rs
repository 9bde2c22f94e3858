//! What is kept, by whom, and what that costs: decided here, from settings and needs alone, and done in `enter`.

use std::fmt;
use std::path::PathBuf;

use caps::Capability;
use serde::Serialize;

use super::Settings;

/// What the daemon can't do without.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// Files and folders that are read again later: the settings, certificates, tokens.
    pub read: Vec<PathBuf>,
    /// Folders that files are written into, turned to new ones and removed.
    pub write: Vec<PathBuf>,
    /// Whether this kernel lets only `CAP_BPF` read maps, whoever has their descriptors: see [`Needs::ask_kernel`].
    pub bpf_gated: bool,
}

impl Needs {
    /// Asks the kernel at hand what differs between kernels.
    #[must_use]
    pub fn ask_kernel(self) -> Self {
        Self { bpf_gated: super::enter::is_bpf_gated(), ..self }
    }
}

/// Who still has a privilege.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Keeper {
    /// The daemon, which talks to the network.
    Daemon,
    /// The helper, which answers the daemon and nobody else.
    Helper,
    /// Nobody.
    Dropped,
}

/// A privilege, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name, as capabilities(7) has it where it is one.
    pub privilege: &'static str,
    /// Who keeps it.
    pub keeper: Keeper,
    /// What it is kept for, or why it isn't needed.
    pub why: &'static str,
    /// What is lost where it is dropped; what would be, where it is kept.
    pub without: &'static str,
    /// The setting that decides.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub setting: &'static str,
}

/// What is to be done, in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub(super) settings: Settings,
    pub(super) needs: Needs,
    /// Every privilege, in the order of the table.
    pub rows: Vec<Row>,
}

/// Decides.
pub fn plan(settings: &Settings, needs: Needs) -> Plan {
    let rows = if settings.enabled { rows(settings, &needs) } else { vec![EVERYTHING] };
    Plan { settings: settings.clone(), needs, rows }
}

impl Plan {
    /// The capabilities that one of the two keeps.
    pub fn kept_by(&self, keeper: Keeper) -> Vec<Capability> {
        let rows = self.rows.iter().filter(|row| row.keeper == keeper);
        rows.filter_map(|row| row.privilege.parse().ok()).collect()
    }

    /// One JSON object a line.
    pub fn to_json(&self) -> String {
        self.rows.iter().map(json).collect()
    }
}

fn json(row: &Row) -> String {
    serde_json::to_string(row).expect("a row is strings alone") + "\n"
}

/// The table that people read.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "KEPT BY  PRIVILEGE (SETTING)")?;
        for Row { privilege, keeper, why, without, setting } in &self.rows {
            let keeper = match keeper {
                Keeper::Daemon => "daemon",
                Keeper::Helper => "helper",
                Keeper::Dropped => "nobody",
            };
            let setting = if setting.is_empty() { String::new() } else { format!(" ({setting})") };
            writeln!(f, "{keeper:7}  {privilege}{setting}\n         {why}")?;
            if !without.is_empty() {
                writeln!(f, "         without: {without}")?;
            }
        }
        Ok(())
    }
}

/// What a line says of something that could be closed off.
const OFF: &str = "left open by the settings";

const EVERYTHING: Row = Row {
    privilege: "everything",
    keeper: Keeper::Daemon,
    why: "the sandbox is off: the daemon keeps all that it was started with",
    without: "",
    setting: "enabled",
};

fn rows(settings: &Settings, needs: &Needs) -> Vec<Row> {
    let row = |privilege, keeper, setting, why, without| Row { privilege, keeper, why, without, setting };
    let if_wanted = |wanted: bool, keeper| if wanted { keeper } else { Keeper::Dropped };
    let Settings { owners, namespaces, symbols, reattach, .. } = *settings;
    let bpf_why = if reattach {
        "loads programs when a reloaded file changes [capture]"
    } else if needs.bpf_gated {
        "this kernel lets nobody else read a map (kernel.unprivileged_bpf_disabled, before 5.19); loading is closed off by seccomp"
    } else {
        "the programs are attached, and maps are read by their descriptors"
    };
    let restart =
        "a changed [capture] takes a restart; a program that was taken off is attached again all the same";
    let mut rows = vec![
        row("CAP_BPF", if_wanted(reattach || needs.bpf_gated, Keeper::Daemon), "reattach", bpf_why, restart),
        row(
            "CAP_PERFMON",
            if_wanted(reattach, Keeper::Daemon),
            "reattach",
            "programs are loaded with it, never run",
            restart,
        ),
        row(
            "CAP_SYS_PTRACE",
            if_wanted(owners || namespaces, Keeper::Helper),
            "owners, namespaces",
            "looks at other processes' sockets and network namespaces",
            "sockets have no owners; namespaces without a name in /run/netns have numbers",
        ),
        row(
            "CAP_DAC_READ_SEARCH",
            if_wanted(owners, Keeper::Helper),
            "owners",
            "lists /proc/PID/fd of all users, reads what engines call their containers",
            "sockets have no owners, containers have ids for names",
        ),
        row(
            "CAP_SYS_ADMIN",
            if_wanted(namespaces, Keeper::Helper),
            "namespaces",
            "enters network namespaces to list devices and sockets (setns(2), and by seccomp nothing else)",
            "devices in other network namespaces have numbers for names",
        ),
        row(
            "CAP_SYSLOG",
            if_wanted(symbols, Keeper::Helper),
            "symbols",
            "reads kallsyms again when a module is loaded",
            "functions of modules loaded later have addresses for names",
        ),
        row("all other capabilities", Keeper::Dropped, "", "nothing needs them", ""),
    ];
    let closed = |privilege, on, setting, why, without| {
        let (keeper, why) = if on { (Keeper::Dropped, why) } else { (Keeper::Daemon, OFF) };
        row(privilege, keeper, setting, why, without)
    };
    rows.extend([
        closed(
            "the power of root's files",
            !settings.user.is_empty(),
            "user",
            "daemon and helper become an unprivileged user",
            "folders for logs must be that user's",
        ),
        row("new privileges", Keeper::Dropped, "", "no_new_privs: nothing executed gains any", ""),
        closed(
            "other files",
            settings.landlock,
            "landlock",
            "Landlock leaves /proc, /sys, names of hosts and services, certificates, the settings; log folders for writing",
            "a file or folder that a reload names elsewhere takes a restart",
        ),
        closed(
            "other processes",
            settings.landlock,
            "landlock",
            "Landlock forbids to look at, trace and signal them",
            "",
        ),
        closed(
            "other system calls",
            settings.seccomp,
            "seccomp",
            "seccomp leaves threads, files, TCP, UDP, netlink, the running programs' maps; no exec, fork, mount, ptrace, raw sockets",
            "",
        ),
    ]);
    rows
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn kept(settings: &Settings, bpf_gated: bool) -> String {
        let plan = plan(settings, Needs { bpf_gated, ..Needs::default() });
        let names =
            |keeper| plan.kept_by(keeper).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        format!("{} | {}", names(Keeper::Daemon), names(Keeper::Helper))
    }

    #[rstest]
    #[case(true, true, true, false, false, " | CAP_SYS_PTRACE CAP_DAC_READ_SEARCH CAP_SYS_ADMIN CAP_SYSLOG")]
    #[case(true, false, true, false, false, " | CAP_SYS_PTRACE CAP_DAC_READ_SEARCH CAP_SYSLOG")]
    #[case(false, true, false, false, false, " | CAP_SYS_PTRACE CAP_SYS_ADMIN")]
    #[case(false, false, false, false, false, " | ")]
    #[case(false, false, false, true, false, "CAP_BPF CAP_PERFMON | ")]
    #[case(false, false, false, false, true, "CAP_BPF | ")]
    fn what_is_kept_is_what_is_wanted(
        #[case] owners: bool,
        #[case] namespaces: bool,
        #[case] symbols: bool,
        #[case] reattach: bool,
        #[case] bpf_gated: bool,
        #[case] expected: &str,
    ) {
        let settings = Settings { owners, namespaces, symbols, reattach, ..Settings::default() };
        assert_eq!(kept(&settings, bpf_gated), expected);
    }

    /// docs/serve.md shows the table as it is.
    #[test]
    fn the_table_is_documented() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/serve.md");
        let table = plan(&Settings::default(), Needs::default()).to_string();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(&table), "docs/serve.md doesn't have this table:\n{table}");
    }

    #[test]
    fn the_same_in_json() {
        let lines = plan(&Settings::default(), Needs::default()).to_json();
        let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!((&first["privilege"], &first["keeper"]), (&"CAP_BPF".into(), &"dropped".into()));
    }

    #[test]
    fn off_is_off() {
        let plan = plan(&Settings { enabled: false, ..Settings::default() }, Needs::default());
        assert_eq!(plan.rows, [EVERYTHING]);
    }

    #[test]
    fn settings_are_checked() {
        assert_eq!(toml::from_str::<Settings>("").unwrap(), Settings::default());
        let error = toml::from_str::<Settings>("landlok = true").unwrap_err().to_string();
        assert!(error.contains("unknown field `landlok`"), "{error}");
    }
}
