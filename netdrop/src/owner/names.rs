//! What containers and pods are called, from the files that their runtimes keep: no daemon is asked.
//!
//! Docker: `/var/lib/docker/containers/ID/config.v2.json`. containers/storage (Podman, CRI-O): `containers.json` and each container's OCI
//! configuration. containerd: the OCI configuration in its state folder. What can't be read says nothing. Rootless engines keep
//! their files in homes, which are not searched.

use std::collections::HashMap;
use std::fs;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::recent::Recent;
use crate::kernel::privileged;
use crate::model::{Container, Pod, Runtime, Workload};

/// Containers remembered: some 300 bytes each.
const REMEMBERED: usize = 2048;
/// Longer files are not read: a container's configuration has some KiB, Podman's list less than 1 KiB for each container.
const LONGEST_FILE: u64 = 8 << 20;

const DOCKER: &str = "var/lib/docker/containers";
/// One folder for each of containerd's namespaces; k3s brings a containerd of its own.
const CONTAINERD: [&str; 4] = [
    "run/containerd/io.containerd.runtime.v2.task/k8s.io",
    "run/containerd/io.containerd.runtime.v2.task/default",
    "run/containerd/io.containerd.runtime.v2.task/moby",
    "run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io",
];
/// containers/storage by its two drivers in use.
const STORAGE: [&str; 2] =
    ["var/lib/containers/storage/overlay-containers", "var/lib/containers/storage/vfs-containers"];

/// kubelet's links to the logs of its containers, whatever runs them: `POD_NAMESPACE_CONTAINER-ID.log`.
const LOGS: &str = "var/log/containers";

/// containers/storage's containers: those that survive a restart of the machine, and those that don't.
const LISTS: [&str; 2] = ["containers.json", "volatile-containers.json"];

/// The names of containers, each looked for once.
#[derive(Debug)]
pub(super) struct Names {
    root: PathBuf,
    known: Recent<String, Named>,
}

/// What a runtime's files say of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Named {
    runtime: Option<Runtime>,
    name: Option<String>,
    /// `namespace/name`
    pod: Option<String>,
}

impl Names {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), known: Recent::new(REMEMBERED) }
    }

    /// Adds names to the container and its pod, and the runtime where its path didn't tell it.
    pub(super) fn add(&mut self, workload: &mut Workload) {
        let Some(container) = &mut workload.container else { return };
        if matches!(container.runtime, Runtime::Lxc | Runtime::Machine) {
            return;
        }
        let named = self.named(container);
        if matches!(container.runtime, Runtime::Kubernetes | Runtime::Other) {
            container.runtime = named.runtime.unwrap_or(container.runtime);
        }
        container.name = named.name;
        if let Some(Pod { name, .. }) = &mut workload.pod {
            *name = named.pod;
        }
    }

    fn named(&mut self, container: &Container) -> Named {
        if let Some(named) = self.known.get(&container.id) {
            return named.clone();
        }
        let named = match container.runtime {
            Runtime::Docker => self.docker(&container.id),
            Runtime::Containerd => self.containerd(&container.id),
            Runtime::Podman | Runtime::CriO => self.storage(&container.id),
            _ => {
                let id = &container.id;
                self.docker(id).or_else(|| self.containerd(id)).or_else(|| self.storage(id))
            }
        };
        let in_pod = named.as_ref().is_some_and(|named| named.pod.is_some());
        let named = if in_pod { named } else { self.logged(&container.id, named.as_ref()).or(named) };
        let named = named.unwrap_or_default();
        self.known.insert(container.id.clone(), named.clone());
        named
    }

    fn logged(&self, id: &str, known: Option<&Named>) -> Option<Named> {
        let links = fs::read_dir(self.root.join(LOGS)).ok()?;
        links.flatten().find_map(|link| {
            let named = from_link(link.file_name().to_str()?, id)?;
            Some(Named { runtime: known.and_then(|known| known.runtime), ..named })
        })
    }

    fn docker(&self, id: &str) -> Option<Named> {
        let config: DockerConfig = json(&self.root.join(DOCKER).join(id).join("config.v2.json"))?;
        let named = Named::from_labels(Runtime::Docker, &config.config.labels.unwrap_or_default());
        let own = config.name.strip_prefix('/').unwrap_or(&config.name);
        Some(Named { name: named.name.or_else(|| (!own.is_empty()).then(|| own.to_owned())), ..named })
    }

    fn containerd(&self, id: &str) -> Option<Named> {
        CONTAINERD.iter().find_map(|folder| {
            let config: OciConfig = json(&self.root.join(folder).join(id).join("config.json"))?;
            Some(Named::from_labels(Runtime::Containerd, &config.annotations.unwrap_or_default()))
        })
    }

    fn storage(&self, id: &str) -> Option<Named> {
        STORAGE.iter().find_map(|folder| {
            let folder = self.root.join(folder);
            let config: Option<OciConfig> = json(&folder.join(id).join("userdata/config.json"));
            let labels = config.and_then(|config| config.annotations);
            let named = labels.map(|labels| {
                let in_pod = label(&labels, &POD_NAMES).is_some();
                Named::from_labels(if in_pod { Runtime::CriO } else { Runtime::Podman }, &labels)
            });
            if named.as_ref().is_some_and(|named| named.name.is_some()) {
                return named;
            }
            let listed = LISTS.iter().find_map(|file| {
                let list: Vec<Stored> = json(&folder.join(file))?;
                list.into_iter().find(|one| one.id == id)
            });
            let name = listed.and_then(|one| one.names.into_iter().next());
            name.map(|name| Named { name: Some(name), ..named.clone().unwrap_or_default() }).or(named)
        })
    }
}

/// None of the three names has an underscore in it (DNS labels, RFC 1123).
fn from_link(link: &str, id: &str) -> Option<Named> {
    let names = link.strip_suffix(".log")?.strip_suffix(id)?.strip_suffix('-')?;
    let (pod, rest) = names.split_once('_')?;
    let (namespace, name) = rest.split_once('_')?;
    Some(Named { runtime: None, name: Some(name.to_owned()), pod: Some(format!("{namespace}/{pod}")) })
}

type Labels = HashMap<String, serde_json::Value>;

const CONTAINER_NAMES: [&str; 3] =
    ["io.kubernetes.container.name", "io.kubernetes.cri.container-name", "nerdctl/name"];
const POD_NAMES: [&str; 2] = ["io.kubernetes.pod.name", "io.kubernetes.cri.sandbox-name"];
const POD_NAMESPACES: [&str; 2] = ["io.kubernetes.pod.namespace", "io.kubernetes.cri.sandbox-namespace"];

impl Named {
    /// kubelet's labels, which docker and CRI-O pass on, and those of containerd's CRI plugin.
    fn from_labels(runtime: Runtime, labels: &Labels) -> Self {
        let pod = label(labels, &POD_NAMES).map(|name| match label(labels, &POD_NAMESPACES) {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        });
        let name = label(labels, &CONTAINER_NAMES).map(str::to_owned);
        Self { runtime: Some(runtime), name, pod }
    }
}

fn label<'l>(labels: &'l Labels, names: &[&str]) -> Option<&'l str> {
    names.iter().find_map(|name| labels.get(*name)?.as_str()).filter(|value| !value.is_empty())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerConfig {
    #[serde(default)]
    name: String,
    #[serde(default)]
    config: DockerLabels,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct DockerLabels {
    labels: Option<Labels>,
}

#[derive(Deserialize)]
struct OciConfig {
    annotations: Option<Labels>,
}

#[derive(Deserialize)]
struct Stored {
    id: String,
    #[serde(default)]
    names: Vec<String>,
}

fn json<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    let file = BufReader::new(privileged::open(path).ok()?.take(LONGEST_FILE));
    serde_json::from_reader(file).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const DOCKERS: &str =
        r#"{"StreamConfig":{},"ID":"1","Name":"/web","Config":{"Hostname":"h","Labels":{"maintainer":"x"}}}"#;
    const DOCKERS_IN_POD: &str = r#"{"Name":"/k8s_web_web-0_default_7_0","Config":{"Labels":{"io.kubernetes.container.name":"web","io.kubernetes.pod.name":"web-0","io.kubernetes.pod.namespace":"default"}}}"#;
    const CONTAINERDS: &str = r#"{"ociVersion":"1.1.0","annotations":{"io.kubernetes.cri.container-name":"web","io.kubernetes.cri.sandbox-name":"web-0","io.kubernetes.cri.sandbox-namespace":"default"}}"#;
    const CRIOS: &str = r#"{"annotations":{"io.kubernetes.container.name":"web","io.kubernetes.pod.name":"web-0","io.kubernetes.pod.namespace":"default"}}"#;
    const STORED: &str = r#"[{"id":"other","names":["no"]},{"id":"ID","names":["web","alias"],"layer":"1"}]"#;

    fn named(runtime: Runtime, files: &[(&str, &str)]) -> Workload {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            crate::made_up::file(root.path(), path, content);
        }
        let mut workload = Workload {
            container: Some(Container { runtime, id: "ID".into(), name: None }),
            pod: Some(Pod { uid: "7".into(), name: None }),
            unit: None,
        };
        let mut names = Names::new(root.path());
        names.add(&mut workload);
        drop(root);
        let mut again = workload.clone();
        names.add(&mut again);
        assert_eq!(again, workload, "it is remembered when the files are gone");
        workload
    }

    #[rstest]
    #[case::docker(Runtime::Docker, &[("var/lib/docker/containers/ID/config.v2.json", DOCKERS)], "docker:web pod:7")]
    #[case::docker_in_pod(Runtime::Kubernetes, &[("var/lib/docker/containers/ID/config.v2.json", DOCKERS_IN_POD)], "docker:web pod:default/web-0")]
    #[case::containerd(Runtime::Kubernetes, &[("run/containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json", CONTAINERDS)], "containerd:web pod:default/web-0")]
    #[case::k3s(Runtime::Containerd, &[("run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json", CONTAINERDS)], "containerd:web pod:default/web-0")]
    #[case::crio(Runtime::Kubernetes, &[("var/lib/containers/storage/overlay-containers/ID/userdata/config.json", CRIOS)], "cri-o:web pod:default/web-0")]
    #[case::podman(Runtime::Podman, &[("var/lib/containers/storage/overlay-containers/containers.json", STORED), ("var/lib/containers/storage/overlay-containers/ID/userdata/config.json", "{}")], "podman:web pod:7")]
    #[case::podman_vfs(Runtime::Podman, &[("var/lib/containers/storage/vfs-containers/containers.json", STORED)], "podman:web pod:7")]
    #[case::transient(Runtime::Podman, &[("var/lib/containers/storage/overlay-containers/volatile-containers.json", STORED)], "podman:web pod:7")]
    #[case::no_files(Runtime::Docker, &[], "docker:ID pod:7")]
    #[case::no_files_in_pod(Runtime::Kubernetes, &[], "kubernetes:ID pod:7")]
    #[case::not_json(Runtime::Docker, &[("var/lib/docker/containers/ID/config.v2.json", "{")], "docker:ID pod:7")]
    #[case::another_form(Runtime::Docker, &[("var/lib/docker/containers/ID/config.v2.json", r#"{"Name":7}"#)], "docker:ID pod:7")]
    #[case::null_labels(Runtime::Docker, &[("var/lib/docker/containers/ID/config.v2.json", r#"{"Name":"/web","Config":{"Labels":null}}"#)], "docker:web pod:7")]
    #[case::log(Runtime::Kubernetes, &[("var/log/containers/web-0_default_web-ID.log", "")], "kubernetes:web pod:default/web-0")]
    #[case::log_beside(Runtime::Containerd, &[("run/containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json", "{}"), ("var/log/containers/web-0_default_web-ID.log", "")], "containerd:web pod:default/web-0")]
    #[case::other_log(Runtime::Kubernetes, &[("var/log/containers/web-0_default_web-OTHER.log", ""), ("var/log/containers/ID.log", "")], "kubernetes:ID pod:7")]
    #[case::lxc(Runtime::Lxc, &[("var/lib/docker/containers/ID/config.v2.json", DOCKERS)], "lxc:ID pod:7")]
    fn a_container_is_called_what_its_runtime_says(
        #[case] runtime: Runtime,
        #[case] files: &[(&str, &str)],
        #[case] expected: &str,
    ) {
        let workload = named(runtime, files);
        let (container, pod) = (workload.container.unwrap(), workload.pod.unwrap());
        assert_eq!(format!("{container} {pod}"), expected);
    }
}
