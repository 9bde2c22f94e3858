//! What the kernel is.

use std::path::Path;

use super::Finding;
use crate::counters::devlink;
use crate::kernel::debug_info::DebugInfo;
use crate::kernel::features::{Features, Lockdown};
use crate::kernel::identity::{Identity, IdentityError};
use crate::kernel::reasons::Source;
use crate::probe::Kernel;

/// Findings about the kernel, from its files.
pub fn findings(
    root: &Path,
    features: &Features,
    identity: &Result<Identity, IdentityError>,
) -> Vec<Finding> {
    let mut findings = vec![release(features), lockdown(features)];
    match identity {
        Ok(identity) => {
            findings.extend([
                btf(features),
                prototype(identity),
                reasons(identity),
                guard(identity),
                hardware(identity),
            ]);
        }
        Err(error) => findings.push(Finding::broken("BTF", "unusable", error.to_string())),
    }
    findings.extend([symbols(features), tracefs(features), lines(root, features)]);
    findings
}

fn release(features: &Features) -> Finding {
    let release = if features.release.is_empty() { "unknown" } else { &features.release };
    Finding::good("kernel", release, "5.8 and later can work, 5.10 and later are tested")
}

fn lockdown(features: &Features) -> Finding {
    match features.lockdown {
        Lockdown::None => Finding::good("lockdown", "none", "tracing is allowed"),
        Lockdown::Integrity => {
            Finding::good("lockdown", "integrity", "reading kernel memory is still allowed")
        }
        Lockdown::Confidentiality => {
            Finding::broken("lockdown", "confidentiality", "no program may read kernel memory")
        }
    }
}

fn btf(features: &Features) -> Finding {
    let path = features.btf.as_ref().map_or_else(String::new, |path| path.display().to_string());
    Finding::good("BTF", path, "offsets of struct members come from this very kernel")
}

fn prototype(identity: &Identity) -> Finding {
    let tracepoint = identity.tracepoint;
    let found = format!("{} arguments", tracepoint.arguments);
    if !tracepoint.has_reason() {
        return Finding::limited(
            "kfree_skb",
            found,
            "no drop reasons (they came with 5.17): functions tell where, not why",
        );
    }
    if !tracepoint.has_receiving_socket() {
        return Finding::limited("kfree_skb", found, "reasons, but no receiving socket (it came with 6.11)");
    }
    Finding::good("kfree_skb", found, "location, reason and receiving socket of every drop")
}

fn reasons(identity: &Identity) -> Finding {
    let mut known = identity.reasons.clone();
    known.search_all(std::path::Path::new("/"));
    let subsystems: Vec<_> = known.subsystems().map(|(_, name)| name.to_string()).collect();
    let found = format!("{} known, of {}", known.iter().count(), subsystems.join(", "));
    match known.source() {
        Source::Btf => Finding::good("reasons", found, "named by the kernel's own BTF"),
        Source::TracefsFormat => Finding::good("reasons", found, "named by the tracepoint's format file"),
        Source::BuiltIn => Finding::limited("reasons", found, "named by a built-in table for this release"),
        Source::None if identity.tracepoint.has_reason() => {
            Finding::limited("reasons", "no names", "drops carry numbers for reasons")
        }
        Source::None => Finding::limited("reasons", "none", "drops carry no reasons"),
    }
}

fn guard(identity: &Identity) -> Finding {
    if identity.guarded {
        return Finding::good("recursion guard", "yes", "no drop interrupts the counting of another");
    }
    Finding::limited(
        "recursion guard",
        "no (it came with 6.1)",
        "counting is as exact: an interrupt's drops are counted apart, for a second ring buffer a CPU",
    )
}

fn hardware(identity: &Identity) -> Finding {
    if !Kernel::from(identity).has_traps() {
        return Finding::limited(
            "hardware drops",
            "no devlink traps",
            "what switches and network cards drop by themselves stays unseen",
        );
    }
    match devlink::has_traps() {
        Ok(true) => Finding::good(
            "hardware drops",
            "devlink traps",
            "shown for traps that are set to it: devlink trap set DEVICE trap NAME action trap",
        ),
        Ok(false) => Finding::good(
            "hardware drops",
            "no device has devlink traps",
            "nothing to show; watch --hardware also shows those of a device that comes later",
        ),
        Err(error) => Finding::limited(
            "hardware drops",
            format!("devlink can't be asked ({error})"),
            "watch --hardware shows them all the same",
        ),
    }
}

fn symbols(features: &Features) -> Finding {
    match features.kptr_restrict {
        None => Finding::limited("kptr_restrict", "unreadable", "functions may stay unnamed"),
        Some(restrict @ 2..) => Finding::limited(
            "kptr_restrict",
            restrict.to_string(),
            "the kernel hides its addresses: functions stay unnamed; sysctl kernel.kptr_restrict=1 shows them to root",
        ),
        Some(restrict) => Finding::good("kptr_restrict", restrict.to_string(), "functions can be named"),
    }
}

fn tracefs(features: &Features) -> Finding {
    match &features.tracefs {
        Some(path) => Finding::good(
            "tracefs",
            path.display().to_string(),
            "not needed, but names reasons where BTF doesn't",
        ),
        None => Finding::good("tracefs", "not mounted", "not needed"),
    }
}

fn lines(root: &Path, features: &Features) -> Finding {
    match DebugInfo::find(root, &features.release, None) {
        Ok(found) => {
            Finding::good("debug information", found.path().display().to_string(), "drops show source lines")
        }
        Err(why) => Finding::limited("debug information", "none", why.to_string()),
    }
}
