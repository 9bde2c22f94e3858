//! Source paths as kernel people write them: `net/ipv4/udp.c`, wherever the kernel was built.

/// The folders at the top of the kernel's tree.
const TOP: [&str; 23] = [
    "arch", "block", "certs", "crypto", "drivers", "fs", "include", "init", "io_uring", "ipc", "kernel",
    "lib", "mm", "net", "rust", "samples", "scripts", "security", "sound", "tools", "ubuntu", "usr", "virt",
];

/// The path below the kernel's tree; the whole path for a file that is not in one, as of a module built elsewhere.
pub fn relative(path: &str) -> String {
    let parts = resolved(path);
    // `/build/linux-6.1.192/net/…`: what stands before the tree's own folder may be called anything.
    let tree = parts.iter().rposition(|part| part.starts_with("linux-")).map_or(0, |at| at + 1);
    match parts[tree..].iter().position(|part| TOP.contains(part)) {
        // The last part is the file.
        Some(at) if tree + at + 1 < parts.len() => parts[tree + at..].join("/"),
        _ => path.to_owned(),
    }
}

/// A path's parts without `.`, empty ones, and the folders that `..` leaves.
fn resolved(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("net/ipv4/udp.c", "net/ipv4/udp.c")]
    #[case("./include/linux/skbuff.h", "include/linux/skbuff.h")]
    #[case("debian/build/build_amd64_none_cloud-amd64/net/ipv4/udp.c", "net/ipv4/udp.c")]
    #[case("/build/reproducible-path/linux-6.1.192/arch/x86/kernel/head_64.S", "arch/x86/kernel/head_64.S")]
    #[case("/usr/src/debug/kernel-6.12/linux-6.12.5-200.fc41.x86_64/net/core/dev.c", "net/core/dev.c")]
    #[case("/build/linux-6.1.192/debian/build/../../net/./core/dev.c", "net/core/dev.c")]
    #[case("/home/net/linux-next/mm/slub.c", "mm/slub.c")]
    #[case("drivers/net/ethernet/intel/igb/igb_main.c", "drivers/net/ethernet/intel/igb/igb_main.c")]
    #[case("/var/lib/dkms/wg/1.0/build/main.c", "/var/lib/dkms/wg/1.0/build/main.c")]
    #[case("/opt/init", "/opt/init")]
    #[case("", "")]
    fn paths_begin_at_the_kernels_tree(#[case] path: &str, #[case] expected: &str) {
        assert_eq!(relative(path), expected);
    }

    proptest! {
        #[test]
        fn a_relative_path_stays(path in "[a-z./]{0,40}") {
            let once = relative(&path);
            prop_assert_eq!(relative(&once), once);
        }
    }
}
