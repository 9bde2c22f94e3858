//! `settings-gone` and `settings-not-applied`: what files set at boot, and this kernel doesn't have, or has otherwise.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::counters::sysctl_conf;
use crate::doctor::shell::{setting, shell};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part, Place, Remedy, Scope, Severity, Source, Unread, Window,
    source,
};
use crate::knowledge;

pub const GONE: Check = check("settings-gone", |window| of(window, |line| line.now.is_none(), gone));
pub const NOT_APPLIED: Check = check("settings-not-applied", |window| of(window, Line::differs, not_applied));

const fn check(name: &'static str, run: fn(&Window) -> Result<Vec<Finding>, Unread>) -> Check {
    Check { name, area: Area::Settings, scope: Scope::Host, needs: NEEDS, run }
}

const NEEDS: &[Source] = &[source::<Files>()];

/// What was set, by setting: the last file counts, as at boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(pub BTreeMap<String, Line>);

/// A setting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// The file that sets it.
    pub file: String,
    /// To what.
    pub value: String,
    /// As it is; absent where this kernel has no such setting.
    pub now: Option<String>,
}

impl Line {
    fn differs(&self) -> bool {
        self.now.as_ref().is_some_and(|now| *now != self.value)
    }
}

impl Part for Files {
    const FROM: &'static str = "/etc/sysctl.conf and /etc/sysctl.d";
    const AT_END: bool = true;

    fn read(place: &Place) -> Result<Self, Unread> {
        let names = fs::read_dir(place.path("/etc/sysctl.d")).into_iter().flatten().flatten();
        let mut names: Vec<_> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        let files = names
            .iter()
            .filter(|name| Path::new(name).extension() == Some("conf".as_ref()))
            .map(|name| format!("/etc/sysctl.d/{name}"));
        let mut settings = BTreeMap::new();
        for file in files.chain(["/etc/sysctl.conf".to_owned()]) {
            for sysctl_conf::Line { key, value } in sysctl_conf::parse(&place.text(&file).unwrap_or_default())
            {
                if is_judged(&key) {
                    let path: String = key.chars().map(|one| if one == '.' { '/' } else { one }).collect();
                    let now = place.text(&format!("/proc/sys/{path}")).ok();
                    let now = now.map(|now| now.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
                    settings.insert(key, Line { file: file.clone(), value, now });
                }
            }
        }
        Ok(Self(settings))
    }
}

/// Of devices, which come and go, nothing is said; nor of what is written to do something once (`route.flush`), or where IPv6 is off.
fn is_judged(key: &str) -> bool {
    let of_device = key.contains(".conf.") || key.contains(".neigh.");
    let of_all = key.contains(".all.") || key.contains(".default.");
    key.starts_with("net.")
        && !key.contains('/')
        && (!of_device || of_all)
        && key.rsplit('.').next() != Some("flush")
        && !key.starts_with("net.ipv6.")
}

fn of(
    window: &Window,
    is_it: impl Fn(&Line) -> bool,
    finding: fn(&str, &Line) -> Finding,
) -> Result<Vec<Finding>, Unread> {
    let files = window.now::<Files>()?;
    Ok(files.0.iter().filter(|(_, line)| is_it(line)).map(|(key, line)| finding(key, line)).collect())
}

fn gone(key: &str, line: &Line) -> Finding {
    let of_module = ["net.netfilter.", "net.bridge.", "net.nf_"].iter().any(|prefix| key.starts_with(prefix));
    let (sentence, cause) = if of_module {
        (
            format!("{} sets {key}, which isn't there: its module isn't loaded.", line.file),
            "The module came after the settings were applied, or not at all: it begins with the kernel's own value.".to_owned(),
        )
    } else {
        let known = knowledge::setting(key).filter(|entry| entry.default() == Some("gone"));
        let more = known.map_or(String::new(), |entry| {
            format!(" {} {}", entry.meaning(), entry.caution().unwrap_or_default())
        });
        (
            format!("{} sets {key}, which this kernel doesn't have: the line does nothing.", line.file),
            format!("It is of another kernel, often from a tuning script.{more}"),
        )
    };
    Finding::new(Severity::Info, key, sentence)
        .because(Certainty::Certain, format!("(hygiene) {cause}"))
        .shown_by([Evidence::value(key, &line.value, &line.file)])
        .remedy(if of_module {
            Remedy::advice(
                "Load the module early (/etc/modules-load.d), or set it where the module is loaded.",
            )
        } else {
            Remedy::command(
                "Take the line out.",
                format!("sed -i.old {} {}", shell(&line_of(key)), shell(&line.file)),
            )
        })
        .caution("Others may be meant by the same file: look at it as a whole.")
}

/// sed(1)'s command that takes out the lines which set it. Dots and slashes mean the same in such a file; what else isn't of names matches any.
fn line_of(key: &str) -> String {
    let one = |one: char| match one {
        '.' | '/' => "[./]".to_owned(),
        '_' | '-' => one.to_string(),
        one if one.is_alphanumeric() => one.to_string(),
        _ => ".".to_owned(),
    };
    format!(r"\|^[[:space:]-]*{}[[:space:]=]|d", key.chars().map(one).collect::<String>())
}

fn not_applied(key: &str, line: &Line) -> Finding {
    let now = line.now.as_deref().unwrap_or_default();
    let sentence =
        format!("{key} is {now}, and {} sets it to {}: the next boot changes it.", line.file, line.value);
    Finding::new(Severity::Info, key, sentence)
        .because(
            Certainty::Certain,
            "(hygiene) Somebody changed it since, another file (/run/sysctl.d, /usr/lib/sysctl.d) or a service set it later, or the kernel rounded it or didn't take it.",
        )
        .shown_by([
            Evidence::value("as it is", now, format!("/proc/sys/{}", key.replace('.', "/"))),
            Evidence::value("as the file has it", &line.value, &line.file),
        ])
        .remedy(Remedy::command("Have it as the file says.", format!("sysctl -w {}", setting(key, &line.value))))
        .remedy(Remedy::advice(format!("Or write what it is into {}.", line.file)))
        .caution("See first which of both is meant.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made::Made;
    use crate::doctor::shell::made::printed;
    use crate::made_up;

    fn read() -> Files {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| made_up::file(root.path(), path, text);
        write("proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n");
        write("proc/sys/net/core/somaxconn", "4096\n");
        write("etc/sysctl.d/50-a.conf", "net.core.somaxconn=1\nnet.ipv4.tcp_rmem=4096 131072 6291456\n");
        write("etc/sysctl.d/60-b.conf", "net.ipv4.tcp_tw_recycle = 1\nnet.netfilter.nf_conntrack_max=9\n");
        write("etc/sysctl.d/README", "net.core.x = 1\n");
        write(
            "etc/sysctl.conf",
            "net.core.somaxconn=511\nkernel.pid_max=7\nnet.ipv4.conf.eth0.rp_filter=1\n",
        );
        Files::read(&Place::new(root.path())).unwrap()
    }

    #[test]
    fn the_last_file_counts() {
        let files = read();
        let lines: Vec<_> = files
            .0
            .iter()
            .map(|(key, line)| (key.as_str(), line.value.as_str(), line.now.as_deref()))
            .collect();
        assert_eq!(
            lines,
            [
                ("net.core.somaxconn", "511", Some("4096")),
                ("net.ipv4.tcp_rmem", "4096 131072 6291456", Some("4096 131072 6291456")),
                ("net.ipv4.tcp_tw_recycle", "1", None),
                ("net.netfilter.nf_conntrack_max", "9", None),
            ]
        );
    }

    /// As the parser takes them: a tab is as good as a blank.
    #[rstest::rstest]
    #[case("-\tnet/ipv4/tcp_tw_recycle\t= 1", "")]
    #[case("net.ipv4.tcp_tw_recycle=1", "")]
    #[case("net.ipv4.tcp_tw_recycled=1", "net.ipv4.tcp_tw_recycled=1\n")]
    fn the_line_that_is_taken_out(#[case] line: &str, #[case] left: &str) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("it's $(id).conf");
        fs::write(&file, format!("{line}\n")).unwrap();
        let line = Line { file: file.to_str().unwrap().into(), value: "1".into(), now: None };
        printed(&gone("net.ipv4.tcp_tw_recycle", &line).remedies[0].now[0]);
        assert_eq!(fs::read_to_string(&file).unwrap(), left);
    }

    #[test]
    fn what_is_gone_and_what_is_otherwise() {
        let made = Made::default().part(Files::default(), read());
        insta::assert_snapshot!(made.told(&GONE) + &made.told(&NOT_APPLIED));
    }
}
