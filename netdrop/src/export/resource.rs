//! Who sends: the attributes of OpenTelemetry's resource, by its semantic conventions.

use std::collections::BTreeMap;
use std::fs;

use crate::owner::cgroup_path;

/// The attributes that tell one netdrop from another; every export begins with them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resource(pub BTreeMap<String, String>);

/// What is looked at, so that tests need no machine: variables and files by their names.
pub struct Machine<'a> {
    /// A variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// A file's text.
    pub file: &'a dyn Fn(&str) -> Option<String>,
}

/// The downward API's variables, as netdrop's `DaemonSet` sets them, and the attributes that they are.
const KUBERNETES: [(&str, &str); 5] = [
    ("NODE_NAME", "k8s.node.name"),
    ("POD_NAME", "k8s.pod.name"),
    ("POD_NAMESPACE", "k8s.namespace.name"),
    ("POD_UID", "k8s.pod.uid"),
    ("CONTAINER_NAME", "k8s.container.name"),
];

impl Resource {
    /// Looks at this machine. Call it before privileges are given up: some files may be out of reach later.
    pub fn detect() -> Self {
        Self::of(&Machine {
            variable: &|name| std::env::var(name).ok(),
            file: &|path| fs::read_to_string(path).ok(),
        })
    }

    /// What `machine` says. What `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` say wins over what was found.
    pub fn of(machine: &Machine<'_>) -> Self {
        let mut found = BTreeMap::new();
        let mut add = |key: &str, value: Option<String>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                found.insert(key.to_owned(), value);
            }
        };
        let container = container(machine);
        add("service.name", Some("netdrop".into()));
        add("service.version", Some(env!("CARGO_PKG_VERSION").into()));
        add("service.instance.id", instance(machine));
        add("host.name", first_line(machine, "/proc/sys/kernel/hostname"));
        // A container's machine-id, if it has one, came with its image and says nothing of the host.
        if container.is_none() {
            let ids = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
            add("host.id", ids.iter().find_map(|path| first_line(machine, path)));
        }
        add("host.arch", Some(architecture().into()));
        add("os.type", Some("linux".into()));
        add("os.name", os_release(machine, "NAME"));
        add("os.version", os_release(machine, "VERSION_ID"));
        add("os.build_id", first_line(machine, "/proc/sys/kernel/osrelease"));
        add("container.id", container);
        for (variable, key) in KUBERNETES {
            add(key, (machine.variable)(variable));
        }
        for (key, value) in pairs(&(machine.variable)("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default()) {
            add(&key, Some(value));
        }
        add("service.name", (machine.variable)("OTEL_SERVICE_NAME"));
        Self(found)
    }
}

/// A pod's uid is another one after each restart of the pod, and the same for restarts in it. Elsewhere two daemons may run
/// on one host (in two namespaces, say), so that nothing of the host's would do: a random one.
fn instance(machine: &Machine<'_>) -> Option<String> {
    let pod = (machine.variable)("POD_UID").filter(|uid| !uid.is_empty());
    pod.or_else(|| first_line(machine, "/proc/sys/kernel/random/uuid"))
}

/// The container that netdrop itself is in: by its cgroup, or, where the cgroup namespace hides that, by the files that the
/// runtime mounts into it from a folder with the container's id.
fn container(machine: &Machine<'_>) -> Option<String> {
    let by_cgroup = (machine.file)("/proc/self/cgroup")
        .and_then(|text| cgroup_path::parse_process(&text).container)
        .map(|container| container.id);
    by_cgroup.or_else(|| {
        let mounts = (machine.file)("/proc/self/mountinfo")?;
        // proc_pid_mountinfo(5): the fourth field is the folder that is mounted, the fifth where.
        mounts.lines().find_map(|line| {
            let mut fields = line.split(' ').skip(3);
            let (root, place) = (fields.next()?, fields.next()?);
            let is_id = |part: &&str| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            let id = root.split('/').find(is_id)?;
            (place == "/etc/hostname").then(|| id.to_owned())
        })
    })
}

/// The well-known values of `host.arch`.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        "powerpc64" => "ppc64",
        other => other,
    }
}

/// A variable of os-release(5), quotes taken off.
fn os_release(machine: &Machine<'_>, name: &str) -> Option<String> {
    let text =
        ["/etc/os-release", "/usr/lib/os-release"].into_iter().find_map(|path| (machine.file)(path))?;
    text.lines().find_map(|line| {
        let value = line.strip_prefix(name)?.strip_prefix('=')?;
        Some(value.trim_matches(['"', '\'']).to_owned())
    })
}

fn first_line(machine: &Machine<'_>, path: &str) -> Option<String> {
    let text = (machine.file)(path)?;
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// `key=value,key=value` with percent-encoded values, as OpenTelemetry's variables are written (W3C Baggage). What has no `=` or
/// no key is passed over.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split(',').filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let key = key.trim();
        (!key.is_empty()).then(|| (decoded(key), decoded(value.trim())))
    })
}

/// Percent-encoding (RFC 3986, section 2.1) undone; what is none stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits =
            tail.get(..2).filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let byte = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const ID: &str = "3f2a1b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a";

    fn resource(variables: &[(&str, &str)], files: &[(&str, &str)]) -> Resource {
        let find = |list: &[(&str, &str)], name: &str| {
            list.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        Resource::of(&Machine { variable: &|name| find(variables, name), file: &|path| find(files, path) })
    }

    fn text(resource: &Resource) -> String {
        resource.0.iter().fold(String::new(), |mut text, (key, value)| {
            writeln!(text, "{key}={value}").unwrap();
            text
        })
    }

    #[test]
    fn a_host_is_told_by_its_files() {
        let mut found = resource(
            &[],
            &[
                ("/proc/sys/kernel/random/uuid", "5a0d9c1e-0000-4000-8000-000000000001\n"),
                ("/proc/sys/kernel/hostname", "web-1\n"),
                ("/proc/sys/kernel/osrelease", "6.18.1-cloud\n"),
                ("/etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
                ("/etc/os-release", "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n"),
                ("/proc/self/cgroup", "0::/system.slice/netdrop.service\n"),
                ("/proc/self/mountinfo", "22 1 0:20 / / rw - ext4 /dev/vda rw\n"),
            ],
        );
        // What the build decides, not the files.
        let ours = [("host.arch", architecture()), ("service.version", env!("CARGO_PKG_VERSION"))];
        assert!(ours.iter().all(|(key, value)| found.0.remove(*key).as_deref() == Some(value)));
        insta::assert_snapshot!(text(&found), @r"
        host.id=0123456789abcdef0123456789abcdef
        host.name=web-1
        os.build_id=6.18.1-cloud
        os.name=Debian GNU/Linux
        os.type=linux
        os.version=12
        service.instance.id=5a0d9c1e-0000-4000-8000-000000000001
        service.name=netdrop
        ");
    }

    #[test]
    fn a_pod_is_told_by_the_downward_api_and_its_cgroup() {
        let cgroup = format!("0::/kubepods.slice/kubepods-pod7c1e.slice/cri-containerd-{ID}.scope\n");
        let found = resource(
            &[
                ("NODE_NAME", "node-7"),
                ("POD_NAME", "netdrop-x"),
                ("POD_NAMESPACE", "monitoring"),
                ("POD_UID", "7c1e"),
            ],
            &[("/proc/self/cgroup", &cgroup), ("/etc/machine-id", "of-the-image")],
        );
        let expected = [
            ("container.id", Some(ID)),
            ("k8s.node.name", Some("node-7")),
            ("k8s.pod.name", Some("netdrop-x")),
            ("k8s.namespace.name", Some("monitoring")),
            ("k8s.pod.uid", Some("7c1e")),
            ("service.instance.id", Some("7c1e")),
            ("host.id", None),
        ];
        for (key, value) in expected {
            assert_eq!(found.0.get(key).map(String::as_str), value, "{key}");
        }
    }

    #[test]
    fn a_hidden_cgroup_is_told_by_the_mounts() {
        let mounts = format!(
            "600 590 254:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/vda rw\n"
        );
        let found = resource(&[], &[("/proc/self/cgroup", "0::/\n"), ("/proc/self/mountinfo", &mounts)]);
        assert_eq!(found.0.get("container.id").map(String::as_str), Some(ID));
    }

    #[test]
    fn the_environment_wins() {
        let found = resource(
            &[
                (
                    "OTEL_RESOURCE_ATTRIBUTES",
                    "deployment.environment.name=prod%2Ceu, service.name=a,broken,=x",
                ),
                ("OTEL_SERVICE_NAME", "drops"),
            ],
            &[],
        );
        assert_eq!(found.0["service.name"], "drops");
        assert_eq!(found.0["deployment.environment.name"], "prod,eu");
        assert!(!found.0.contains_key("broken"));
    }

    #[rstest]
    #[case("a%20b", "a b")]
    #[case("%2", "%2")]
    #[case("%zz%41", "%zzA")]
    #[case("%ff", "\u{fffd}")]
    #[case("%+1", "%+1")]
    fn percents_are_undone(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(decoded(text), expected);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in ".*") {
            prop_assert!(pairs(&text).all(|(key, _)| !key.is_empty()));
        }
    }
}
