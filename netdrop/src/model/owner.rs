//! Whose a socket is: the processes that hold it, their container, pod or systemd unit.

use std::fmt;
use std::sync::Arc;

/// Characters of a container's id that are shown to people, as docker does; JSON has all.
const SHORT_ID: usize = 12;

/// Whose a socket is.
///
/// As JSON: `{"pid":4242,"command":"nginx","others":[{"pid":4243,"command":"nginx"}],"more":2,"container":"docker:3f2a…"}`: the first
/// process, the others that are listed, how many more there are. `"gone":true` or `"closed":true` beside a process that no longer holds the
/// socket, `"nobody":true` where none does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owner {
    /// Those that hold the socket, who began first before the others, a few at most; where none does any more, who held it last.
    /// Empty while the socket has not been searched for, and where nobody was ever seen to hold it.
    pub processes: Vec<Process>,
    /// How many hold it (or held it) besides those in `processes`.
    pub more: u32,
    /// It was searched for, and no process holds it (any more). A socket of the kernel's own never has one.
    pub nobody: bool,
    /// Where it runs: of the socket's own cgroup, else of the first process.
    pub workload: Arc<Workload>,
}

/// A process that holds a socket, or held it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id as seen from netdrop's PID namespace.
    pub pid: u32,
    /// The name of its main thread, `/proc/PID/comm`: 15 bytes at most.
    pub command: Arc<str>,
    /// Whether it has the socket now.
    pub holding: Holding,
}

/// A process by its id and name, for rows: whatever became of it meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerName {
    /// The name of its main thread.
    pub command: Arc<str>,
    /// Its id.
    pub pid: u32,
}

/// What became of a process's hold on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holding {
    /// A descriptor of it is the socket.
    Open,
    /// The process lives and has closed the socket, or passed it on.
    Closed,
    /// The process has ended.
    Gone,
}

/// Where processes run, as far as their cgroup tells. Absent members are unknown or don't apply.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Workload {
    /// The innermost container.
    pub container: Option<Container>,
    /// The Kubernetes pod around it.
    pub pod: Option<Pod>,
    /// The systemd unit, where there is no container: `nginx.service`, `session-3.scope`, `user.slice`.
    pub unit: Option<String>,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Container {
    /// Who runs it.
    pub runtime: Runtime,
    /// 64 hexadecimal digits; for LXC and machines their name.
    pub id: String,
    /// What its user calls it, where the runtime's files say so.
    pub name: Option<String>,
}

/// A Kubernetes pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pod {
    /// Its UID, with dashes; static pods have 32 digits without.
    pub uid: String,
    /// `namespace/name`, where the runtime's files say so.
    pub name: Option<String>,
}

/// Who runs a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Runtime {
    /// Docker, also rootless.
    Docker,
    /// containerd, also through nerdctl.
    Containerd,
    /// CRI-O.
    CriO,
    /// Podman.
    Podman,
    /// LXC, LXD, Incus.
    Lxc,
    /// systemd-nspawn and others that registered with systemd-machined.
    Machine,
    /// A pod's container whose path doesn't tell the runtime.
    Kubernetes,
    /// A path with a container's id that doesn't tell the runtime.
    Other,
}

impl Runtime {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Docker,
        Self::Containerd,
        Self::CriO,
        Self::Podman,
        Self::Lxc,
        Self::Machine,
        Self::Kubernetes,
        Self::Other,
    ];

    /// The runtime of that [name](Runtime::as_str); of another netdrop's lines it may be one that isn't known here.
    pub fn called(name: &str) -> Self {
        Self::ALL.into_iter().find(|one| one.as_str() == name).unwrap_or(Self::Other)
    }

    /// The name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Podman => "podman",
            Self::Lxc => "lxc",
            Self::Machine => "machine",
            Self::Kubernetes => "kubernetes",
            Self::Other => "container",
        }
    }
}

impl Workload {
    /// Whether nothing at all is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a container or a pod is known.
    pub const fn is_contained(&self) -> bool {
        self.container.is_some() || self.pod.is_some()
    }

    /// What is the same in both: a pod's network namespace has several containers and one pod.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        fn same<T: Clone + PartialEq>(one: Option<&T>, other: Option<&T>) -> Option<T> {
            one.filter(|one| other == Some(one)).cloned()
        }
        Self {
            container: same(self.container.as_ref(), other.container.as_ref()),
            pod: same(self.pod.as_ref(), other.pod.as_ref()),
            unit: same(self.unit.as_ref(), other.unit.as_ref()),
        }
    }

    /// Whether a user's word means it: a name, an id or at least 4 digits of one, a pod's uid or name, a unit.
    pub fn is_called(&self, word: &str) -> bool {
        const FEWEST_DIGITS: usize = 4;
        let of_container = self.container.as_ref().is_some_and(|container| {
            let word = word.strip_prefix(&format!("{}:", container.runtime.as_str())).unwrap_or(word);
            let is_part = word.len() >= FEWEST_DIGITS && container.id.starts_with(word);
            container.name.as_deref() == Some(word) || container.id == word || is_part
        });
        let of_pod = self.pod.as_ref().is_some_and(|pod| {
            let name = pod.name.as_deref();
            let without_namespace = name.and_then(|name| name.split_once('/')).map(|(_, name)| name);
            pod.uid == word || name == Some(word) || without_namespace == Some(word)
        });
        of_container || of_pod || self.unit.as_deref() == Some(word)
    }
}

/// `nginx(4242)`, `nginx(4242)+2`, `nginx(4242, gone)`, `nginx(4242, closed)`; `nobody` where none was ever seen; else the workload.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(process) = self.processes.first() else {
            return if self.nobody { f.write_str("nobody") } else { self.workload.fmt(f) };
        };
        process.fmt(f)?;
        match self.others() {
            0 => Ok(()),
            others => write!(f, "+{others}"),
        }
    }
}

impl Owner {
    /// The first process; nobody where none is known.
    pub fn first(&self) -> Option<OwnerName> {
        let Process { pid, command, .. } = self.processes.first()?;
        Some(OwnerName { command: Arc::clone(command), pid: *pid })
    }

    /// Whether it can't be told better by another search: somebody has the socket, or it was searched for in vain.
    pub fn is_settled(&self) -> bool {
        self.nobody || self.processes.iter().any(|process| process.holding == Holding::Open)
    }

    /// How many hold it (or held it) besides the first process.
    pub fn others(&self) -> u32 {
        let listed = u32::try_from(self.processes.len()).unwrap_or(u32::MAX);
        listed.saturating_sub(1).saturating_add(self.more)
    }
}

/// `nginx(4242)`
impl fmt::Display for OwnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.command, self.pid)
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.holding {
            Holding::Open => "",
            Holding::Closed => ", closed",
            Holding::Gone => ", gone",
        };
        write!(f, "{}({}{state})", self.command, self.pid)
    }
}

/// The container, else the pod, else the unit; empty when nothing is known.
impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { container: Some(container), .. } => container.fmt(f),
            Self { pod: Some(pod), .. } => pod.fmt(f),
            Self { unit: Some(unit), .. } => f.write_str(unit),
            _ => Ok(()),
        }
    }
}

/// `docker:web`, or `docker:3f2a1b9c8d7e` with the first twelve digits.
impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = match self.runtime {
            Runtime::Lxc | Runtime::Machine => &self.id,
            _ => self.id.get(..SHORT_ID).unwrap_or(&self.id),
        };
        write!(f, "{}:{}", self.runtime.as_str(), self.name.as_deref().unwrap_or(short))
    }
}

/// `pod:default/web-0`, or `pod:<uid>`.
impl fmt::Display for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pod:{}", self.name.as_deref().unwrap_or(&self.uid))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const ID: &str = "3f2a1b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a";

    fn nginx(pid: u32, holding: Holding) -> Process {
        Process { pid, command: "nginx".into(), holding }
    }

    fn docker(name: Option<&str>) -> Workload {
        let container = Container { runtime: Runtime::Docker, id: ID.into(), name: name.map(Into::into) };
        Workload { container: Some(container), ..Workload::default() }
    }

    fn in_docker() -> Owner {
        Owner { workload: Arc::new(docker(None)), ..Owner::default() }
    }

    #[rstest]
    #[case(Owner { processes: vec![nginx(4242, Holding::Open)], ..Owner::default() }, "nginx(4242)")]
    #[case(Owner { processes: vec![nginx(4242, Holding::Open), nginx(4243, Holding::Open)], more: 1, ..Owner::default() }, "nginx(4242)+2")]
    #[case(Owner { processes: vec![nginx(4242, Holding::Gone)], nobody: true, ..Owner::default() }, "nginx(4242, gone)")]
    #[case(Owner { processes: vec![nginx(4242, Holding::Closed)], more: 2, nobody: true, ..Owner::default() }, "nginx(4242, closed)+2")]
    #[case(Owner { nobody: true, ..in_docker() }, "nobody")]
    #[case(in_docker(), "docker:3f2a1b9c8d7e")]
    #[case(Owner::default(), "")]
    fn an_owner_is_short(#[case] owner: Owner, #[case] text: &str) {
        assert_eq!(owner.to_string(), text);
    }

    #[rstest]
    #[case(docker(Some("web")), "docker:web")]
    #[case(Workload { unit: Some("nginx.service".into()), ..Workload::default() }, "nginx.service")]
    #[case(Workload { pod: Some(Pod { uid: "7".into(), name: None }), ..Workload::default() }, "pod:7")]
    #[case(Workload { pod: Some(Pod { uid: "7".into(), name: Some("a/b".into()) }), ..Workload::default() }, "pod:a/b")]
    #[case(Workload { container: Some(Container { runtime: Runtime::Lxc, id: "a-rather-long-name".into(), name: None }), ..Workload::default() }, "lxc:a-rather-long-name")]
    fn a_workload_has_one_name(#[case] workload: Workload, #[case] text: &str) {
        assert_eq!(workload.to_string(), text);
    }

    #[rstest]
    #[case("web", true)]
    #[case("docker:web", true)]
    #[case("podman:web", false)]
    #[case(ID, true)]
    #[case("3f2a1b9c", true)]
    #[case("docker:3f2a1b9c", true)]
    #[case("3f2", false)]
    #[case("", false)]
    #[case("default/web-0", true)]
    #[case("web-0", true)]
    #[case("default", false)]
    #[case("web.service", false)]
    fn a_users_word_finds_the_workload(#[case] word: &str, #[case] expected: bool) {
        let pod = Some(Pod { uid: "7".into(), name: Some("default/web-0".into()) });
        assert_eq!(Workload { pod, ..docker(Some("web")) }.is_called(word), expected);
    }

    #[test]
    fn what_two_have_in_common_is_left() {
        let pod = || Some(Pod { uid: "7".into(), name: None });
        let one = Workload { pod: pod(), ..docker(Some("web")) };
        let other = Workload { pod: pod(), unit: Some("x.service".into()), container: None };
        assert_eq!(one.common(&other), Workload { pod: pod(), ..Workload::default() });
        assert_eq!(one.common(&one), one);
        assert!(one.common(&Workload::default()).is_empty());
    }
}
