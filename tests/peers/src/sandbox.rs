//! The daemon's sandbox, entered in a child process: what it refuses, and that everything else still works.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use netdrop::kernel::devices::Devices;
use netdrop::kernel::identity::Identity;
use netdrop::kernel::netns::Namespaces;
use netdrop::kernel::privileged;
use netdrop::output::{Limit, RotatingFile, Rotation};
use netdrop::owner::diag::{Diag, Query};
use netdrop::owner::{Owners, Socket};
use netdrop::probe::{Kernel, Options, Probe};
use netdrop::sandbox::{Entered, Needs, Settings, plan};
use netdrop_tests::lab::{Lab, Namespace, until};
use netdrop_tests::scenario::{Case, System};
use nix::errno::Errno;
use nix::libc;
use nix::unistd::{ForkResult, fork, pipe};

/// The one who gets nothing: the kernel's overflow user.
const USER: &str = "65534:65534";
const DROPS: u64 = 500;

/// All of this file.
pub fn cases() -> Vec<Case> {
    vec![
        Case::System(System::new("sandbox-refuses", |_| in_child(refuses))),
        Case::System(System::new("sandbox-everything-still-works", |_| works())),
        Case::System(System::new("sandbox-without-helper", |_| without_helper())),
        Case::System(System::new("sandbox-wants-one-thread", |_| in_child(one_thread))),
        Case::System(System::new("sandbox-folder-of-another-user", |_| in_child(folder_of_another))),
        Case::System(System::new("sandbox-helper-ends-with-it", |_| helper_ends())),
    ]
}

/// Runs `work` in a process of its own: what it gives up is given up for good.
fn in_child(work: impl FnOnce() -> Result<()>) -> Result<()> {
    let (read, write) = pipe()?;
    // SAFETY: this program's cases run on its only thread; a case's threads have ended when it goes on.
    match unsafe { fork() }? {
        ForkResult::Child => {
            drop(read);
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            let told = match result {
                Ok(Ok(())) => "ok".into(),
                Ok(Err(error)) => format!("{error:#}"),
                Err(_) => "it panicked".into(),
            };
            let _ = File::from(write).write_all(told.as_bytes());
            // SAFETY: the parent's values are not to be dropped here.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            drop(write);
            let told = io::read_to_string(File::from(read))?;
            nix::sys::wait::waitpid(child, None)?;
            ensure!(told == "ok", "in the sandbox: {told}");
            Ok(())
        }
    }
}

struct Inside {
    probe: Probe,
    entered: Entered,
}

/// Attaches and enters, as the daemon does.
fn enter(settings: &Settings, write: &[PathBuf]) -> Result<Inside> {
    let needs = Needs { write: write.to_vec(), ..Needs::default() }.ask_kernel();
    let prepared = plan(settings, needs).prepare()?;
    let probe = attach()?;
    let entered = prepared.enter()?;
    Ok(Inside { probe, entered })
}

fn attach() -> Result<Probe> {
    let identity = Identity::read(Path::new("/"))?;
    Ok(Probe::attach(&Kernel::from(&identity), &Options { sockets: true, ..Options::default() })?)
}

fn settings() -> Settings {
    Settings { user: USER.into(), ..Settings::default() }
}

/// Gives up everything; each of these must be refused with just this error.
fn refuses() -> Result<()> {
    const PROG_LOAD: u64 = 5;
    const MAP_CREATE: u64 = 0;
    let parent = nix::unistd::getppid().as_raw();
    let Inside { entered, probe } = enter(&settings(), &[])?;
    ensure!(entered.daemon.is_empty() && entered.user == 65534, "{entered}");
    ensure!(entered.lacks.is_empty(), "{entered}");
    let status = fs::read_to_string("/proc/self/status")?;
    for line in ["CapInh:\t0", "CapPrm:\t0", "CapEff:\t0", "CapAmb:\t0", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        let zeros = status
            .lines()
            .any(|found| found.strip_prefix(line).is_some_and(|rest| rest.bytes().all(|byte| byte == b'0')));
        ensure!(zeros, "no line {line} in {status}");
    }
    let call = |number: libc::c_long, arguments: [u64; 4]| {
        let [a, b, c, d] = arguments;
        // SAFETY: each of these is refused before an argument is looked at; if one isn't, the case has failed anyway.
        Errno::result(unsafe { libc::syscall(number, a, b, c, d) }).map(drop).map_err(io::Error::from)
    };
    let of = |number: libc::c_int| u64::from(number.cast_unsigned());
    let open = |path: &str| File::open(path).map(drop);
    let create = |path: &str| File::options().write(true).create(true).truncate(false).open(path).map(drop);
    let parent_file = |name: &str| format!("/proc/{parent}/{name}");
    let rules: Vec<(&str, io::Result<()>, i32)> = vec![
        ("read a file outside", open("/etc/shadow"), libc::EACCES),
        ("read a file that anybody else may", open("/etc/passwd"), libc::EACCES),
        ("list a folder outside", fs::read_dir("/root").map(drop), libc::EACCES),
        ("write a file in /tmp", create("/tmp/netdrop-sandbox-test"), libc::EACCES),
        ("write a setting of the kernel", create("/proc/sys/kernel/panic"), libc::EACCES),
        ("write another's memory", create(&parent_file("mem")), libc::EACCES),
        ("read another's environment", open(&parent_file("environ")), libc::EACCES),
        ("another's descriptors", fs::read_dir(parent_file("fd")).map(drop), libc::EACCES),
        ("another's root", fs::read_dir(parent_file("root")).map(drop), libc::EACCES),
        ("ask the helper for a file", privileged::open(Path::new("/etc/shadow")).map(drop), libc::EACCES),
        ("load a program", call(libc::SYS_bpf, [PROG_LOAD, 0, 128, 0]), libc::EPERM),
        ("make a map", call(libc::SYS_bpf, [MAP_CREATE, 0, 128, 0]), libc::EPERM),
        ("execute", Command::new("/bin/true").spawn().map(drop), libc::EPERM),
        ("execve", call(libc::SYS_execve, [0; 4]), libc::EPERM),
        // SAFETY: the child, if there were one, ends at once.
        (
            "fork",
            unsafe { fork() }
                .map(|result| {
                    if matches!(result, ForkResult::Child) {
                        unsafe { libc::_exit(0) }
                    }
                })
                .map_err(io::Error::from),
            libc::EPERM,
        ),
        ("a raw socket", call(libc::SYS_socket, [of(libc::AF_INET), of(libc::SOCK_RAW), 1, 0]), libc::EPERM),
        (
            "a packet socket",
            call(libc::SYS_socket, [of(libc::AF_PACKET), of(libc::SOCK_RAW), 0, 0]),
            libc::EPERM,
        ),
        ("nftables", call(libc::SYS_socket, [of(libc::AF_NETLINK), of(libc::SOCK_RAW), 12, 0]), libc::EPERM),
        ("ptrace", call(libc::SYS_ptrace, [of(16), of(parent), 0, 0]), libc::EPERM),
        ("read memory", call(libc::SYS_process_vm_readv, [of(parent), 0, 0, 0]), libc::EPERM),
        ("a signal", call(libc::SYS_kill, [of(parent), 0, 0, 0]), libc::EPERM),
        ("mount", call(libc::SYS_mount, [0; 4]), libc::EPERM),
        ("a module", call(libc::SYS_finit_module, [0; 4]), libc::EPERM),
        ("a module from memory", call(libc::SYS_init_module, [0; 4]), libc::EPERM),
        ("enter a namespace", call(libc::SYS_setns, [0, of(libc::CLONE_NEWNET), 0, 0]), libc::EPERM),
        ("make a namespace", call(libc::SYS_unshare, [of(libc::CLONE_NEWUSER), 0, 0, 0]), libc::EPERM),
        ("become root", call(libc::SYS_setuid, [0; 4]), libc::EPERM),
        ("io_uring", call(libc::SYS_io_uring_setup, [1, 0, 0, 0]), libc::EPERM),
        ("perf events", call(libc::SYS_perf_event_open, [0; 4]), libc::EPERM),
        ("keys", call(libc::SYS_keyctl, [0; 4]), libc::EPERM),
        ("reboot", call(libc::SYS_reboot, [0; 4]), libc::EPERM),
    ];
    let wrong: Vec<String> = rules
        .iter()
        .filter(|(_, result, expected)| {
            !result.as_ref().is_err_and(|error| error.raw_os_error() == Some(*expected))
        })
        .map(|(what, result, expected)| {
            format!("{what}: {result:?}, not {}", io::Error::from_raw_os_error(*expected))
        })
        .collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    ensure!(attach().is_err(), "a new program could be attached");
    drop(probe);
    Ok(())
}

/// A folder of the daemon's user.
struct Logs(PathBuf);

impl Logs {
    fn create(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("netdrop-sandbox-{}-{name}", std::process::id()));
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        nix::unistd::chown(&path, Some(65534.into()), Some(65534.into()))?;
        Ok(Self(path))
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What the daemon does all day, once it is inside.
fn works() -> Result<()> {
    let lab = Lab::pair()?;
    let devices = lab.from().devices()?;
    ensure!(devices.len() > 1, "{devices:?}");
    let logs = Logs::create("logs")?;
    let held = UdpSocket::bind("127.0.0.1:0")?;
    let held = (std::process::id(), fs::metadata(format!("/proc/self/fd/{}", held.as_raw_fd()))?.ino(), held);
    in_child(|| {
        let Inside { mut probe, entered } = enter(&settings(), std::slice::from_ref(&logs.0))?;
        ensure!(entered.lacks.is_empty(), "{entered}");
        counts(&mut probe).context("counting")?;
        attached_again(&probe).context("attaching the loaded program again")?;
        listens().context("HTTP")?;
        writes_logs(&logs.0).context("logs")?;
        names_owner(held.0, held.1).context("owners")?;
        names_devices(lab.from(), &devices).context("devices")?;
        let lines = io::read_to_string(privileged::open(Path::new("/proc/kallsyms"))?)?;
        ensure!(lines.lines().any(|line| line.starts_with("ffff")), "kallsyms shows no addresses");
        ensure!(fs::read_to_string("/proc/self/statm").is_ok(), "its own memory");
        ensure!(!Namespaces::new("/").iter().any(|_| true), "nothing is looked up unasked");
        Ok(())
    })
}

/// Drops are counted and told in detail as before.
fn counts(probe: &mut Probe) -> Result<()> {
    let mut rings = probe.take_rings()?;
    let packets = |probe: &Probe| -> Result<u64> {
        Ok(probe.counts.counters()?.iter().map(|counter| counter.packets).sum())
    };
    let (before, accounts) = (packets(probe)?, probe.counts.accounts());
    let closed = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    let sender = UdpSocket::bind("127.0.0.1:0")?;
    for _ in 0..DROPS {
        sender.send_to(b"x", closed)?;
    }
    let after = packets(probe)?;
    ensure!(after >= before + DROPS, "{DROPS} drops were counted as {}", after - before);
    ensure!(probe.counts.accounts().seen >= accounts.seen + DROPS, "the accounts");
    probe.recursion_misses()?;
    ensure!(rings.next().is_some(), "no details");
    Ok(())
}

/// The program is loaded: to attach it needs a descriptor of it and no capability.
fn attached_again(probe: &Probe) -> Result<()> {
    const RAW_TRACEPOINT_OPEN: u64 = 17;
    let id = probe.program_id()?;
    let is_ours = |number: i32| {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
        info.lines().any(|line| {
            line.split_once(':')
                .is_some_and(|(key, value)| key == "prog_id" && value.trim() == id.to_string())
        }) && info.contains("prog_type")
            && !info.contains("link_type")
    };
    let program = (3..64).find(|number| is_ours(*number)).context("its descriptor")?;
    // `name` (none: the program knows its tracepoint), `prog_fd`.
    let attributes = [0_u64, u64::try_from(program)?];
    // SAFETY: the kernel reads 16 bytes.
    let link =
        Errno::result(unsafe { libc::syscall(libc::SYS_bpf, RAW_TRACEPOINT_OPEN, attributes.as_ptr(), 16) })?;
    // SAFETY: the call has just made it.
    drop(unsafe { OwnedFd::from_raw_fd(i32::try_from(link)?) });
    Ok(())
}

/// A listener of tokio's with a client on a thread; and names of hosts, which libc looks up.
fn listens() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let client =
            std::thread::Builder::new().name("client".into()).spawn(move || -> io::Result<String> {
                let mut stream = TcpStream::connect(address)?;
                let mut text = String::new();
                stream.read_to_string(&mut text)?;
                Ok(text)
            })?;
        let (stream, _) = listener.accept().await?;
        stream.writable().await?;
        ensure!(stream.try_write(b"netdrop_drops_total 1\n")? == 22);
        drop(stream);
        ensure!(client.join().expect("it only returns errors")?.starts_with("netdrop_drops_total"));
        let names: Vec<_> = tokio::net::lookup_host("localhost:80").await?.collect();
        ensure!(!names.is_empty(), "localhost has no address");
        Ok(())
    })
}

/// Lines into files that are turned, in the folder of the settings.
fn writes_logs(folder: &Path) -> Result<()> {
    let path = folder.join("drops.jsonl");
    let mut file = RotatingFile::open(&path, Some(Rotation { limit: Limit::Size(64), keep: 2 }))?;
    for number in 0..32 {
        writeln!(file, "{{\"number\":{number}}}")?;
    }
    file.flush()?;
    ensure!(
        folder.join("drops.jsonl.1").exists() && folder.join("drops.jsonl.2").exists(),
        "it was not turned"
    );
    Ok(())
}

/// Another user's process has the socket.
fn names_owner(pid: u32, inode: u64) -> Result<()> {
    let mut owners = Owners::new(Path::new("/"));
    owners.refresh(Instant::now(), Duration::MAX);
    let socket = Socket { inode: u32::try_from(inode)?, ..Socket::default() };
    let owner = owners.owner(socket, Instant::now()).context("nobody")?;
    ensure!(owner.processes.iter().any(|process| process.pid == pid), "{owner:?} has no process {pid}");
    Ok(())
}

/// A namespace that nobody lives in, by its name and by its devices, which were asked for outside; and its sockets.
fn names_devices(there: &Namespace, expected: &[(u32, String)]) -> Result<()> {
    let mut namespaces = Namespaces::new("/");
    namespaces.refresh();
    let inode = u32::try_from(there.inode())?;
    ensure!(namespaces.name(inode) == Some(there.name()), "its name is {:?}", namespaces.name(inode));
    let mut devices = Devices::default();
    let own = namespaces.own().context("its own namespace")?;
    let own = devices.name(own, 1, &namespaces, Instant::now());
    ensure!(own.as_deref() == Some("lo"), "the own device 1 is {own:?}");
    for (index, name) in expected {
        let found = devices.name(inode, *index, &namespaces, Instant::now());
        ensure!(found.as_deref() == Some(name), "device {index} is {found:?}, not {name}");
    }
    let diag = Diag::open(Some(Path::new(&there.path())))?;
    let any = "0.0.0.0:0".parse()?;
    ensure!(
        diag.find(&Query { protocol: 17, local: any, remote: any, device: 0 })?.is_none(),
        "a socket there"
    );
    Ok(())
}

/// What is not to be kept is not kept, and the counting goes on.
fn without_helper() -> Result<()> {
    let lab = Lab::pair()?;
    let devices = lab.from().devices()?;
    ensure!(devices.len() > 1, "{devices:?}");
    in_child(|| {
        let settings = Settings { owners: false, namespaces: false, symbols: false, ..settings() };
        let Inside { mut probe, entered } = enter(&settings, &[])?;
        ensure!(entered.helper.is_none() && entered.daemon.is_empty(), "{entered}");
        counts(&mut probe)?;
        let refused =
            names_devices(lab.from(), &devices).err().map(|error| error.to_string()).unwrap_or_default();
        ensure!(refused.contains("is None, not "), "devices elsewhere: {refused}");
        let lines = io::read_to_string(privileged::open(Path::new("/proc/kallsyms"))?)?;
        ensure!(!lines.lines().any(|line| line.starts_with("ffff")), "kallsyms shows addresses");
        Ok(())
    })
}

/// A thread would stay outside.
fn one_thread() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let waiting =
        std::thread::Builder::new().name("outside".into()).spawn(move || listener.accept().map(drop))?;
    let error = plan(&settings(), Needs::default()).prepare().err().context("it was entered")?.to_string();
    ensure!(error.contains("there are 2") && error.contains("outside"), "{error}");
    TcpStream::connect(address)?;
    waiting.join().expect("it only returns errors")?;
    Ok(())
}

/// Told at the start, not when the file is to be turned.
fn folder_of_another() -> Result<()> {
    let Err(error) = enter(&settings(), &["/root".into()]) else { bail!("it was entered") };
    let error = error.to_string();
    ensure!(error.contains("chown 65534:65534 /root"), "{error}");
    Ok(())
}

/// However the daemon ends.
fn helper_ends() -> Result<()> {
    let helpers = || -> Vec<PathBuf> {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let is_ours = |path: PathBuf| {
            let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
            (name == "netdrop-helper\n").then_some(path)
        };
        processes.filter_map(|process| is_ours(process.path())).collect()
    };
    let others = helpers();
    in_child(|| {
        enter(&settings(), &[])?;
        Ok(())
    })?;
    until("the helper to end", Duration::from_secs(5), || {
        Ok(helpers().iter().all(|helper| others.contains(helper)).then_some(()))
    })
}
