//! System calls, closed off by seccomp (seccomp(2)): lists of those that are allowed; all others fail with `EPERM`.
//!
//! An error and not the end of the process: a library that tries a newer call falls back on an older one, and a daemon that
//! counts goes on counting.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

use super::{Error, refused};

/// Time, memory, threads, signals of one's own: what any program does.
const BASICS: &[libc::c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getcpu,
    libc::SYS_getcwd,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_getuid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_newfstatat,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sigaltstack,
    libc::SYS_statx,
    libc::SYS_sysinfo,
    libc::SYS_times,
    libc::SYS_uname,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Reading files and folders; which ones is not seccomp's to say.
const READING: &[libc::c_long] = &[
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fstatfs,
    libc::SYS_getdents64,
    libc::SYS_openat,
    libc::SYS_readlinkat,
    libc::SYS_statfs,
];

/// Writing files, turning to new ones, and waiting for many things at once.
const DAEMON: &[libc::c_long] = &[
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_listen,
    libc::SYS_mkdirat,
    libc::SYS_msync,
    libc::SYS_pipe2,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_socketpair,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_umask,
    libc::SYS_unlinkat,
];

/// The same calls under the names that they had first; newer architectures don't have them.
#[cfg(target_arch = "x86_64")]
const OLDER: &[libc::c_long] = &[
    libc::SYS_access,
    libc::SYS_accept,
    libc::SYS_arch_prctl,
    libc::SYS_dup2,
    libc::SYS_epoll_wait,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[libc::c_long] = &[];

/// bpf(2) commands of the running program: its maps, its own numbers, and attaching once more what is loaded
/// (`enum bpf_cmd`, include/uapi/linux/bpf.h).
const BPF_RUNNING: &[u64] = &[
    1,  // MAP_LOOKUP_ELEM
    2,  // MAP_UPDATE_ELEM
    3,  // MAP_DELETE_ELEM
    4,  // MAP_GET_NEXT_KEY
    15, // OBJ_GET_INFO_BY_FD
    17, // RAW_TRACEPOINT_OPEN
    21, // MAP_LOOKUP_AND_DELETE_ELEM
    24, // MAP_LOOKUP_BATCH
    25, // MAP_LOOKUP_AND_DELETE_BATCH
];
/// Those that a new program takes.
const BPF_LOADING: &[u64] = &[
    0,  // MAP_CREATE
    5,  // PROG_LOAD
    18, // BTF_LOAD
    22, // MAP_FREEZE
];
/// `SOCK_CLOEXEC` and `SOCK_NONBLOCK` stand above (include/linux/net.h, `SOCK_TYPE_MASK`).
const SOCKET_TYPE: u64 = 0xf;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;
type Failed = seccompiler::Error;

/// Closes all but the daemon's system calls to the calling thread and those that it starts.
pub fn close_off_daemon(loads_programs: bool) -> Result<(), Error> {
    apply(daemon(loads_programs)).map_err(refused("seccomp can't close off system calls"))
}

/// The same for the helper: it reads, answers, and enters network namespaces.
pub fn close_off_helper() -> Result<(), Error> {
    apply(helper()).map_err(refused("seccomp can't close off the helper's system calls"))
}

fn apply(rules: Result<Rules, Failed>) -> Result<(), Failed> {
    // First those that shall look as if the kernel didn't have them: of two errors the filter installed last is heard, but a
    // list that allows clone3 hears this one. Its flags lie in memory, where no filter sees them; glibc goes on with clone(2).
    let absent = [libc::SYS_clone3].map(|call| (call, Vec::new()));
    let absent = filter(
        absent.into_iter().collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS.cast_unsigned()),
    )?;
    let allowed = filter(rules?, SeccompAction::Errno(libc::EPERM.cast_unsigned()), SeccompAction::Allow)?;
    // The first needs seccomp(2) itself afterwards, which no list has: it goes first.
    apply_filter(&absent)?;
    apply_filter(&allowed)
}

fn filter(rules: Rules, otherwise: SeccompAction, matching: SeccompAction) -> Result<BpfProgram, Failed> {
    let architecture = std::env::consts::ARCH.try_into().map_err(Failed::Backend)?;
    let filter = SeccompFilter::new(rules, otherwise, matching, architecture).map_err(Failed::Backend)?;
    filter.try_into().map_err(Failed::Backend)
}

fn daemon(loads_programs: bool) -> Result<Rules, Failed> {
    let mut rules = listed(&[BASICS, READING, DAEMON, OLDER]);
    own_threads_and_signals(&mut rules)?;
    let commands = BPF_RUNNING.iter().chain(BPF_LOADING.iter().filter(|_| loads_programs));
    rules.insert(libc::SYS_bpf, commands.map(|command| rule([is(0, *command)])).collect::<Result<_, _>>()?);
    let mut sockets = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX] {
        for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
            sockets.push(rule([is(0, number(family)), masked(1, SOCKET_TYPE, number(kind))])?);
        }
    }
    sockets.extend(netlink()?);
    rules.insert(libc::SYS_socket, sockets);
    let terminal_and_sockets = [libc::FIONBIO, libc::FIONREAD, libc::FIOCLEX, libc::TCGETS, libc::TIOCGWINSZ];
    let ioctls = terminal_and_sockets.map(|request| rule([is(1, request)]));
    rules.insert(libc::SYS_ioctl, ioctls.into_iter().collect::<Result<_, _>>()?);
    Ok(rules)
}

fn helper() -> Result<Rules, Failed> {
    let talking = &[libc::SYS_recvmsg, libc::SYS_sendmsg, libc::SYS_sendto, libc::SYS_recvfrom];
    let asking = &[libc::SYS_bind, libc::SYS_getsockname, libc::SYS_setsockopt, libc::SYS_statfs];
    let mut rules = listed(&[BASICS, READING, OLDER, talking, asking]);
    own_threads_and_signals(&mut rules)?;
    // It writes no file: openat's flags ask for reading alone (`O_ACCMODE`), and what they create is nothing.
    let reading = |flags| rule([masked(flags, number(libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC), 0)]);
    rules.insert(libc::SYS_openat, vec![reading(2)?]);
    #[cfg(target_arch = "x86_64")]
    {
        rules.insert(libc::SYS_open, vec![reading(1)?]);
        for writes in [libc::SYS_mkdir, libc::SYS_rename, libc::SYS_unlink] {
            rules.remove(&writes);
        }
    }
    rules.insert(libc::SYS_setns, vec![rule([is(1, number(libc::CLONE_NEWNET))])?]);
    rules.insert(libc::SYS_socket, netlink()?);
    Ok(rules)
}

/// Threads but no processes, signals to oneself but to nobody else, one's own limits and name.
fn own_threads_and_signals(rules: &mut Rules) -> Result<(), Failed> {
    // glibc names the memory that it maps, where it can (PR_SET_VMA).
    const NAMES_MEMORY: u64 = 0x5356_4d41;
    let thread = number(libc::CLONE_THREAD);
    rules.insert(libc::SYS_clone, vec![rule([masked(0, thread, thread)])?]);
    rules.insert(libc::SYS_clone3, Vec::new());
    rules.insert(libc::SYS_tgkill, vec![rule([is(0, std::process::id().into())])?]);
    rules.insert(libc::SYS_prlimit64, vec![rule([is(0, 0)])?]);
    let named = [number(libc::PR_SET_NAME), number(libc::PR_GET_NAME), NAMES_MEMORY];
    let named = named.map(|option| rule([is(0, option)]));
    rules.insert(libc::SYS_prctl, named.into_iter().collect::<Result<_, _>>()?);
    Ok(())
}

/// Devices and sockets are asked for over netlink.
fn netlink() -> Result<Vec<SeccompRule>, Failed> {
    let families = [libc::NETLINK_ROUTE, libc::NETLINK_SOCK_DIAG, libc::NETLINK_GENERIC];
    families
        .map(|family| rule([is(0, number(libc::AF_NETLINK)), is(2, number(family))]))
        .into_iter()
        .collect()
}

fn listed(lists: &[&[libc::c_long]]) -> Rules {
    lists.iter().copied().flatten().map(|call| (*call, Vec::new())).collect()
}

fn rule<const N: usize>(conditions: [Result<SeccompCondition, Failed>; N]) -> Result<SeccompRule, Failed> {
    SeccompRule::new(conditions.into_iter().collect::<Result<_, _>>()?).map_err(Failed::Backend)
}

fn is(argument: u8, value: u64) -> Result<SeccompCondition, Failed> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value).map_err(Failed::Backend)
}

fn masked(argument: u8, mask: u64, value: u64) -> Result<SeccompCondition, Failed> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)
        .map_err(Failed::Backend)
}

fn number(constant: libc::c_int) -> u64 {
    constant.cast_unsigned().into()
}
