use std::fs;
use std::os::unix::fs::MetadataExt;

use super::made_up::MadeUp;
use super::*;

fn owners(tree: &MadeUp, now: Instant) -> Owners {
    let mut owners = Owners::new(tree.root());
    owners.refresh(now, Duration::MAX);
    owners
}

fn text(owners: &mut Owners, socket: Socket, now: Instant) -> String {
    owners.owner(socket, now).map_or_else(|| "?".into(), |owner| format!("{owner} {}", owner.workload))
}

const fn socket(inode: u32) -> Socket {
    Socket { inode, cookie: 0, cgroup: 0 }
}

#[test]
fn a_sockets_own_cgroup_comes_before_its_holders() {
    let tree = MadeUp::new();
    let cgroup = tree.root().join("sys/fs/cgroup/system.slice/web.service");
    fs::create_dir_all(&cgroup).unwrap();
    let id = fs::metadata(&cgroup).unwrap().ino();
    let top = fs::metadata(tree.root().join("sys/fs/cgroup")).unwrap().ino();
    tree.process(10, "nginx", 5, &[80]);
    tree.cgroup(10, "0::/system.slice/other.service\n");
    let now = Instant::now();
    let mut owners = owners(&tree, now);
    assert_eq!(text(&mut owners, socket(80), now), "nginx(10) other.service");
    assert_eq!(text(&mut owners, Socket { cgroup: id, ..socket(80) }, now), "nginx(10) web.service");
    // A hybrid host's processes are all in the root of v2.
    assert_eq!(text(&mut owners, Socket { cgroup: top, ..socket(80) }, now), "nginx(10) other.service");
    // Without a file, the cgroup is still known.
    assert_eq!(text(&mut owners, Socket { cgroup: id, ..socket(0) }, now), "web.service web.service");
    assert_eq!(text(&mut owners, socket(0), now), "?");
    assert_eq!(owners.cgroups_called("web.service").collect::<Vec<_>>(), [id]);
    assert_eq!(owners.processes().collect::<Vec<_>>(), [(10, "nginx")]);
    let coverage = owners.coverage();
    assert_eq!((coverage.processes, coverage.holdings, coverage.refused, coverage.left_out), (1, 1, 0, 0));
    assert!(coverage.memory > 0);
}

/// On a hybrid host a container may have its name in v1 alone, and in v2 be in its engine's unit.
#[test]
fn a_container_is_more_than_the_unit_around_it() {
    let tree = MadeUp::new();
    let cgroup = tree.root().join("sys/fs/cgroup/system.slice/containerd.service");
    fs::create_dir_all(&cgroup).unwrap();
    let id = fs::metadata(&cgroup).unwrap().ino();
    tree.process(10, "nginx", 5, &[80]);
    tree.cgroup(10, &format!("5:pids:/docker/{}\n0::/system.slice/containerd.service\n", "b".repeat(64)));
    let now = Instant::now();
    let mut owners = owners(&tree, now);
    assert_eq!(text(&mut owners, Socket { cgroup: id, ..socket(80) }, now), "nginx(10) docker:bbbbbbbbbbbb");
}

/// What is left of a connection after close(2) has no inode, but the cookie that it always had.
#[test]
fn an_orphan_is_known_by_its_cookie() {
    let tree = MadeUp::new();
    tree.process(10, "nginx", 5, &[80]);
    let now = Instant::now();
    let mut owners = owners(&tree, now);
    let orphan = Socket { inode: 0, cookie: 7, cgroup: 0 };
    assert_eq!(text(&mut owners, orphan, now), "?");
    let later = now + ANSWER_AGE;
    assert_eq!(text(&mut owners, Socket { cookie: 7, ..socket(80) }, later), "nginx(10) ");
    tree.close(10, 3);
    assert_eq!(text(&mut owners, orphan, later + ANSWER_AGE), "nginx(10, closed) ");
}

/// It was passed on (`SCM_RIGHTS`): only a search can find the new one.
#[test]
fn a_search_makes_for_new_answers() {
    let tree = MadeUp::new();
    tree.process(10, "nginx", 5, &[80]);
    tree.process(11, "worker", 5, &[]);
    let now = Instant::now();
    let mut owners = owners(&tree, now);
    tree.close(10, 3);
    tree.open(11, 3, 80);
    let before = owners.owner(socket(80), now).unwrap();
    assert_eq!((before.to_string().as_str(), before.is_settled()), ("nginx(10, closed)", false));
    // A test's tree may take a while to be searched; the next search has to wait for that.
    let later = now + Duration::from_secs(9);
    assert!(owners.refresh(later, Duration::MAX));
    let after = owners.owner(socket(80), later).unwrap();
    assert_eq!((after.to_string().as_str(), after.is_settled()), ("worker(11)", true));
    assert!(!owners.refresh(later, Duration::MAX), "nothing is wanted");
}

#[test]
fn an_answer_is_good_for_a_moment() {
    let tree = MadeUp::new();
    tree.process(10, "nginx", 5, &[80]);
    let now = Instant::now();
    let mut owners = owners(&tree, now);
    assert_eq!(text(&mut owners, socket(80), now), "nginx(10) ");
    tree.exit(10);
    assert_eq!(text(&mut owners, socket(80), now + ANSWER_AGE / 2), "nginx(10) ");
    assert_eq!(text(&mut owners, socket(80), now + ANSWER_AGE), "nginx(10, gone) ");
}

/// A flood over many sockets looks at few processes; the others' answers come from the index as they are.
#[test]
fn the_looks_are_bounded() {
    let tree = MadeUp::new();
    let many: Vec<u32> = (0..1000).collect();
    tree.process(10, "nginx", 5, &many);
    let now = Instant::now();
    let mut owners = owners(&tree, now);
    tree.exit(10);
    let mut gone = 0;
    for inode in 1..1000 {
        gone += usize::from(text(&mut owners, socket(inode), now).contains("gone"));
    }
    assert_eq!(gone, ANSWERS);
    assert_eq!(owners.answers.len(), ANSWERS);
}
