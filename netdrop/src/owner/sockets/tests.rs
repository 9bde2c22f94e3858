use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::made_up::MadeUp;
use super::*;

/// An index over a made-up /proc, and a clock that only moves when it is told.
struct Bench {
    tree: MadeUp,
    sockets: Sockets,
    names: Names,
    now: Instant,
}

impl Bench {
    fn new(tree: MadeUp) -> Self {
        let (sockets, names) = (Sockets::new(tree.root()), Names::new(tree.root()));
        let mut bench = Self { tree, sockets, names, now: Instant::now() };
        bench.sockets.refresh(&mut bench.names, bench.now, Duration::MAX);
        bench
    }

    /// Who holds it, as people read it; `?` while that isn't known.
    fn ask(&mut self, inode: u32) -> String {
        let Some(held) = self.sockets.holders(inode, true, self.now) else { return "?".into() };
        let names: Vec<String> = held.processes.iter().map(ToString::to_string).collect();
        let more = if held.more > 0 { format!("+{}", held.more) } else { String::new() };
        let nobody = if held.nobody { "nobody" } else { "" };
        [names.join(" "), more, nobody.into()]
            .iter()
            .filter(|part| !part.is_empty())
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Long enough for the next search, if one is wanted. (A search of a test's tree can take a while on a busy machine,
    /// and the next one has to wait for that.)
    fn search(&mut self) {
        self.now += Duration::from_secs(9);
        self.sockets.refresh(&mut self.names, self.now, Duration::MAX);
    }
}

/// A server with three workers that inherited its listener, each with a connection of its own.
fn workers() -> Bench {
    let tree = MadeUp::new();
    tree.process(10, "nginx", 5, &[80]);
    for (pid, connection) in [(13, 1003), (11, 1001), (12, 1002)] {
        tree.process(pid, "nginx", 6, &[80, connection]);
    }
    tree.process(20, "sshd", 7, &[22]);
    Bench::new(tree)
}

#[test]
fn each_holder_is_named_who_began_first_before_the_others() {
    let mut bench = workers();
    assert_eq!(bench.ask(22), "sshd(20)");
    assert_eq!(bench.ask(80), "nginx(10) nginx(11) nginx(12) nginx(13)");
    assert_eq!(bench.ask(1003), "nginx(13)");
    assert_eq!(bench.ask(1), "?", "a file's name is no socket");
    assert_eq!(bench.ask(77), "?", "a pipe is no socket");
}

/// Pids begin anew at `pid_max`: a server's child may have a lower one.
#[test]
fn the_parent_comes_before_a_child_with_a_lower_pid() {
    let tree = MadeUp::new();
    tree.process(29207, "nginx", 5, &[80]);
    tree.process(7902, "worker", 6, &[80, 81]);
    tree.process(7903, "worker", 6, &[80]);
    let mut bench = Bench::new(tree);
    assert_eq!(bench.ask(80), "nginx(29207) worker(7902) worker(7903)");
    assert_eq!(bench.ask(81), "worker(7902)");
    for pid in [29207, 7902, 7903] {
        bench.tree.exit(pid);
    }
    assert_eq!(bench.ask(80), "nginx(29207, gone) worker(7902, gone) worker(7903, gone)");
    bench.search();
    assert_eq!(bench.ask(80), "nginx(29207, gone) +2 nobody", "who is remembered");
}

#[test]
fn many_holders_are_counted() {
    let tree = MadeUp::new();
    (0..1000).for_each(|pid| tree.process(100 + pid, "worker", 5, &[80]));
    let mut bench = Bench::new(tree);
    assert_eq!(bench.ask(80), "worker(100) worker(101) worker(102) worker(103) +996");
    bench.tree.exit(100);
    assert_eq!(bench.ask(80), "worker(101) worker(102) worker(103) worker(104) +995");
}

#[test]
fn a_descriptor_for_the_same_socket_counts_once() {
    let tree = MadeUp::new();
    tree.process(10, "dup", 5, &[80, 80, 80]);
    let mut bench = Bench::new(tree);
    assert_eq!(bench.ask(80), "dup(10)");
    bench.tree.close(10, 3);
    assert_eq!(bench.ask(80), "dup(10, closed)", "as far as is known before the next search");
    bench.search();
    assert_eq!(bench.ask(80), "dup(10)");
}

#[test]
fn a_process_that_is_gone_is_said_to_be_gone() {
    let mut bench = workers();
    bench.tree.exit(20);
    assert_eq!(bench.ask(22), "sshd(20, gone)", "by the look at the process");
    bench.search();
    assert_eq!(bench.ask(22), "sshd(20, gone) nobody", "by the search: no other has it");
    bench.search();
    assert_eq!(bench.ask(22), "sshd(20, gone) nobody");
}

/// It was in the index, nobody had asked, and a search came between its end and the question.
#[test]
fn who_held_a_socket_is_remembered_over_a_search() {
    let mut bench = workers();
    bench.tree.exit(20);
    bench.ask(999);
    bench.search();
    assert_eq!(bench.ask(22), "sshd(20, gone)");
    bench.search();
    assert_eq!(bench.ask(22), "sshd(20, gone) nobody");
}

#[test]
fn the_others_are_still_there() {
    let mut bench = workers();
    bench.tree.exit(10);
    assert_eq!(bench.ask(80), "nginx(11) nginx(12) nginx(13)");
    bench.search();
    assert_eq!(bench.ask(80), "nginx(11) nginx(12) nginx(13)");
}

#[test]
fn a_closed_socket_is_said_to_be_closed() {
    let mut bench = workers();
    bench.tree.close(20, 3);
    assert_eq!(bench.ask(22), "sshd(20, closed)");
    bench.search();
    assert_eq!(bench.ask(22), "sshd(20, closed) nobody");
    bench.tree.exit(20);
    assert_eq!(bench.ask(22), "sshd(20, gone) nobody");
}

#[test]
fn a_descriptor_that_is_another_socket_by_now_is_none() {
    let mut bench = workers();
    bench.tree.close(20, 3);
    bench.tree.open(20, 3, 23);
    assert_eq!(bench.ask(22), "sshd(20, closed)");
    bench.search();
    assert_eq!(bench.ask(23), "sshd(20)");
}

#[test]
fn a_pid_that_came_again_is_another_process() {
    let mut bench = workers();
    bench.tree.exit(20);
    bench.tree.process(20, "bash", 999, &[]);
    assert_eq!(bench.ask(22), "sshd(20, gone)");
    bench.search();
    assert_eq!(bench.ask(22), "sshd(20, gone) nobody");
}

/// `SCM_RIGHTS`: the new holder is found by the search that the old one's loss makes for.
#[test]
fn a_socket_that_was_passed_on_has_its_new_holder() {
    let mut bench = workers();
    bench.tree.close(20, 3);
    bench.tree.process(30, "helper", 8, &[22]);
    assert_eq!(bench.ask(22), "sshd(20, closed)");
    bench.search();
    assert_eq!(bench.ask(22), "helper(30)");
}

#[test]
fn another_program_in_the_same_process_is_named() {
    let mut bench = workers();
    bench.tree.exit(20);
    bench.tree.process(20, "sshd-session", 7, &[22]);
    assert_eq!(bench.ask(22), "sshd-session(20)");
}

#[test]
fn a_new_socket_is_found_by_the_next_search() {
    let mut bench = workers();
    bench.tree.open(20, 4, 23);
    assert_eq!(bench.ask(23), "?");
    assert_eq!(bench.ask(23), "?");
    bench.search();
    assert_eq!(bench.ask(23), "sshd(20)");
}

#[test]
fn a_socket_that_nobody_holds_is_nobodys() {
    let mut bench = workers();
    assert_eq!(bench.ask(5), "?");
    bench.search();
    assert_eq!(bench.ask(5), "nobody");
    bench.tree.open(20, 4, 5);
    bench.search();
    assert_eq!(bench.ask(5), "nobody", "as of the last search");
    bench.search();
    bench.ask(5);
    bench.search();
    assert_eq!(bench.ask(5), "sshd(20)", "what nobody holds may be received by somebody");
}

/// A process that may not be looked at could be the one.
#[test]
fn nobody_is_never_claimed_where_not_all_can_be_seen() {
    let mut bench = workers();
    bench.tree.exit(20);
    bench.ask(5);
    bench.search();
    bench.sockets.index.refused = 1;
    assert_eq!(bench.ask(5), "?");
    assert_eq!(bench.ask(22), "sshd(20, gone)");
}

#[test]
fn without_a_look_the_answer_is_from_memory() {
    let mut bench = workers();
    bench.tree.exit(20);
    let held = bench.sockets.holders(22, false, bench.now).unwrap();
    assert_eq!(held.processes[0].to_string(), "sshd(20)");
}

#[test]
fn a_search_in_steps_finds_the_same() {
    let mut whole = workers();
    let mut sockets = Sockets::new(whole.tree.root());
    let mut steps = 1;
    sockets.refresh(&mut whole.names, whole.now, Duration::ZERO);
    while sockets.scan.is_some() {
        sockets.refresh(&mut whole.names, whole.now, Duration::ZERO);
        steps += 1;
    }
    assert_eq!(steps, 5, "one process a step");
    assert_eq!(sockets.index.holdings, whole.sockets.index.holdings);
    assert!(sockets.index.memory() > 0);
}

#[test]
fn a_tree_without_processes_is_no_error() {
    let mut sockets = Sockets::new(Path::new("/nowhere"));
    sockets.refresh(&mut Names::new(Path::new("/nowhere")), Instant::now(), Duration::MAX);
    assert!(sockets.holders(5, true, Instant::now()).is_none());
}

#[test]
fn a_namespace_is_whose_all_its_processes_are() {
    let tree = MadeUp::new();
    let id = |digit: &str| digit.repeat(64);
    for (pid, netns, cgroup) in [
        // The host: a unit and the kernel's threads.
        (1, 100, "0::/init.scope\n".to_owned()),
        (2, 100, "0::/\n".to_owned()),
        (30, 100, format!("0::/docker/{}\n", id("a"))),
        // A container.
        (31, 200, format!("0::/docker/{}\n", id("b"))),
        (32, 200, format!("0::/docker/{}\n", id("b"))),
        // A pod: two containers.
        (33, 300, format!("0::/kubepods/pod{}/{}\n", "1".repeat(32), id("c"))),
        (34, 300, format!("0::/kubepods/pod{}/{}\n", "1".repeat(32), id("d"))),
        // A namespace of an administrator's.
        (35, 400, "0::/user.slice/user-0.slice/session-3.scope\n".to_owned()),
    ] {
        tree.process(pid, "p", 5, &[]);
        tree.netns(pid, netns);
        tree.cgroup(pid, &cgroup);
    }
    let mut bench = Bench::new(tree);
    let mut ask = |netns| {
        let found = bench.sockets.workload_of_netns(netns, bench.now);
        found.map_or_else(|| "?".into(), |workload| workload.to_string())
    };
    assert_eq!(ask(100), "?", "the host's is nobody's");
    assert_eq!(ask(200), "docker:bbbbbbbbbbbb");
    assert_eq!(ask(300), format!("pod:{}", "1".repeat(32)));
    assert_eq!(ask(400), "session-3.scope");
    assert_eq!(ask(500), "?");
    bench.tree.process(40, "p", 5, &[]);
    bench.tree.netns(40, 500);
    bench.tree.cgroup(40, "0::/new.service\n");
    bench.search();
    assert_eq!(bench.sockets.workload_of_netns(500, bench.now).unwrap().to_string(), "new.service");
}

/// In a container not all are seen of those who share its namespace: it may be the host's.
#[test]
fn from_inside_a_container_the_own_namespace_is_nobodys() {
    let tree = MadeUp::new();
    for (pid, netns) in [(1, 100), (2, 100), (3, 200)] {
        tree.process(pid, "p", 5, &[]);
        tree.netns(pid, netns);
        tree.cgroup(pid, &format!("0::/docker/{}\n", "b".repeat(64)));
    }
    tree.own_namespaces(4_026_532_999, 100);
    let mut bench = Bench::new(tree);
    assert_eq!(bench.sockets.workload_of_netns(100, bench.now), None);
    assert_eq!(bench.sockets.workload_of_netns(200, bench.now).unwrap().to_string(), "docker:bbbbbbbbbbbb");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever processes do between searches: after a search, exactly those that hold a socket are named.
    #[test]
    fn the_index_agrees_with_the_tree(
        before in prop::collection::vec((1_u32..6, 1_u32..6), 0..12),
        after in prop::collection::vec((1_u32..6, 1_u32..6), 0..12),
    ) {
        let grow = |tree: &MadeUp, pairs: &BTreeSet<(u32, u32)>| {
            for pid in 1..6 {
                let own: Vec<u32> = pairs.iter().filter(|pair| pair.0 == pid).map(|pair| pair.1).collect();
                if !own.is_empty() {
                    tree.process(pid, "p", 5, &own);
                }
            }
        };
        let (before, after): (BTreeSet<_>, BTreeSet<_>) = (before.into_iter().collect(), after.into_iter().collect());
        let tree = MadeUp::new();
        grow(&tree, &before);
        let mut bench = Bench::new(tree);
        before.iter().map(|pair| pair.0).collect::<BTreeSet<u32>>().into_iter().for_each(|pid| bench.tree.exit(pid));
        grow(&bench.tree, &after);
        (1..6).for_each(|inode| drop(bench.ask(inode)));
        bench.search();
        bench.search();
        for inode in 1..6 {
            let holders: Vec<u32> = after.iter().filter(|pair| pair.1 == inode).map(|pair| pair.0).collect();
            let was_held = before.iter().any(|pair| pair.1 == inode);
            let held = bench.sockets.holders(inode, true, bench.now);
            if holders.is_empty() {
                // Held before, or asked for before and searched for since.
                let held = held.unwrap();
                prop_assert_eq!(held.processes.len(), usize::from(was_held));
                prop_assert!(held.processes.iter().all(|process| process.holding != model::Holding::Open));
            } else {
                let held = held.unwrap();
                prop_assert!(!held.nobody);
                let pids: Vec<u32> = held.processes.iter().map(|process| process.pid).collect();
                prop_assert_eq!(&pids[..], &holders[..holders.len().min(LISTED)]);
                prop_assert_eq!(held.more as usize, holders.len() - pids.len());
            }
        }
    }
}
