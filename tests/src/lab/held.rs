//! Memory that whoever reads it waits for: userfaultfd(2). A process that sends from it holds its socket meanwhile.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Skip;

/// `UFFDIO_API`, `UFFDIO_REGISTER`, `UFFD_API` and `UFFDIO_REGISTER_MODE_MISSING` of linux/userfaultfd.h.
const API: libc::c_ulong = 0xc018_aa3f;
const REGISTER: libc::c_ulong = 0xc020_aa00;
const VERSION: u64 = 0xaa;
const MISSING: u64 = 1;
const PAGE: usize = 4096;

/// A page that isn't there until this is dropped.
pub struct Held {
    page: *mut libc::c_void,
    faults: OwnedFd,
}

impl Held {
    /// Takes a page of memory.
    pub fn page() -> Result<Self> {
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: userfaultfd(2) has no memory arguments; the result is checked before it is owned.
        let faults = unsafe {
            let raw = libc::syscall(libc::SYS_userfaultfd, flags);
            if raw < 0 {
                return Err(Skip(format!("no userfaultfd here: {}", io::Error::last_os_error())).into());
            }
            OwnedFd::from_raw_fd(i32::try_from(raw)?)
        };
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at a place of the kernel's choice.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, protection, kind, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error()).context("mmap");
        }
        let held = Self { page, faults };
        let mut version = [VERSION, 0, 0];
        held.ask(API, &mut version).context("UFFDIO_API")?;
        let mut range = [page as u64, PAGE as u64, MISSING, 0];
        held.ask(REGISTER, &mut range).context("UFFDIO_REGISTER")?;
        Ok(held)
    }

    fn ask<const N: usize>(&self, request: libc::c_ulong, numbers: &mut [u64; N]) -> io::Result<()> {
        // SAFETY: both requests read and write as many numbers as their callers give.
        match unsafe { libc::ioctl(self.faults.as_raw_fd(), request, numbers.as_mut_ptr()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Its address, as a number: for system calls alone.
    pub fn address(&self) -> usize {
        self.page as usize
    }

    /// Whether somebody waits for it.
    pub fn is_waited_for(&self) -> Result<bool> {
        let mut waiting = [PollFd::new(self.faults.as_fd(), PollFlags::POLLIN)];
        poll(&mut waiting, PollTimeout::ZERO)?;
        Ok(waiting[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN)))
    }

    /// Lets whoever waits go on: the page is there, and empty.
    pub fn let_go(self) {}
}
