//! A system call in another process, by ptrace(2): what no other tool does to a program's link.

use anyhow::Result;
use nix::unistd::Pid;

/// Has the process close one of its descriptors, as soon as it waits in a system call.
#[cfg(target_arch = "x86_64")]
pub fn close(pid: Pid, descriptor: i32) -> Result<()> {
    use netdrop_tests::lab::{Skip, until};

    let result = until("the process to wait in a system call", std::time::Duration::from_secs(10), || {
        let stopped = Stopped::stop(pid).map_err(|error| Skip(format!("no ptrace here: {error}")))?;
        stopped.close(descriptor)
    })?;
    anyhow::ensure!(result == 0, "close({descriptor}) in {pid} gave {result}");
    Ok(())
}

/// A process that stands still until this is dropped.
#[cfg(target_arch = "x86_64")]
struct Stopped(Pid);

#[cfg(target_arch = "x86_64")]
impl Stopped {
    fn stop(pid: Pid) -> nix::Result<Self> {
        let stopped = Self(pid);
        stopped.ask(libc::PTRACE_ATTACH, 0, std::ptr::null_mut())?;
        nix::sys::wait::waitpid(pid, None)?;
        Ok(stopped)
    }

    fn ask(&self, request: libc::c_uint, address: u64, data: *mut libc::c_void) -> nix::Result<i64> {
        // SAFETY: the requests used here read or write no more than the registers that `data` points to.
        nix::errno::Errno::result(unsafe { libc::ptrace(request, self.0.as_raw(), address, data) })
    }

    /// What close(2) gives in it; `None` when it doesn't wait in a system call.
    fn close(&self, descriptor: i32) -> Result<Option<i64>> {
        use libc::{PTRACE_GETREGS, PTRACE_PEEKTEXT, PTRACE_SETREGS, PTRACE_SINGLESTEP};

        const SYSCALL: [u8; 2] = [0x0f, 0x05];
        // SAFETY: plain numbers.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        self.ask(PTRACE_GETREGS, 0, (&raw mut registers).cast())?;
        let mut before = registers;
        // Its instruction lies before the next one.
        registers.rip -= SYSCALL.len() as u64;
        let code = self.ask(PTRACE_PEEKTEXT, registers.rip, std::ptr::null_mut())?;
        if !code.to_le_bytes().starts_with(&SYSCALL) {
            return Ok(None);
        }
        registers.rax = libc::SYS_close.cast_unsigned();
        registers.rdi = i64::from(descriptor).cast_unsigned();
        // So that the kernel doesn't take it for a call to be started again.
        registers.orig_rax = u64::MAX;
        self.ask(PTRACE_SETREGS, 0, (&raw mut registers).cast())?;
        self.ask(PTRACE_SINGLESTEP, 0, std::ptr::null_mut())?;
        nix::sys::wait::waitpid(self.0, None)?;
        self.ask(PTRACE_GETREGS, 0, (&raw mut registers).cast())?;
        self.ask(PTRACE_SETREGS, 0, (&raw mut before).cast())?;
        Ok(Some(registers.rax.cast_signed()))
    }
}

#[cfg(target_arch = "x86_64")]
impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.ask(libc::PTRACE_DETACH, 0, std::ptr::null_mut());
    }
}

/// Only where its registers are known.
#[cfg(not(target_arch = "x86_64"))]
pub fn close(_: Pid, _: i32) -> Result<()> {
    Err(netdrop_tests::lab::Skip("system calls are put into processes on x86_64 alone".into()).into())
}
