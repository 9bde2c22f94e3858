//! Whether this process may trace at all, told before the kernel says a bare EPERM.

use super::Exit;
use crate::kernel::features::Features;

/// An error that says what is missing.
pub fn require(features: &Features) -> Result<(), Exit> {
    if features.capabilities.can_trace() {
        return Ok(());
    }
    Err(Exit::Unable(
        "netdrop needs CAP_BPF and CAP_PERFMON to trace drops (and CAP_SYS_ADMIN for names in other network \
         namespaces): run it as root, for example with sudo; `netdrop check` tells more"
            .into(),
    ))
}
