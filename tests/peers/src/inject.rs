//! A system call in another process, by ptrace(2): what no other tool does to a program's link.

use anyhow::Result;
use nix::unistd::Pid;

/// Has the process close one of its descriptors.
#[cfg(target_arch = "x86_64")]
pub fn close(pid: Pid, descriptor: i32) -> Result<()> {
    use anyhow::ensure;
    use libc::{PTRACE_ATTACH, PTRACE_DETACH, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_SINGLESTEP};
    use nix::sys::wait::waitpid;

    const SYSCALL: [u8; 2] = [0x0f, 0x05];
    let null = std::ptr::null_mut::<libc::c_void>();
    let ask = |request, data: *mut libc::c_void| {
        // SAFETY: the requests used here read or write no more than the registers that `data` points to.
        nix::errno::Errno::result(unsafe { libc::ptrace(request, pid.as_raw(), null, data) })
    };
    ask(PTRACE_ATTACH, null).map_err(|error| netdrop_tests::lab::Skip(format!("no ptrace here: {error}")))?;
    waitpid(pid, None)?;
    // SAFETY: plain numbers.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    ask(PTRACE_GETREGS, (&raw mut registers).cast())?;
    let before = registers;
    // It waits in a system call, whose instruction lies before the next one.
    registers.rip -= SYSCALL.len() as u64;
    registers.rax = libc::SYS_close.cast_unsigned();
    registers.rdi = i64::from(descriptor).cast_unsigned();
    // So that the kernel doesn't take it for a call to be started again.
    registers.orig_rax = u64::MAX;
    ask(PTRACE_SETREGS, (&raw mut registers).cast())?;
    ask(PTRACE_SINGLESTEP, null)?;
    waitpid(pid, None)?;
    ask(PTRACE_GETREGS, (&raw mut registers).cast())?;
    let result = registers.rax.cast_signed();
    let mut before = before;
    ask(PTRACE_SETREGS, (&raw mut before).cast())?;
    ask(PTRACE_DETACH, null)?;
    ensure!(result == 0, "close({descriptor}) in {pid} gave {result}");
    Ok(())
}

/// Only where its registers are known.
#[cfg(not(target_arch = "x86_64"))]
pub fn close(_: Pid, _: i32) -> Result<()> {
    Err(netdrop_tests::lab::Skip("system calls are put into processes on x86_64 alone".into()).into())
}
