use std::os::unix::fs::symlink;

use rstest::rstest;

use super::*;

/// A made-up /proc: this process in the given PID namespace, others with their network namespaces.
fn tree(pid_namespace: u32, own: u32, others: &[(u32, u32)], mountinfo: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let link = |process: &str, kind: &str, inode: u32| {
        let folder = root.path().join("proc").join(process).join("ns");
        fs::create_dir_all(&folder).unwrap();
        symlink(format!("{kind}:[{inode}]"), folder.join(kind)).unwrap();
    };
    link("self", "pid", pid_namespace);
    link("self", "net", own);
    for (pid, inode) in others {
        link(&pid.to_string(), "net", *inode);
    }
    fs::write(root.path().join("proc/self/mountinfo"), mountinfo).unwrap();
    root
}

const MOUNTS: &str = "\
36 35 0:4 net:[300] /run/netns/blue rw shared:19 - nsfs nsfs rw
37 35 0:4 net:[100] /run/docker/netns/default rw - nsfs nsfs rw
";

fn namespaces(pid_namespace: u32) -> (tempfile::TempDir, Namespaces) {
    let root = tree(pid_namespace, 200, &[(1, 100), (10, 400), (9, 400), (77, 300)], MOUNTS);
    let mut namespaces = Namespaces::new(root.path());
    namespaces.refresh();
    (root, namespaces)
}

#[test]
fn names_are_found_by_inode() {
    let (root, namespaces) = namespaces(INITIAL_PID_NAMESPACE);
    let names: Vec<_> = namespaces.iter().collect();
    assert_eq!(names, [(100, "host"), (300, "blue"), (400, "pid:9")]);
    assert_eq!(namespaces.name(5), None);
    assert_eq!(namespaces.path(300), Some(&*root.path().join("run/netns/blue")));
    assert_eq!(namespaces.path(400), Some(&*root.path().join("proc/9/ns/net")));
}

#[test]
fn the_host_is_known_without_process_1() {
    let root = tree(INITIAL_PID_NAMESPACE, 200, &[(2, 100)], "");
    let mut namespaces = Namespaces::new(root.path());
    namespaces.refresh();
    assert_eq!(namespaces.name(100), Some("host"));
}

/// In a container process 1 is not the host's.
#[test]
fn a_container_has_no_host() {
    let (_root, namespaces) = namespaces(4_026_532_999);
    assert_eq!(namespaces.name(200), Some("self"));
    assert_eq!(namespaces.name(100), Some("docker:default"));
    assert!(namespaces.iter().all(|(_, name)| name != "host"));
}

#[rstest]
#[case("self", Ok(200))]
#[case("host", Ok(100))]
#[case("blue", Ok(300))]
#[case("pid:77", Ok(300))]
#[case("4026531840", Ok(4_026_531_840))]
#[case(
    "bleu",
    Err(
        "there is no network namespace `bleu`: write a name, an inode number, pid:N or self; did you mean `blue`?"
    )
)]
#[case("green", Err("there is no network namespace `green`: write a name, an inode number, pid:N or self"))]
#[case("pid:x", Err("`pid:x` names no process: write `pid:` and a number, as in `pid:4242`"))]
#[case(
    "pid:5",
    Err("the network namespace of process 5 can't be read: it has ended, or this needs CAP_SYS_PTRACE")
)]
fn a_users_argument_is_resolved(#[case] argument: &str, #[case] expected: Result<u32, &str>) {
    let (_root, namespaces) = namespaces(INITIAL_PID_NAMESPACE);
    let found = namespaces.inode_of(argument).map_err(|error| error.to_string());
    assert_eq!(found, expected.map_err(str::to_owned));
}

#[test]
fn an_empty_tree_is_no_error() {
    let mut namespaces = Namespaces::new("/nowhere");
    namespaces.refresh();
    assert_eq!((namespaces.own(), namespaces.iter().count()), (None, 0));
    assert!(namespaces.inode_of("self").is_err());
}

#[test]
fn a_miss_looks_again_once_a_second() {
    let (root, mut namespaces) = namespaces(INITIAL_PID_NAMESPACE);
    let start = Instant::now();
    namespaces.refresh_for(500, start);
    fs::create_dir_all(root.path().join("proc/5/ns")).unwrap();
    symlink("net:[500]", root.path().join("proc/5/ns/net")).unwrap();
    namespaces.refresh_for(500, start + Duration::from_millis(999));
    assert_eq!(namespaces.name(500), None);
    namespaces.refresh_for(500, start + Duration::from_secs(1));
    assert_eq!(namespaces.name(500), Some("pid:5"));
}

/// A container ends, and the next one's namespace gets its number.
#[test]
fn a_number_that_another_namespace_got_has_the_others_name() {
    let (root, mut namespaces) = namespaces(INITIAL_PID_NAMESPACE);
    let process = |pid: u32| root.path().join(format!("proc/{pid}/ns/net"));
    let start = Instant::now();
    assert!(!namespaces.refresh_for(400, start));
    for pid in [9, 10] {
        fs::remove_file(process(pid)).unwrap();
    }
    assert!(!namespaces.refresh_for(400, start + CHECK_INTERVAL / 2), "it was just looked at");
    assert!(!namespaces.refresh_for(400, start + CHECK_INTERVAL));
    let name = |namespaces: &Namespaces| namespaces.name(400).map(str::to_owned);
    assert_eq!((name(&namespaces), namespaces.path(400)), (Some("pid:9".into()), None), "its last name");
    assert!(namespaces.iter().all(|(inode, _)| inode != 400) && namespaces.inode_of("pid:9").is_err());

    fs::create_dir_all(process(5).parent().unwrap()).unwrap();
    symlink("net:[400]", process(5)).unwrap();
    assert!(!namespaces.refresh_for(400, start + CHECK_INTERVAL), "it was just searched for");
    assert!(namespaces.refresh_for(400, start + LOST_INTERVAL * 2), "it is found elsewhere");
    assert_eq!(name(&namespaces), Some("pid:5".into()));
    // The process's number is another's by now, who lives elsewhere.
    fs::remove_file(process(5)).unwrap();
    symlink("net:[300]", process(5)).unwrap();
    assert!(!namespaces.refresh_for(400, start + LOST_INTERVAL * 2 + CHECK_INTERVAL));
    assert_eq!(
        (name(&namespaces), namespaces.path(400)),
        (None, None),
        "it is nowhere and was not looked for"
    );
    assert!(!namespaces.refresh_for(400, start + LOST_INTERVAL * 3));
    assert_eq!((name(&namespaces), namespaces.path(400)), (Some("pid:5".into()), None));
}

#[test]
fn names_of_what_is_gone_are_bounded() {
    let mounts = |from: u32| -> String {
        let line = |inode: u32| format!("36 35 0:4 net:[{inode}] /run/netns/n{inode} rw - nsfs nsfs rw\n");
        (from..from + 1000).map(line).collect()
    };
    let root = tree(INITIAL_PID_NAMESPACE, 200, &[], "");
    let mut namespaces = Namespaces::new(root.path());
    for from in (1000..20_000).step_by(1000) {
        fs::write(root.path().join("proc/self/mountinfo"), mounts(from)).unwrap();
        namespaces.refresh();
        assert!(namespaces.found.len() <= REMEMBERED, "{}", namespaces.found.len());
        assert_eq!(namespaces.name(from), Some(&*format!("n{from}")));
    }
}
