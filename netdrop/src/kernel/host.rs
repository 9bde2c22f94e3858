//! Which machine this is: `/proc/sys/kernel` (`proc_sys_kernel(5)`).

use std::fs;
use std::path::Path;

use crate::model::Host;

/// Name and kernel, as far as the files below `root` tell.
pub fn read(root: &Path) -> Host {
    let text = |file: &str| {
        let text = fs::read_to_string(root.join("proc/sys/kernel").join(file)).unwrap_or_default();
        text.trim().to_owned()
    };
    Host { name: text("hostname"), kernel: text("osrelease") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_is_empty() {
        let root = tempfile::tempdir().unwrap();
        crate::made_up::file(root.path(), "proc/sys/kernel/osrelease", "6.12.9-amd64\n");
        assert_eq!(read(root.path()), Host { name: String::new(), kernel: "6.12.9-amd64".into() });
    }
}
