use std::fs;
use std::os::unix::fs::MetadataExt;

use proptest::prelude::*;
use rstest::rstest;

use super::super::made_up::MadeUp;
use super::*;

const WEB: &str = "3f2a1b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a";
const DATABASE: &str = "3f2a77777d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a";
const SIDECAR: &str = "aaaa1b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a";
const POD: &str = "kubepods/burstable/pod01234567-89ab-cdef-0123-456789abcdef";
const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";

/// A host with process 1 in namespace 100.
struct Host(MadeUp);

impl Host {
    fn new(mountinfo: &str) -> Self {
        let tree = MadeUp::new();
        tree.process(1, "init", 1, &[]);
        fs::create_dir_all(tree.root().join("sys/fs/cgroup")).unwrap();
        fs::write(tree.root().join("proc/self/mountinfo"), mountinfo).unwrap();
        Self(tree)
    }

    /// Makes a cgroup with these processes; gives its id.
    fn cgroup(&self, path: &str, pids: &[u32]) -> u64 {
        let folder = self.0.root().join("sys/fs/cgroup").join(path);
        fs::create_dir_all(&folder).unwrap();
        let lines: Vec<_> = pids.iter().map(ToString::to_string).collect();
        fs::write(folder.join("cgroup.procs"), lines.join("\n")).unwrap();
        fs::metadata(&folder).unwrap().ino()
    }

    fn process(&self, pid: u32, netns: u32, cgroup: &str) {
        self.0.process(pid, "nginx", 5, &[]);
        self.0.netns(pid, netns);
        self.0.cgroup(pid, cgroup);
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.0.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn census(&self) -> Census {
        Census::new(self.0.root())
    }
}

#[test]
fn a_container_is_its_cgroups_with_all_below_and_its_namespace() {
    let host = Host::new(V2);
    host.file(&format!("var/lib/docker/containers/{WEB}/config.v2.json"), r#"{"Name":"/web"}"#);
    host.process(10, 200, "");
    host.process(11, 201, "");
    host.process(12, 100, "");
    let mut cgroups = vec![
        host.cgroup(&format!("system.slice/docker-{WEB}.scope"), &[]),
        host.cgroup(&format!("system.slice/docker-{WEB}.scope/init.scope"), &[10, 0]),
        // A container in the container.
        host.cgroup(&format!("system.slice/docker-{WEB}.scope/docker/{SIDECAR}"), &[11]),
        host.cgroup(&format!("system.slice/docker-{WEB}.scope/docker"), &[]),
    ];
    cgroups.sort_unstable();
    host.cgroup(&format!("system.slice/docker-{DATABASE}.scope"), &[12]);
    let mut census = host.census();
    let wanted = Inhabited { called: vec!["docker:web".into()], cgroups, namespaces: vec![200, 201] };
    for word in ["web", "docker:web", WEB, "3f2a1", &format!("docker:{WEB}")] {
        assert_eq!(census.container(word), Ok(wanted.clone()), "{word}");
    }
    // It uses the host's network.
    let database = census.container(DATABASE).unwrap();
    assert_eq!((database.cgroups.len(), database.namespaces), (1, vec![]));
}

#[rstest]
#[case("wbe", NoContainer::Unknown(Some("web".into())))]
#[case("something-else", NoContainer::Unknown(None))]
#[case("", NoContainer::Unknown(None))]
#[case("init.scope", NoContainer::Unknown(None))]
#[case("3f2", NoContainer::Unknown(None))]
#[case("3f2a", NoContainer::Ambiguous(vec!["docker:web".into(), "docker:3f2a77777d7e".into()]))]
fn what_is_no_container_is_told(#[case] word: &str, #[case] error: NoContainer) {
    let host = Host::new(V2);
    host.file(&format!("var/lib/docker/containers/{WEB}/config.v2.json"), r#"{"Name":"/web"}"#);
    for id in [WEB, DATABASE] {
        host.cgroup(&format!("docker/{id}"), &[]);
    }
    host.cgroup("init.scope", &[]);
    assert_eq!(host.census().container(word), Err(error));
}

#[rstest]
#[case("default/web-0", 2)]
#[case("web-0", 2)]
#[case("01234567-89ab-cdef-0123-456789abcdef", 3)]
#[case("proxy", 1)]
fn a_pod_is_all_its_containers(#[case] word: &str, #[case] cgroups: usize) {
    let host = Host::new(V2);
    host.file(&format!("var/log/containers/web-0_default_web-{WEB}.log"), "");
    host.file(&format!("var/log/containers/web-0_default_proxy-{SIDECAR}.log"), "");
    host.process(10, 200, "");
    host.process(11, 200, "");
    host.cgroup(POD, &[]);
    host.cgroup(&format!("{POD}/{WEB}"), &[10]);
    host.cgroup(&format!("{POD}/{SIDECAR}"), &[11]);
    let found = host.census().container(word).unwrap();
    assert_eq!((found.cgroups.len(), found.namespaces), (cgroups, vec![200]));
}

/// No cgroup of version 2 is its own: what is left is the namespace.
#[test]
fn with_cgroups_of_version_1_a_container_is_its_namespace() {
    let host = Host::new("33 31 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n");
    host.process(10, 200, &format!("5:pids:/docker/{WEB}\n0::/\n"));
    host.process(11, 100, &format!("5:pids:/docker/{SIDECAR}\n0::/\n"));
    let mut census = host.census();
    let title = vec!["docker:3f2a1b9c8d7e".to_owned()];
    let wanted = Inhabited { called: title, cgroups: vec![], namespaces: vec![200] };
    assert_eq!(census.container("3f2a"), Ok(wanted));
    let nothing = census.container("aaaa").unwrap();
    assert_eq!((nothing.cgroups.len(), nothing.namespaces.len()), (0, 0));
}

fn pids(holders: &Holders) -> Vec<u32> {
    holders.processes.iter().map(|process| process.pid).collect()
}

#[test]
fn a_process_is_known_by_its_id_or_what_it_is_called() {
    let host = Host::new(V2);
    let tree = &host.0;
    tree.process(10, "nginx", 5, &[80, 443]);
    tree.process(11, "nginx", 6, &[80, 81]);
    tree.process(12, "MainThread", 7, &[90]);
    host.file("proc/12/cmdline", "/usr/bin/python3\0-m\0http.server\0");
    tree.process(13, "a-rather-long-n", 8, &[91]);
    let mut census = host.census();
    let mut of = |word: &str| {
        let found = census.holders(word);
        (pids(&found), found.sockets)
    };
    assert_eq!(of("nginx"), (vec![10, 11], vec![80, 81, 443]));
    assert_eq!(of("10"), (vec![10], vec![80, 443]));
    assert_eq!(of("python3"), (vec![12], vec![90]));
    assert_eq!(of("MainThread"), (vec![12], vec![90]));
    assert_eq!(of("a-rather-long-name"), (vec![13], vec![91]));
    assert_eq!(of("nothing"), (vec![], vec![]));
    assert_eq!(of("99"), (vec![], vec![]));
    assert_eq!(of(""), (vec![], vec![]));
    // The next look has what came since, and not what went.
    tree.exit(10);
    tree.open(11, 9, 444);
    tree.process(14, "nginx", 9, &[500]);
    assert_eq!(of("nginx"), (vec![11, 14], vec![80, 81, 444, 500]));
    assert_eq!(census.nearest_command("ngnix").as_deref(), Some("nginx"));
}

proptest! {
    /// What a word means doesn't depend on what else there is, and no word means what it isn't part of.
    #[test]
    fn any_word_is_safe(word in ".{0,70}") {
        let workloads = [cgroup_path::parse(&format!("docker/{WEB}")), cgroup_path::parse(POD)];
        if let Ok(Some(meant)) = meaning(&word, workloads.iter(), &mut Vec::new()) {
            prop_assert!(workloads.iter().any(|workload| meant.includes(workload)));
        }
    }

    #[test]
    fn the_beginning_of_an_id_is_enough(digits in FEWEST_DIGITS..=64) {
        let workload = cgroup_path::parse(&format!("docker/{WEB}"));
        let meant = meaning(&WEB[..digits], std::iter::once(&workload), &mut Vec::new()).unwrap();
        prop_assert!(meant.is_some_and(|meant| meant.includes(&workload)));
    }
}
