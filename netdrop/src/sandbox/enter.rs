//! Doing it: the helper first, the daemon itself once all is attached.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use caps::Capability;
use nix::libc;
use nix::unistd::{AccessFlags, Uid, access, getegid, geteuid};

use super::files::{self, Enforced};
use super::helper::{self, Helper, Role};
use super::plan::{Keeper, Plan};
use super::user::User;
use super::{Error, capabilities, syscalls};
use crate::kernel::privileged;

/// A plan whose helper is there.
#[derive(Debug)]
pub struct Prepared {
    plan: Plan,
    user: Option<User>,
    helper: Option<Helper>,
}

/// What has become of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entered {
    /// The user that the daemon is now.
    pub user: u32,
    /// Capabilities that the daemon still has.
    pub daemon: Vec<Capability>,
    /// Capabilities that the helper has; absent without one.
    pub helper: Option<Vec<Capability>>,
    /// The helper's process: what it costs is netdrop's cost too.
    pub helper_pid: Option<u32>,
    /// How much of the rules for files the kernel enforces; absent where they are off.
    pub files: Option<&'static str>,
    /// Whether system calls are closed off.
    pub syscalls: bool,
    /// What was asked for and can't be had here, in sentences.
    pub lacks: Vec<String>,
}

impl Plan {
    /// Starts the helper, where one is needed. To be called first, before anything is attached: the helper is as large as this
    /// process is now.
    ///
    /// # Errors
    /// When there are other threads, the user isn't one, or the helper can't be started.
    pub fn prepare(self) -> Result<Prepared, Error> {
        if !self.settings.enabled {
            return Ok(Prepared { plan: self, user: None, helper: None });
        }
        require_one_thread()?;
        let user = User::find(Path::new("/"), &self.settings.user)?;
        make_folders(&self, user);
        let keep = self.kept_by(Keeper::Helper);
        let role = Role { user, keep, seccomp: self.settings.seccomp };
        let helper = if role.keep.is_empty() { None } else { Some(helper::start(&role)?) };
        Ok(Prepared { plan: self, user, helper })
    }
}

impl Prepared {
    /// Gives up what the plan says, for good. To be called once all is attached and all sockets are bound, and before any
    /// thread is started: Landlock and capabilities are a thread's own, and those that exist would stay outside.
    ///
    /// # Errors
    /// When there are other threads, or the kernel refuses a step; the daemon must end then.
    pub fn enter(self) -> Result<Entered, Error> {
        let Self { plan, user, helper } = self;
        if !plan.settings.enabled {
            return Ok(Entered { user: geteuid().as_raw(), ..Entered::default() });
        }
        require_one_thread()?;
        let mut entered = Entered {
            daemon: capabilities::reduce(user, &plan.kept_by(Keeper::Daemon))?,
            ..Entered::default()
        };
        entered.user = geteuid().as_raw();
        if let Some(user) = user.filter(|user| entered.user == 0 && user.uid != 0) {
            entered
                .lacks
                .push(format!("the user stays root: becoming {} takes CAP_SETUID and CAP_SETGID", user.uid));
        }
        capabilities::no_new_privileges()?;
        check_folders(&plan)?;
        if let Some(helper) = helper {
            let lacking = plan.kept_by(Keeper::Helper).into_iter().filter(|one| !helper.kept.contains(one));
            entered.lacks.extend(
                lacking.map(|one| format!("the helper was to keep {one}, which netdrop doesn't have")),
            );
            privileged::ask(helper.socket);
            entered.helper_pid = Some(helper.pid);
            entered.helper = Some(helper.kept);
        }
        if plan.settings.landlock {
            let enforced = files::close_off(&plan.needs.read, &plan.needs.write)?;
            entered.files = Some(match enforced {
                Enforced::All => "all",
                Enforced::Part => "part",
                Enforced::Nothing => "nothing",
            });
            if enforced == Enforced::Nothing {
                entered.lacks.push(
                    "files are not closed off: this kernel has no Landlock, or it is off (lsm=)".into(),
                );
            }
        }
        if plan.settings.seccomp {
            syscalls::close_off_daemon(plan.settings.reattach)?;
            entered.syscalls = true;
        }
        Ok(entered)
    }
}

/// One line for the log.
impl fmt::Display for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |capabilities: &[Capability]| {
            let names: Vec<_> = capabilities.iter().map(ToString::to_string).collect();
            if names.is_empty() { "no capabilities".into() } else { names.join(" ") }
        };
        write!(f, "user {}, {}", self.user, names(&self.daemon))?;
        if let Some(helper) = &self.helper {
            write!(f, "; its helper {}", names(helper))?;
        }
        if let Some(files) = self.files {
            write!(f, "; Landlock enforces {files}")?;
        }
        f.write_str(if self.syscalls { "; seccomp on" } else { "" })?;
        self.lacks.iter().try_for_each(|lack| write!(f, "; {lack}"))
    }
}

/// The kernel's answer to a question that changes nothing: whether a descriptor is looked at before `CAP_BPF` is asked for
/// (`__sys_bpf`, kernel/bpf/syscall.c). On a thread of its own, which gives its capabilities up.
pub fn is_bpf_gated() -> bool {
    const MAP_LOOKUP_ELEM: libc::c_int = 1;
    let ask = || {
        if caps::clear(None, caps::CapSet::Effective).is_err() {
            return true;
        }
        // The command's attributes begin with the map's descriptor: one that can't be.
        let attributes = [u32::MAX; 32];
        // SAFETY: the kernel reads so many bytes, and finds no map.
        unsafe { libc::syscall(libc::SYS_bpf, MAP_LOOKUP_ELEM, attributes.as_ptr(), 32) };
        nix::Error::last() == nix::Error::EPERM
    };
    std::thread::spawn(ask).join().unwrap_or(true)
}

/// A thread that has been joined may still be seen for a moment: the kernel wakes who waits before it takes it off its list.
fn require_one_thread() -> Result<(), Error> {
    const TRIES: u32 = 100;
    const PAUSE: Duration = Duration::from_millis(2);
    for _ in 1..TRIES {
        if threads().len() <= 1 {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    let names = threads();
    if names.len() > 1 { Err(Error::Threads(names)) } else { Ok(()) }
}

/// The names of all of this process.
fn threads() -> Vec<String> {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let name =
        |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
    threads.map(|thread| name(thread).trim_end().to_owned()).collect()
}

/// Better told now than when the file is to be turned, a week from now.
/// Makes the folders to write into that aren't there, for the user who will write. What goes wrong is told when they are
/// checked.
fn make_folders(plan: &Plan, user: Option<User>) {
    for folder in plan.needs.write.iter().filter(|folder| !folder.exists()) {
        if std::fs::create_dir_all(folder).is_ok()
            && let Some(user) = user
        {
            let _ = std::os::unix::fs::chown(folder, Some(user.uid), Some(user.gid));
        }
    }
}

fn check_folders(plan: &Plan) -> Result<(), Error> {
    let user = || format!("{}:{}", geteuid(), getegid());
    for folder in &plan.needs.write {
        if geteuid() != Uid::from_raw(0) && access(folder, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
            return Err(Error::Unwritable { folder: folder.clone(), user: user() });
        }
    }
    Ok(())
}
