//! Files of processes, cgroups and settings: whatever stands in them, reading ends and never panics.

#![no_main]

use libfuzzer_sys::fuzz_target;
use netdrop::counters::{cgroup, pressure, process, schedstat, sysctl_conf};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let _ = (process::stat(&text), process::status(&text, "TracerPid"), process::cpus(&text));
    let _ = (schedstat::parse(&text), pressure::stalled(&text), sysctl_conf::parse(&text));
    let _ = (cgroup::cpu_max(&text).map(cgroup::Quota::percent), cgroup::Keyed::parse(&text).throttled());
    // The first half is a list of mounts, the second a process's cgroups.
    let (mounts, of_process) = text.split_at(text.floor_char_boundary(text.len() / 2));
    for controller in ["cpu", "memory"] {
        if let Some(mount) = cgroup::Mount::of(mounts, controller) {
            let _ = mount.folders(of_process, controller);
        }
    }
});
