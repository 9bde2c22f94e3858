//! What only a virtual machine of ours may be put through: its clock, its modules, its time.

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;

use super::{Skip, until};

/// Set by the guests' init (`xtask/guest`).
const GUEST: &str = "NETDROP_GUEST";
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether this runs in a guest of `cargo xtask vm`.
pub fn is_guest() -> bool {
    std::env::var_os(GUEST).is_some()
}

/// Skips a test elsewhere: `what` would happen to the whole machine.
pub fn in_guest(what: &str) -> Result<()> {
    if is_guest() {
        Ok(())
    } else {
        Err(Skip(format!("{what}, which only guests may be put through")).into())
    }
}

/// A module of the guest's kernel, loaded again at the end.
pub struct Module {
    name: &'static str,
    file: PathBuf,
}

impl Module {
    /// One that the guest was booted with; a kernel without it, or with it built in, skips the test.
    pub fn of_guest(name: &'static str) -> Result<Self> {
        in_guest("modules are taken out")?;
        let module = Self { name, file: format!("/lib/modules/{name}.ko").into() };
        if module.file.exists() && module.place()?.is_some() {
            return Ok(module);
        }
        Err(Skip(format!("this kernel has no module {name} that was loaded")).into())
    }

    /// Where its code begins; none while it isn't loaded (proc(5), `/proc/modules`).
    pub fn place(&self) -> Result<Option<u64>> {
        let text = fs::read_to_string("/proc/modules").context("a kernel without modules")?;
        let line = text.lines().find(|line| line.split(' ').next() == Some(self.name));
        let place = line.and_then(|line| line.split(' ').find_map(|word| word.strip_prefix("0x")));
        Ok(place.map(|digits| u64::from_str_radix(digits, 16)).transpose()?)
    }

    /// Takes it out, once nobody uses it any more: links of a namespace go a moment after it.
    pub fn unload(&self) -> Result<()> {
        let name = CString::new(self.name)?;
        until(&format!("{} to be unused", self.name), PATIENCE, || {
            // SAFETY: the name is a string that ends with a zero.
            let result = unsafe { libc::syscall(libc::SYS_delete_module, name.as_ptr(), libc::O_NONBLOCK) };
            match Errno::result(result) {
                Ok(_) | Err(Errno::ENOENT) => Ok(Some(())),
                Err(Errno::EAGAIN | Errno::EBUSY) => Ok(None),
                Err(error) => bail!("can't unload {}: {error}", self.name),
            }
        })
    }

    /// Loads it.
    pub fn load(&self) -> Result<()> {
        const NO_PARAMETERS: &CStr = c"";
        let file = File::open(&self.file).with_context(|| format!("no {}", self.file.display()))?;
        // SAFETY: the descriptor is open, and the parameters end with a zero.
        let result =
            unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), NO_PARAMETERS.as_ptr(), 0) };
        match Errno::result(result) {
            Ok(_) | Err(Errno::EEXIST) => Ok(()),
            Err(error) => bail!("can't load {}: {error}", self.file.display()),
        }
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // The cases to come say more where it is missing.
        let _ = self.load();
    }
}

/// The guest's wall clock (`CLOCK_REALTIME`), right again at the end.
pub struct WallClock {
    /// How far it is set off, in seconds.
    off: i64,
}

impl WallClock {
    /// As it is.
    pub fn of_guest() -> Result<Self> {
        in_guest("the clock is set")?;
        Ok(Self { off: 0 })
    }

    /// Sets it on or, below zero, back.
    pub fn step(&mut self, seconds: i64) -> Result<()> {
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME)?;
        let then = libc::timespec { tv_sec: now.tv_sec() + seconds, tv_nsec: now.tv_nsec() };
        // SAFETY: the call reads one timespec.
        Errno::result(unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const then) })
            .context("can't set the clock")?;
        self.off += seconds;
        Ok(())
    }
}

impl Drop for WallClock {
    fn drop(&mut self) {
        let _ = self.step(-self.off);
    }
}

/// Has the whole machine stand still for so many seconds, as when a host suspends it: who runs the guest stops it at this line of
/// the console (`xtask/src/vm/qemu.rs`). Its monotonic clock goes on meanwhile.
pub fn stand_still(seconds: u64) -> Result<()> {
    in_guest("the machine stands still")?;
    let still = Duration::from_secs(seconds);
    println!("netdrop-guest: stand still {seconds}");
    std::io::stdout().flush()?;
    let (start, mut last) = (Instant::now(), Instant::now());
    while last.elapsed() < still / 2 {
        if start.elapsed() > still * 2 {
            // Then nothing in it can tell that it stood still.
            return Err(Skip("this machine's clock stands still with it".into()).into());
        }
        last = Instant::now();
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
