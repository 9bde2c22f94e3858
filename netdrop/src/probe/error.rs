//! What can go wrong with the program.

use std::io;

/// Why the program couldn't be loaded, attached or read.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The committed object isn't what it should be.
    #[error("netdrop's own eBPF object is damaged: {0}; rebuild it with `cargo xtask ebpf`")]
    Object(String),
    /// A map was refused.
    #[error("the kernel refused the eBPF map `{name}`: {error}{}", hint(error))]
    Map {
        /// Which.
        name: String,
        /// Why.
        error: io::Error,
    },
    /// The ring buffers were refused.
    #[error("the kernel refused {rings} ring buffers of {bytes} bytes each: {error}{}", ring_hint(error))]
    Ring {
        /// How many.
        rings: u32,
        /// The size of each.
        bytes: u32,
        /// Why.
        error: io::Error,
    },
    /// The verifier, or a permission, refused the program.
    #[error("the kernel refused the eBPF program `{name}`: {error}{}{}", hint(error), verdict(log))]
    Load {
        /// Which.
        name: &'static str,
        /// Why.
        error: io::Error,
        /// The verifier's words.
        log: String,
    },
    /// The tracepoint was refused.
    #[error("the kernel refused to attach to {tracepoint}: {error}{}", hint(error))]
    Attach {
        /// Which.
        tracepoint: &'static str,
        /// Why.
        error: io::Error,
    },
    /// A map or the program couldn't be read.
    #[error("reading {what} from the kernel failed: {error}")]
    Read {
        /// What.
        what: &'static str,
        /// Why.
        error: io::Error,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "; it needs CAP_BPF and CAP_PERFMON (CAP_SYS_ADMIN before 5.8), and before 5.11 room in the \
             memory lock limit (`ulimit -l unlimited`): run it as root, and see `netdrop check`"
        }
        Some(libc::ENOMEM) => "; free some kernel memory or ask for a smaller ring with --ring-size",
        _ => "",
    }
}

fn ring_hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::E2BIG | libc::EINVAL) => "; ask for smaller ones with --ring-size",
        _ => hint(error),
    }
}

/// The last lines of the verifier's log: the verdict stands at the end.
fn verdict(log: &str) -> String {
    const LINES: usize = 6;
    let lines: Vec<_> = log.lines().filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    if last.is_empty() { String::new() } else { format!("\nthe verifier says:\n  {}", last.join("\n  ")) }
}
