//! What a cgroup's path says: container, pod, systemd unit.
//!
//! There is no standard: each runtime names its cgroups in its own way, and with two drivers, systemd's and the plain one
//! ("cgroupfs"). The innermost container counts: one in a Kubernetes node that is a container itself is the pod's.

use crate::model::{Container, Pod, Runtime, Workload};

/// Digits of a container's id: SHA-256, or as many random ones.
const ID_DIGITS: usize = 64;

/// What is in front of the id in a component's name, `.scope` taken off. Monitors (`libpod-conmon-…`, `crio-conmon-…`) are not in
/// the container, and no id follows their prefix.
const PREFIXES: [(&str, Runtime); 8] = [
    ("docker-", Runtime::Docker),
    ("cri-containerd-", Runtime::Containerd),
    ("nerdctl-", Runtime::Containerd),
    ("crio-", Runtime::CriO),
    ("libpod-payload-", Runtime::Podman),
    ("libpod-", Runtime::Podman),
    // containerd's name where the cgroup driver of kubelet and containerd differ: `….slice:cri-containerd:<id>`.
    ("cri-containerd:", Runtime::Containerd),
    ("crio:", Runtime::CriO),
];

/// What systemd makes cgroups for, besides slices (systemd.unit(5)).
const UNITS: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];

/// Reads a path as in `/proc/PID/cgroup` or below the mount; what isn't recognized says nothing.
pub fn parse(path: &str) -> Workload {
    let mut workload = Workload::default();
    let mut unit: Option<&str> = None;
    let mut slice: Option<&str> = None;
    let mut above = "";
    for component in path.split('/').filter(|component| !component.is_empty()) {
        // A pod begins inside of what is around it; its containers' ids come after it.
        if let Some(uid) = pod_uid(component) {
            workload = Workload { pod: Some(Pod { uid, name: None }), ..Workload::default() };
        }
        if let Some(container) = container(component, above, workload.pod.is_some()) {
            workload.container = Some(container);
        }
        if UNITS.iter().any(|suffix| is_named(component, suffix)) {
            // A service manager's own cgroup says less than the service that the manager is.
            unit = if component == "init.scope" { unit.or(Some(component)) } else { Some(component) };
        } else if is_named(component, ".slice") {
            slice = Some(component);
        }
        above = component;
    }
    if workload.is_empty() {
        workload.unit = unit.or(slice).map(unescape);
    }
    workload
}

/// The workload of a process, from its `/proc/PID/cgroup` (cgroups(7)): lines of `hierarchy:controllers:path`.
///
/// The unified hierarchy (`0::`) and systemd's own (`name=systemd`) come first; any other that knows a container will do.
pub fn parse_process(text: &str) -> Workload {
    let lines = || {
        text.lines().filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            rest.split_once(':')
        })
    };
    let is_main = |controllers: &str| controllers.is_empty() || controllers == "name=systemd";
    let main = lines().filter(|(controllers, _)| is_main(controllers));
    let others = lines().filter(|(controllers, _)| !is_main(controllers));
    let mut first = Workload::default();
    for (_, path) in main.chain(others) {
        let workload = parse(path);
        if workload.container.is_some() || workload.pod.is_some() {
            return workload;
        }
        if first.is_empty() {
            first = workload;
        }
    }
    first
}

/// `….suffix` with something in front.
fn is_named(component: &str, suffix: &str) -> bool {
    component.len() > suffix.len() && component.ends_with(suffix)
}

fn container(component: &str, above: &str, in_pod: bool) -> Option<Container> {
    let new = |runtime, id: &str| Some(Container { runtime, id: id.to_owned(), name: None });
    if let Some((runtime, id)) = hexadecimal(component) {
        let runtime = match (runtime, above) {
            (Some(runtime), _) => runtime,
            (None, "docker") => Runtime::Docker,
            (None, _) if in_pod => Runtime::Kubernetes,
            (None, _) => Runtime::Other,
        };
        return new(runtime, id);
    }
    if let Some(name) = lxc_name(component, above) {
        return new(Runtime::Lxc, name);
    }
    machine_name(component).and_then(|name| new(Runtime::Machine, &unescape(name)))
}

/// A component that holds a container's id, and the runtime where the component tells it.
fn hexadecimal(component: &str) -> Option<(Option<Runtime>, &str)> {
    let name = component.strip_suffix(".scope").unwrap_or(component);
    // `kubepods-burstable-pod<uid>.slice:cri-containerd:<id>`
    let name = name.split_once(".slice:").map_or(name, |(_, rest)| rest);
    let found = PREFIXES.iter().find_map(|(prefix, runtime)| {
        Some((Some(*runtime), name.strip_prefix(prefix)?)).filter(|(_, id)| is_id(id))
    });
    found.or_else(|| is_id(name).then_some((None, name)))
}

fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// `lxc.payload.NAME` of LXC from 4.0 on (also LXD's and Incus's), `lxc.payload/NAME` of 3.1, `lxc/NAME` before.
fn lxc_name<'c>(component: &'c str, above: &str) -> Option<&'c str> {
    let name = component.strip_prefix("lxc.payload.").filter(|name| !name.is_empty());
    name.or_else(|| matches!(above, "lxc" | "lxc.payload").then_some(component))
}

/// `machine-NAME.scope` of systemd-machined, `systemd-nspawn@NAME.service` of its template; escaped.
fn machine_name(component: &str) -> Option<&str> {
    let scope = component.strip_prefix("machine-").and_then(|rest| rest.strip_suffix(".scope"));
    let service = component.strip_prefix("systemd-nspawn@").and_then(|rest| rest.strip_suffix(".service"));
    scope.or(service).filter(|name| !name.is_empty())
}

/// The uid in `pod<uid>`, `kubepods-burstable-pod<uid>.slice` and with a driver's mismatch `kubepods-…-pod<uid>.slice:…`.
///
/// It is 8-4-4-4-12 hexadecimal digits, the dashes written as underscores in slices; of static pods 32 digits.
fn pod_uid(component: &str) -> Option<String> {
    let name = component.split_once(".slice").map_or(component, |(name, _)| name);
    let uid = if let Some(uid) = name.strip_prefix("pod") {
        uid
    } else if name.contains("kubepods") {
        name.rsplit_once("-pod")?.1
    } else {
        return None;
    };
    let uid = uid.replace('_', "-");
    let digits = uid.bytes().filter(u8::is_ascii_hexdigit).count();
    let dashes = uid.bytes().filter(|byte| *byte == b'-').count();
    (digits == 32 && (dashes == 4 || dashes == 0) && digits + dashes == uid.len()).then_some(uid)
}

/// systemd writes what can't be in a unit's name as `\x2d` (systemd-escape(1)); other backslashes stay.
fn unescape(name: &str) -> String {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.strip_prefix(b"x").filter(|_| *first == b'\\').and_then(|tail| tail.get(..2));
        let byte = digits
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        plain.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[3..] } else { tail };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests;
