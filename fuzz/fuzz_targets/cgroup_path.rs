//! Any text as a cgroup's path and as `/proc/PID/cgroup`: an id has the form of one, and a unit stands alone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netdrop::model::{Runtime, Workload};
use netdrop::owner::cgroup_path::{parse, parse_process};

fuzz_target!(|text: &str| {
    check(&parse(text));
    check(&parse_process(text));
});

fn check(workload: &Workload) {
    if let Some(container) = &workload.container {
        let is_named = matches!(container.runtime, Runtime::Lxc | Runtime::Machine);
        let is_id = container.id.len() == 64 && container.id.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_id || is_named && !container.id.is_empty(), "{container:?}");
    }
    assert!(
        workload.unit.is_none() || workload.container.is_none() && workload.pod.is_none(),
        "{workload:?}"
    );
    assert!(workload.unit.as_ref().is_none_or(|unit| unit.contains('.')), "{workload:?}");
}
