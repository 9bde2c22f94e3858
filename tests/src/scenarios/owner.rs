//! Whose a socket is, asked of the library on the machine's own /proc, `sock_diag` and cgroups.

use std::fs;
use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use netdrop::model::Owner;
use netdrop::owner::diag::{Diag, Query};
use netdrop::owner::{Owners, Socket};
use nix::mount::{MsFlags, mount, umount};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{ControlMessage, MsgFlags, recvmsg, sendmsg};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};

use crate::lab::{Namespace, Skip, until};
use crate::scenario::System;

const PATIENCE: Duration = Duration::from_secs(30);

pub fn table() -> Vec<System> {
    vec![
        System::new("owner-of-an-own-socket", |_| own_socket()),
        System::new("owner-in-another-namespace", |_| another_namespace()),
        System::new("owner-inherited-by-three-workers", |_| workers()),
        System::new("owner-passed-to-another-process", |_| passed_on()),
        System::new("owner-gone-between-drop-and-look-up", |_| gone()),
        System::new("owner-closed-its-socket", |_| closed()),
        System::new("owner-in-a-container-by-cgroup-v2", |_| container(Hierarchy::Unified)),
        System::new("owner-in-a-container-by-cgroup-v1", |_| container(Hierarchy::Legacy)),
    ]
}

fn own_socket() -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let numbers = find(None, &socket)?;
    ensure!(u64::from(numbers.inode) == inode(&socket)?, "sock_diag's inode is {}", numbers.inode);
    expect(&mut searched(), numbers, &this_process(""))
}

fn another_namespace() -> Result<()> {
    let namespace = Namespace::create("owner")?;
    let socket = namespace.enter(|| Ok(UdpSocket::bind("127.0.0.1:0")?))?;
    // The same address in this namespace is another socket, or none.
    let numbers = find(Some(namespace.path().as_ref()), &socket)?;
    ensure!(u64::from(numbers.inode) == inode(&socket)?, "sock_diag's inode is {}", numbers.inode);
    expect(&mut searched(), numbers, &this_process(""))
}

fn workers() -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let numbers = find(None, &socket)?;
    let mut workers = holders(3)?;
    drop(socket);
    let mut owners = searched();
    expect(&mut owners, numbers, &process(workers[0].pid(), "", "+2"))?;
    let first = workers.remove(0);
    drop(first);
    expect(&mut owners, numbers, &process(workers[0].pid(), "", "+1"))
}

/// `SCM_RIGHTS`, cmsg(3): on its way the socket is in no process's table.
fn passed_on() -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let numbers = find(None, &socket)?;
    let mut owners = searched();
    expect(&mut owners, numbers, &this_process(""))?;

    let (here, there) = UnixDatagram::pair()?;
    let passed = [socket.as_raw_fd()];
    sendmsg::<()>(
        here.as_raw_fd(),
        &[std::io::IoSlice::new(b"x")],
        &[ControlMessage::ScmRights(&passed)],
        MsgFlags::empty(),
        None,
    )?;
    drop(socket);
    expect(&mut owners, numbers, &this_process(", closed"))?;

    let receiver = Holder::receiver(&there)?;
    until("the other process to have the socket", PATIENCE, || {
        owners.search();
        let owner = owners.owner(numbers).context("it was known")?;
        Ok(owner.processes.iter().any(|process| process.pid == receiver.pid()).then_some(()))
    })
}

fn gone() -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let numbers = find(None, &socket)?;
    let holder = Holder::fork()?;
    drop(socket);
    let mut owners = searched();
    let pid = holder.pid();
    drop(holder);
    expect(&mut owners, numbers, &process(pid, ", gone", ""))?;
    owners.search();
    expect(&mut owners, numbers, &process(pid, ", gone", ""))?;
    // A process that is closed to us (a security module) might have it.
    let sees_all = owners.owners.coverage().refused == 0;
    let nobody = owners.owner(numbers).is_some_and(|owner| owner.nobody);
    ensure!(nobody == sees_all, "nobody has it: said {nobody}, all processes seen {sees_all}");
    Ok(())
}

fn closed() -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let numbers = find(None, &socket)?;
    let mut owners = searched();
    drop(socket);
    expect(&mut owners, numbers, &this_process(", closed"))
}

#[derive(Clone, Copy)]
pub(super) enum Hierarchy {
    Unified,
    Legacy,
}

/// As docker's `cgroupfs` driver names it. The process is moved there; its socket was made before, elsewhere.
fn container(hierarchy: Hierarchy) -> Result<()> {
    let id = container_id();
    let cgroup = Cgroup::create(hierarchy, &format!("docker/{id}"))?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let holder = Holder::fork()?;
    cgroup.take(holder.pid())?;
    let numbers = find(None, &socket)?;
    drop(socket);
    let mut owners = searched();
    // By the process, also where the socket's own cgroup is the root, which says nothing.
    let by_process = Socket { cgroup: 0, ..numbers };
    expect_container(&mut owners, by_process, &id)?;
    if matches!(hierarchy, Hierarchy::Unified) {
        let by_cgroup = Socket { cgroup: fs::metadata(&cgroup.path)?.ino(), ..Socket::default() };
        expect_container(&mut owners, by_cgroup, &id)?;
        // A socket made inside has that very id in the kernel.
        let inside = Inside::bind(&cgroup)?;
        ensure!(
            inside.numbers.cgroup == by_cgroup.cgroup || inside.numbers.cgroup == 0,
            "the kernel says {}, the directory is {}",
            inside.numbers.cgroup,
            by_cgroup.cgroup
        );
    }
    drop(holder);
    Ok(())
}

fn expect_container(owners: &mut Asked, socket: Socket, id: &str) -> Result<()> {
    let owner = owners.owner(socket).context("nothing is known of the owner")?;
    let found = owner.workload.container.as_ref().context("no container is named")?;
    ensure!(found.runtime.as_str() == "docker" && found.id == id, "{found:?}, not docker's {id}");
    Ok(())
}

/// A socket that was made while this process was in the cgroup.
struct Inside {
    numbers: Socket,
}

impl Inside {
    fn bind(cgroup: &Cgroup) -> Result<Self> {
        let socket = cgroup.inside(|| Ok(UdpSocket::bind("127.0.0.1:0")?))?;
        Ok(Self { numbers: find(None, &socket)? })
    }
}

/// The index as of now, and a clock ahead of the machine's: each answer is good for a moment, and a fresh one is wanted.
struct Asked {
    owners: Owners,
    now: Instant,
}

fn searched() -> Asked {
    let mut owners = Owners::new(Path::new("/"));
    let now = Instant::now();
    owners.refresh(now, Duration::MAX);
    Asked { owners, now }
}

impl Asked {
    fn owner(&mut self, socket: Socket) -> Option<Arc<Owner>> {
        self.now += Duration::from_millis(200);
        self.owners.owner(socket, self.now)
    }

    /// Long enough after the last search for another.
    fn search(&mut self) {
        self.now += Duration::from_secs(9);
        self.owners.refresh(self.now, Duration::MAX);
    }
}

fn expect(asked: &mut Asked, socket: Socket, wanted: &str) -> Result<()> {
    let found = asked.owner(socket).map_or_else(|| "nothing".into(), |owner| owner.to_string());
    ensure!(found == wanted, "the owner is {found}, not {wanted}");
    Ok(())
}

fn this_process(state: &str) -> String {
    process(std::process::id(), state, "")
}

/// All have the name of this one: none runs another program.
fn process(pid: u32, state: &str, others: &str) -> String {
    let command = fs::read_to_string("/proc/self/comm").unwrap_or_default();
    format!("{}({pid}{state}){others}", command.trim_end())
}

pub(super) fn inode(socket: &UdpSocket) -> Result<u64> {
    let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd()))?;
    let digits: String = link.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}

/// As the kernel lists it.
pub(super) fn find(netns: Option<&Path>, socket: &UdpSocket) -> Result<Socket> {
    let local = socket.local_addr()?;
    let remote = SocketAddr::from(([0, 0, 0, 0], 0));
    let found = Diag::open(netns)?.find(&Query { protocol: 17, local, remote, device: 0 })?;
    Ok(found.with_context(|| Skip(format!("sock_diag doesn't find {local}: no udp_diag?")))?.socket())
}

/// A process that holds what this one had open when it was made; it ends when this is dropped.
pub(super) struct Holder(Pid);

impl Holder {
    pub fn fork() -> Result<Self> {
        Self::fork_and(|| ())
    }

    /// A holder of what comes through the socket.
    pub fn receiver(from: &UnixDatagram) -> Result<Self> {
        let mut control = nix::cmsg_space!(i32);
        let mut byte = [0];
        Self::fork_and(|| {
            let mut data = [IoSliceMut::new(&mut byte)];
            // The descriptor stays open: this is but a number.
            let _ = recvmsg::<()>(from.as_raw_fd(), &mut data, Some(&mut control), MsgFlags::empty());
        })
    }

    /// `work` may call nothing that isn't async-signal-safe, and allocates nothing.
    pub fn fork_and(work: impl FnOnce()) -> Result<Self> {
        // SAFETY: the child only makes system calls.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Self(child)),
            ForkResult::Child => {
                // SAFETY: no memory arguments.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                work();
                loop {
                    // SAFETY: it has no arguments.
                    unsafe { libc::pause() };
                }
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.0.as_raw().cast_unsigned()
    }

    /// What tells who began first: the clock tick (field 22 in `proc_pid_stat(5)`), then the pid, which alone begins anew at `pid_max`.
    pub fn began(&self) -> Result<(u64, u32)> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        let (_, fields) = stat.rsplit_once(')').context("a name in parentheses")?;
        let tick = fields.split_ascii_whitespace().nth(19).context("22 fields")?;
        Ok((tick.parse()?, self.pid()))
    }
}

/// So many that inherited this process's descriptors, who began first before the others.
pub(super) fn holders(count: usize) -> Result<Vec<Holder>> {
    let holders = (0..count).map(|_| Holder::fork()).collect::<Result<Vec<_>>>()?;
    let mut began =
        holders.into_iter().map(|holder| Ok((holder.began()?, holder))).collect::<Result<Vec<_>>>()?;
    began.sort_by_key(|(began, _)| *began);
    Ok(began.into_iter().map(|(_, holder)| holder).collect())
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}

/// Of a container of our own.
pub(super) fn container_id() -> String {
    format!("{:064x}", std::process::id())
}

/// A cgroup of our own, removed when this is dropped.
pub(super) struct Cgroup {
    hierarchy: Mount,
    path: PathBuf,
}

impl Cgroup {
    /// Below the root of the hierarchy; one of v1 is mounted where there is none.
    pub fn create(hierarchy: Hierarchy, below: &str) -> Result<Self> {
        let hierarchy = match hierarchy {
            Hierarchy::Unified => {
                Mount::find("cgroup2", "").with_context(|| Skip("no cgroup2 hierarchy is mounted".into()))?
            }
            Hierarchy::Legacy => Mount::find("cgroup", "pids").map_or_else(Mount::named, Ok)?,
        };
        let path = hierarchy.point.join(below);
        match fs::create_dir_all(&path) {
            Ok(()) => Ok(Self { hierarchy, path }),
            Err(error) => bail!(Skip(format!("can't make the cgroup {}: {error}", path.display()))),
        }
    }

    /// Where this controller limits what is inside: of version 1 where it is there, else of version 2.
    pub fn limiting(controller: &str, below: &str) -> Result<Self> {
        let hierarchy = if let Some(mount) = Mount::find("cgroup", controller) {
            mount
        } else {
            let mount =
                Mount::find("cgroup2", "").with_context(|| Skip("no cgroup hierarchy is mounted".into()))?;
            // What version 2 freezes by isn't a controller.
            if controller != "freezer" {
                fs::write(mount.point.join("cgroup.subtree_control"), format!("+{controller}"))
                    .map_err(|error| Skip(format!("no {controller} in cgroup v2 here: {error}")))?;
            }
            mount
        };
        let path = hierarchy.point.join(below);
        fs::create_dir_all(&path)
            .map_err(|error| Skip(format!("can't make the cgroup {}: {error}", path.display())))?;
        Ok(Self { hierarchy, path })
    }

    /// Writes to the first of these files that is there.
    pub fn set(&self, files: &[(&str, &str)]) -> Result<()> {
        let there = files.iter().find(|(file, _)| self.path.join(file).exists());
        let (file, value) = there.with_context(|| Skip(format!("none of {files:?} in this cgroup")))?;
        fs::write(self.path.join(file), value)
            .with_context(|| format!("can't write {value} to {file} of {}", self.path.display()))
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves a process there.
    pub fn take(&self, pid: u32) -> Result<()> {
        fs::write(self.path.join("cgroup.procs"), pid.to_string())
            .with_context(|| format!("can't move process {pid} to {}", self.path.display()))
    }

    /// Does `work` while this process is there; children made by it stay.
    pub fn inside<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.take(std::process::id())?;
        let done = work();
        fs::write(self.hierarchy.point.join("cgroup.procs"), std::process::id().to_string())
            .context("can't move back to the root cgroup")?;
        done
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Those that were inside have ended; the kernel takes them out a moment later.
        let _ = until("the cgroup to be empty", PATIENCE, || Ok(fs::remove_dir(&self.path).ok()));
        // `docker` stays if it was there before and has others, and so does the root.
        let _ = self.path.parent().map(fs::remove_dir);
    }
}

/// A hierarchy of cgroups.
struct Mount {
    point: PathBuf,
    is_own: bool,
}

impl Mount {
    /// The first mount of the type whose options hold the word.
    fn find(kind: &str, option: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/mounts").ok()?;
        mounts.lines().find_map(|line| {
            let mut words = line.split(' ');
            let (point, its_kind, options) = (words.nth(1)?, words.next()?, words.next()?);
            let has_option = option.is_empty() || options.split(',').any(|one| one == option);
            (its_kind == kind && has_option).then(|| Self { point: point.into(), is_own: false })
        })
    }

    /// One of v1 without a controller: cgroups(7), "Cgroups version 1 named hierarchies".
    fn named() -> Result<Self> {
        let point = std::env::temp_dir().join(format!("netdrop-tests-{}-cgroup", std::process::id()));
        fs::create_dir_all(&point)?;
        let options = Some("none,name=ndtest");
        let mounted = mount(Some("ndtest"), &point, Some("cgroup"), MsFlags::empty(), options);
        let this = Self { point, is_own: true };
        mounted.with_context(|| Skip("no cgroup v1 hierarchy is mounted, nor can be".into()))?;
        Ok(this)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.is_own {
            let _ = umount(&self.point);
            let _ = fs::remove_dir(&self.point);
        }
    }
}
