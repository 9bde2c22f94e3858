//! A cgroup's limit set higher, in the words of whoever set it: systemd, a container's engine, or the file itself.

use super::groups::Group;
use crate::doctor::Remedy;
use crate::doctor::shell::shell;
use crate::model::{Runtime, Workload};
use crate::owner::cgroup_path;

/// What is to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// CPU time, in percent of one CPU.
    Cpu(u64),
    /// The share of the CPU beside others: ten times the usual one.
    Weight,
    /// Memory in MiB: the limit above which it is refused.
    Memory(u64),
    /// Memory in MiB above which it is slowed down.
    MemoryHigh(u64),
}

/// The commands that set it. `folder` is the cgroup's.
pub fn set(what: impl Into<String>, folder: &str, group: &Group, limit: Limit) -> Remedy {
    let workload = cgroup_path::parse(&group.path);
    let by_hand = files(folder, group, limit);
    // As systemd escaped it: `my\x2dapp.service`.
    let name = group.path.rsplit('/').next().unwrap_or_default();
    match &workload {
        Workload { container: Some(container), .. } => {
            let id = container.id.get(..12).unwrap_or(&container.id);
            let engine = match container.runtime {
                Runtime::Docker => "docker",
                Runtime::Podman => "podman",
                _ => {
                    return by_hand(what.into()).kept_by(match limit {
                        Limit::Cpu(percent) => format!("in the pod's or container's definition: resources.limits.cpu: {}m", percent * 10),
                        Limit::Weight => "in the pod's or container's definition: a larger resources.requests.cpu".into(),
                        Limit::Memory(mebibytes) | Limit::MemoryHigh(mebibytes) => {
                            format!("in the pod's or container's definition: resources.limits.memory: {mebibytes}Mi")
                        }
                    });
                }
            };
            let flags = match limit {
                Limit::Cpu(percent) => format!("--cpus {}.{:02}", percent / 100, percent % 100),
                Limit::Weight => "--cpu-shares 10240".into(),
                Limit::Memory(mebibytes) | Limit::MemoryHigh(mebibytes) => {
                    format!("--memory {mebibytes}m --memory-swap -1")
                }
            };
            Remedy::command(what, format!("{engine} update {flags} {id}"))
                .kept_by(format!("where the container is made: {engine} run {flags}"))
        }
        Workload { pod: Some(_), .. } => {
            by_hand(what.into()).kept_by("in the pod's definition: resources.limits")
        }
        // The unit itself has the limit, not a cgroup within it.
        Workload { unit, .. } if unit.is_some() && cgroup_path::parse(name).unit == *unit => {
            let unit = shell(name);
            let property = match limit {
                Limit::Cpu(percent) => format!("CPUQuota={percent}%"),
                Limit::Weight => "CPUWeight=1000".into(),
                Limit::Memory(mebibytes) => format!("MemoryMax={mebibytes}M"),
                Limit::MemoryHigh(mebibytes) => format!("MemoryHigh={mebibytes}M"),
            };
            Remedy::command(what, format!("systemctl set-property --runtime {unit} {property}"))
                .kept_by(format!("systemctl set-property {unit} {property}"))
        }
        _ => by_hand(what.into()).kept_by(format!("where whoever makes {} sets its limits", group.path)),
    }
}

/// What is written to which file.
fn files(folder: &str, group: &Group, limit: Limit) -> impl Fn(String) -> Remedy {
    let period = group.quota.map_or(100_000, |quota| quota.period);
    let (value, file) = match (limit, group.is_old) {
        (Limit::Cpu(percent), false) => (format!("'{} {period}'", percent * period / 100), "cpu.max"),
        (Limit::Cpu(percent), true) => ((percent * period / 100).to_string(), "cpu.cfs_quota_us"),
        (Limit::Weight, false) => ("1000".into(), "cpu.weight"),
        (Limit::Weight, true) => ("10240".into(), "cpu.shares"),
        (Limit::Memory(mebibytes), false) => (format!("{mebibytes}M"), "memory.max"),
        (Limit::MemoryHigh(mebibytes), _) => (format!("{mebibytes}M"), "memory.high"),
        (Limit::Memory(mebibytes), true) => (format!("{mebibytes}M"), "memory.limit_in_bytes"),
    };
    let command = format!("echo {value} > {}", shell(&format!("{folder}/{file}")));
    move |what| Remedy::command(what, command.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::cgroup::Quota;

    const ID: &str = "3f2a1b9c8d7e0000000000000000000000000000000000000000000000000000";

    #[rstest::rstest]
    #[case(
        "/system.slice/nginx.service",
        Limit::Cpu(150),
        "systemctl set-property --runtime nginx.service CPUQuota=150%"
    )]
    #[case("/system.slice", Limit::Memory(64), "systemctl set-property --runtime system.slice MemoryMax=64M")]
    #[case(
        r"/system.slice/system-my\x2dapp.slice/my\x2dapp@1.service",
        Limit::Weight,
        r"systemctl set-property --runtime 'my\x2dapp@1.service' CPUWeight=1000"
    )]
    #[case("/system.slice/nginx.service/x.slice", Limit::Weight, "echo 1000 > /f/cpu.weight")]
    #[case("/system.slice/nginx.service/worker", Limit::Cpu(50), "echo '50000 100000' > /f/cpu.max")]
    #[case("/system.slice/docker-ID.scope", Limit::Cpu(150), "docker update --cpus 1.50 3f2a1b9c8d7e")]
    #[case(
        "/libpod_parent/libpod-ID",
        Limit::Memory(64),
        "podman update --memory 64m --memory-swap -1 3f2a1b9c8d7e"
    )]
    #[case(
        "/kubepods/podd7a0f9b1-0000-1111-2222-333344445555/ID",
        Limit::Cpu(5),
        "echo '5000 100000' > /f/cpu.max"
    )]
    #[case("/x", Limit::MemoryHigh(64), "echo 64M > /f/memory.high")]
    #[case("/x", Limit::Weight, "echo 1000 > /f/cpu.weight")]
    fn in_the_words_of_whoever_set_it(#[case] path: &str, #[case] limit: Limit, #[case] expected: &str) {
        let quota = Some(Quota { quota: 10_000, period: 100_000 });
        let group = Group { path: path.replace("ID", ID), quota, ..Group::default() };
        let remedy = set("x", "/f", &group, limit);
        assert_eq!(remedy.now, [expected]);
        assert!(remedy.persistently.is_some());
    }

    #[test]
    fn a_folder_is_one_word() {
        let group = Group { path: "/x".into(), ..Group::default() };
        let remedy = set("x", r"/sys/fs/cgroup/system-my\x2dapp.slice/$(id)", &group, Limit::Weight);
        assert_eq!(remedy.now, [r"echo 1000 > '/sys/fs/cgroup/system-my\x2dapp.slice/$(id)/cpu.weight'"]);
    }

    #[test]
    fn version_1_has_other_files() {
        let group = Group { path: "/x".into(), is_old: true, ..Group::default() };
        assert_eq!(set("x", "/f", &group, Limit::Cpu(60)).now, ["echo 60000 > /f/cpu.cfs_quota_us"]);
        assert_eq!(set("x", "/f", &group, Limit::Memory(60)).now, ["echo 60M > /f/memory.limit_in_bytes"]);
    }
}
