//! The memory lock limit, which maps count against before 5.11 (kernel/bpf/syscall.c, `bpf_map_charge_init`).

use nix::sys::resource::{Resource, rlim_t, setrlimit};
use tracing::debug;

/// Lifts the limit. A refusal isn't fatal: newer kernels don't ask, and on older ones the map's error tells.
pub fn lift() {
    if let Err(error) = setrlimit(Resource::RLIMIT_MEMLOCK, rlim_t::MAX, rlim_t::MAX) {
        debug!("RLIMIT_MEMLOCK stays as it is: {error}");
    }
}
