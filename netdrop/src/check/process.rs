//! What this process may do.

use super::Finding;
use crate::kernel::features::{Capability, Features};

/// Findings about privileges.
pub fn findings(features: &Features) -> Vec<Finding> {
    vec![tracing(features), namespaces(features), addresses(features)]
}

fn tracing(features: &Features) -> Finding {
    if features.capabilities.can_trace() {
        return Finding::good(
            "capabilities",
            "CAP_BPF and CAP_PERFMON",
            "programs can be loaded and attached",
        );
    }
    Finding::broken(
        "capabilities",
        "no CAP_BPF or no CAP_PERFMON",
        "no program can be loaded: run it as root, for example with sudo",
    )
}

fn namespaces(features: &Features) -> Finding {
    if features.capabilities.has(Capability::SysAdmin) {
        return Finding::good("CAP_SYS_ADMIN", "yes", "devices in other network namespaces have names");
    }
    Finding::limited("CAP_SYS_ADMIN", "no", "devices in other network namespaces have numbers for names")
}

fn addresses(features: &Features) -> Finding {
    if features.capabilities.has(Capability::Syslog) || features.capabilities.has(Capability::SysAdmin) {
        return Finding::good(
            "CAP_SYSLOG",
            "yes",
            "the kernel shows its addresses unless kptr_restrict is 2",
        );
    }
    Finding::limited("CAP_SYSLOG", "no", "the kernel hides its addresses: functions stay unnamed")
}
