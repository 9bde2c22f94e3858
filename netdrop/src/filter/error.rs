//! What can be wrong with a filter.

use netdrop_common::{MAX_PIECES, MAX_RULES};

use crate::kernel::{
    netns::NetnsError,
    symbols::{SymbolsError, UnknownFunction},
};
use crate::knowledge::UnknownClass;

/// Why a filter was refused.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// A reason that this kernel doesn't have.
    #[error("this kernel has no drop reason `{name}` (`netdrop check --reasons` lists them){}", did_you_mean(suggestion.as_deref()))]
    Reason {
        /// What was asked for.
        name: String,
        /// The nearest.
        suggestion: Option<String>,
    },
    /// A kernel that gives no reasons.
    #[error("this kernel gives no drop reasons (they came with 5.17): filter by --function instead")]
    NoReasons,
    /// A class that doesn't exist.
    #[error(transparent)]
    Class(#[from] UnknownClass),
    /// A function that isn't there.
    #[error(transparent)]
    Function(#[from] UnknownFunction),
    /// No symbols to find a function in.
    #[error("functions can't be resolved: {0}")]
    Symbols(#[from] SymbolsError),
    /// A device that isn't there.
    #[error("there is no network device `{name}` in any network namespace{}", did_you_mean(suggestion.as_deref()))]
    Device {
        /// What was asked for.
        name: String,
        /// The nearest.
        suggestion: Option<String>,
    },
    /// A device name that can't be one.
    #[error("`{0}` can't be a network device: names have 1 to 15 bytes")]
    DeviceName(String),
    /// A namespace that isn't there.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// Not a protocol.
    #[error("`{name}` is no protocol: write a name (tcp, udp, icmp, arp, …), an IP protocol's number or an EtherType (0x88cc){}", did_you_mean(suggestion.as_deref()))]
    Protocol {
        /// What was asked for.
        name: String,
        /// The nearest.
        suggestion: Option<String>,
    },
    /// Not an address or prefix.
    #[error("`{0}` is no IP address or prefix: write one as in 10.0.0.1, 10.0.0.0/8 or fd00::/8")]
    Address(String),
    /// Not a port or range.
    #[error("`{0}` is no port or range of ports: write one as in 53 or 8000-8099")]
    Port(String),
    /// A container that isn't there.
    #[error("there is no container or pod `{name}` here{}", did_you_mean(suggestion.as_deref()))]
    Container {
        /// What was asked for.
        name: String,
        /// The nearest.
        suggestion: Option<String>,
    },
    /// The beginning of several containers' ids.
    #[error("`{name}` may be each of {}: write more of the id", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// What it may mean.
        candidates: Vec<String>,
    },
    /// A container that neither cgroup nor namespace tells.
    #[error(
        "container `{0}` can't be told from the rest: its cgroups are of version 1, which sockets don't know, and it shares the host's \
         network namespace; name its processes with --owner instead"
    )]
    ContainerUnseen(String),
    /// A process that isn't there.
    #[error("there is no process `{name}` now: write a pid, or a command as in /proc/PID/comm{}", did_you_mean(suggestion.as_deref()))]
    Owner {
        /// What was asked for.
        name: String,
        /// The nearest.
        suggestion: Option<String>,
    },
    /// More pieces of code than the program has room for.
    #[error(
        "--class cuts the kernel's code into {0} pieces, and {MAX_PIECES} fit: filter by --function instead"
    )]
    TooManySites(usize),
    /// More than the program has room for.
    #[error("too many values for {kind}: at most {MAX_RULES} fit, --not-… included")]
    TooMany {
        /// Which flag's.
        kind: &'static str,
    },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}
