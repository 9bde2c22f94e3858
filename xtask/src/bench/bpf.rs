//! bpf(2), as far as the bench needs it: an empty program on the tracepoint, and the kernel's run times of programs.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result};

/// Commands of `enum bpf_cmd` (include/uapi/linux/bpf.h).
#[derive(Clone, Copy)]
#[repr(i64)]
enum Command {
    ProgLoad = 5,
    ProgGetFdById = 13,
    ObjGetInfoByFd = 15,
    RawTracepointOpen = 17,
    EnableStats = 32,
}

/// As long as it lives, the kernel takes the time of every BPF program (5.8 on).
pub struct Statistics {
    _descriptor: OwnedFd,
}

impl Statistics {
    pub fn enable() -> Result<Self> {
        const BPF_STATS_RUN_TIME: u32 = 0;
        let descriptor = bpf(Command::EnableStats, &mut [BPF_STATS_RUN_TIME])
            .and_then(descriptor)
            .context("the kernel does not take the time of BPF programs (BPF_ENABLE_STATS, 5.8)")?;
        Ok(Self { _descriptor: descriptor })
    }
}

/// `mov r0, 0; exit` on `kfree_skb`: what any program there costs before it does anything. As a raw tracepoint's it
/// needs no type of the kernel's BTF; the kernel runs it exactly as it runs a `tp_btf` program.
pub struct Empty {
    program: Program,
    _link: OwnedFd,
}

impl Empty {
    pub fn attach() -> Result<Self> {
        const BPF_PROG_TYPE_RAW_TRACEPOINT: u32 = 17;
        #[repr(C)]
        struct Load {
            program_type: u32,
            instruction_count: u32,
            instructions: u64,
            license: u64,
        }
        #[repr(C)]
        struct Open {
            name: u64,
            program: u32,
            reserved: u32,
        }
        let instructions: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 0, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];
        let mut load = Load {
            program_type: BPF_PROG_TYPE_RAW_TRACEPOINT,
            instruction_count: 2,
            instructions: instructions.as_ptr() as u64,
            license: c"GPL".as_ptr() as u64,
        };
        let program =
            bpf(Command::ProgLoad, &mut load).and_then(descriptor).context("cannot load an empty program")?;
        let mut open = Open {
            name: c"kfree_skb".as_ptr() as u64,
            program: program.as_raw_fd().cast_unsigned(),
            reserved: 0,
        };
        let link = bpf(Command::RawTracepointOpen, &mut open)
            .and_then(descriptor)
            .context("cannot attach an empty program to kfree_skb")?;
        Ok(Self { program: Program(program), _link: link })
    }

    pub fn runs(&self) -> Result<Runs> {
        self.program.runs()
    }
}

/// A loaded program.
pub struct Program(OwnedFd);

impl Program {
    /// The programs that a process holds open: its descriptors tell their ids (`proc_pid_fdinfo(5)`).
    pub fn held_by(pid: u32) -> Result<Vec<Self>> {
        let folder = format!("/proc/{pid}/fdinfo");
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))?;
        // A descriptor may be closed meanwhile.
        let texts = entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
        let ids: BTreeSet<u32> = texts.filter_map(|text| program_id(&text)).collect();
        Ok(ids.into_iter().filter_map(|id| Self::by_id(id).ok()).collect())
    }

    fn by_id(id: u32) -> io::Result<Self> {
        bpf(Command::ProgGetFdById, &mut [id, 0, 0]).and_then(descriptor).map(Self)
    }

    /// How often it ran and how long, while [`Statistics`] were enabled.
    pub fn runs(&self) -> Result<Runs> {
        /// `run_time_ns` in `struct bpf_prog_info`, in words; `run_cnt` is the next.
        const RUN_TIME_WORD: usize = 192 / 8;
        #[repr(C)]
        struct Ask {
            descriptor: u32,
            bytes: u32,
            to: u64,
        }
        let mut info = [0_u64; RUN_TIME_WORD + 2];
        let mut ask = Ask {
            descriptor: self.0.as_raw_fd().cast_unsigned(),
            bytes: u32::try_from(size_of_val(&info)).expect("a small array"),
            to: info.as_mut_ptr() as u64,
        };
        bpf(Command::ObjGetInfoByFd, &mut ask).context("cannot read a program's run time")?;
        let [.., nanoseconds, count] = info;
        Ok(Runs { nanoseconds, count })
    }
}

/// A program's runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runs {
    pub nanoseconds: u64,
    pub count: u64,
}

impl Runs {
    pub fn since(self, before: Self) -> Self {
        Self { nanoseconds: self.nanoseconds - before.nanoseconds, count: self.count - before.count }
    }

    /// Nanoseconds a run, 0 without runs.
    pub fn average(self) -> f64 {
        self.nanoseconds as f64 / self.count.max(1) as f64
    }
}

fn program_id(fdinfo: &str) -> Option<u32> {
    fdinfo.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok())
}

/// Calls bpf(2) with a command's own part of `union bpf_attr`; the kernel takes what follows it for zeros.
fn bpf<T>(command: Command, attributes: &mut T) -> io::Result<i64> {
    // SAFETY: the pointer and the size are those of one value, whose pointers outlive the call.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as i64, std::ptr::from_mut(attributes), size_of::<T>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn descriptor(number: i64) -> io::Result<OwnedFd> {
    let number = i32::try_from(number).map_err(io::Error::other)?;
    // SAFETY: only called with what a command gave as a new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_ids_are_read_from_fdinfo() {
        let program = "pos:\t0\nflags:\t02000002\nprog_type:\t26\nprog_id:\t1792\nrun_cnt:\t5\n";
        assert_eq!(program_id(program), Some(1792));
        assert_eq!(program_id("pos:\t0\nmap_id:\t7\n"), None);
    }

    #[test]
    fn an_average_is_of_the_runs_between_two_readings() {
        let (before, after) =
            (Runs { nanoseconds: 1_000, count: 10 }, Runs { nanoseconds: 4_000, count: 110 });
        assert!((after.since(before).average() - 30.0).abs() < 1e-9);
        assert!(before.since(before).average().abs() < 1e-9);
    }
}
