//! A made-up /proc for tests. Links to sockets work as dangling symbolic links.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

pub(super) struct MadeUp(tempfile::TempDir);

impl MadeUp {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        crate::made_up::file(root.path(), "proc/self/mountinfo", "");
        Self(root)
    }

    pub(super) fn root(&self) -> &Path {
        self.0.path()
    }

    /// A process with the sockets as descriptors 3, 4, …; below those are what most have.
    pub(super) fn process(&self, pid: u32, command: &str, started: u64, sockets: &[u32]) {
        fs::create_dir_all(self.path(pid, "fd")).unwrap();
        fs::create_dir_all(self.path(pid, "ns")).unwrap();
        symlink("/dev/null", self.path(pid, "fd/0")).unwrap();
        symlink("pipe:[77]", self.path(pid, "fd/1")).unwrap();
        symlink("/a/file/called/socket:[1]/with/a/rather/long/name", self.path(pid, "fd/2")).unwrap();
        for (descriptor, inode) in (3..).zip(sockets) {
            self.open(pid, descriptor, *inode);
        }
        let fields = "S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0";
        fs::write(self.path(pid, "stat"), format!("{pid} ({command}) {fields} {started} 9 10\n")).unwrap();
        self.cgroup(pid, "0::/\n");
        self.netns(pid, 100);
    }

    pub(super) fn cgroup(&self, pid: u32, text: &str) {
        fs::write(self.path(pid, "cgroup"), text).unwrap();
    }

    pub(super) fn netns(&self, pid: u32, inode: u32) {
        let _ = fs::remove_file(self.path(pid, "ns/net"));
        symlink(format!("net:[{inode}]"), self.path(pid, "ns/net")).unwrap();
    }

    /// Those of the one who looks.
    pub(super) fn own_namespaces(&self, pid: u32, net: u32) {
        fs::create_dir_all(self.root().join("proc/self/ns")).unwrap();
        symlink(format!("pid:[{pid}]"), self.root().join("proc/self/ns/pid")).unwrap();
        symlink(format!("net:[{net}]"), self.root().join("proc/self/ns/net")).unwrap();
    }

    pub(super) fn open(&self, pid: u32, descriptor: u32, socket: u32) {
        symlink(format!("socket:[{socket}]"), self.path(pid, &format!("fd/{descriptor}"))).unwrap();
    }

    pub(super) fn close(&self, pid: u32, descriptor: u32) {
        fs::remove_file(self.path(pid, &format!("fd/{descriptor}"))).unwrap();
    }

    pub(super) fn exit(&self, pid: u32) {
        fs::remove_dir_all(self.path(pid, "")).unwrap();
    }

    fn path(&self, pid: u32, file: &str) -> PathBuf {
        self.root().join(format!("proc/{pid}/{file}"))
    }
}
