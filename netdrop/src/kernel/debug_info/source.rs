//! Source paths as kernel people write them: `net/ipv4/udp.c`, wherever the kernel was built.

/// The folders at the top of the kernel's tree.
const TOP: [&str; 23] = [
    "arch", "block", "certs", "crypto", "drivers", "fs", "include", "init", "io_uring", "ipc", "kernel",
    "lib", "mm", "net", "rust", "samples", "scripts", "security", "sound", "tools", "ubuntu", "usr", "virt",
];

/// The path below the kernel's tree; the whole path for a file that is not in one, as of a module built elsewhere.
///
/// `compiled_in` is the folder that the compiler ran in (`DW_AT_comp_dir`): the tree's, or one that stands for it.
pub fn relative(path: &str, compiled_in: &str) -> String {
    let below = path.strip_prefix(compiled_in).filter(|_| !compiled_in.is_empty());
    let parts = resolved(below.unwrap_or(path));
    let is_rooted = below.is_none() && path.starts_with('/');
    let start = tree(&parts).or_else(|| if is_rooted { None } else { parts.iter().position(is_top) });
    match start {
        // The last part is the file.
        Some(at) if at + 1 < parts.len() => parts[at..].join("/"),
        _ => path.to_owned(),
    }
}

/// Where the tree begins behind a folder that is named after it: `/build/linux-6.1.192/net/…`, not `include/linux/io_uring/…`.
fn tree(parts: &[&str]) -> Option<usize> {
    let is_tree = |at: &usize| {
        let is_header = at.checked_sub(1).is_some_and(|before| ["include", "uapi"].contains(&parts[before]));
        parts[*at].starts_with("linux") && !is_header && parts.get(at + 1).is_some_and(is_top)
    };
    (0..parts.len()).rfind(is_tree).map(|at| at + 1)
}

fn is_top(part: &&str) -> bool {
    TOP.contains(part)
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
    #[case::in_the_tree("/home/net/kernel/net/ipv4/udp.c", "/home/net/kernel", "net/ipv4/udp.c")]
    #[case::header("/src/./include/linux/skbuff.h", "/src", "include/linux/skbuff.h")]
    #[case::no_tree_of_headers("/src/include/linux/io_uring/cmd.h", "/src", "include/linux/io_uring/cmd.h")]
    #[case::debian("debian/build/build_amd64/net/ipv4/udp.c", "debian/build/build_amd64", "net/ipv4/udp.c")]
    #[case::assembly(
        "/build/linux-6.1.192/arch/x86/kernel/head_64.S",
        "debian/build",
        "arch/x86/kernel/head_64.S"
    )]
    #[case::fedora("/usr/src/debug/kernel-6.12/linux-6.12.5-200.fc41/net/core/dev.c", "/", "net/core/dev.c")]
    #[case::separate_folder("/usr/src/linux/obj/../net/core/dev.c", "/usr/src/linux/obj", "net/core/dev.c")]
    #[case::elsewhere_in_the_tree("/usr/src/linux/net/core/dev.c", "/tmp/obj", "net/core/dev.c")]
    #[case::driver(
        "drivers/net/ethernet/intel/igb/igb_main.c",
        "",
        "drivers/net/ethernet/intel/igb/igb_main.c"
    )]
    #[case::other_tree("/var/lib/dkms/wg/main.c", "/usr/src/linux-headers-6.1", "/var/lib/dkms/wg/main.c")]
    #[case::a_file("/opt/init", "", "/opt/init")]
    #[case::empty("", "", "")]
    fn paths_begin_at_the_kernels_tree(
        #[case] path: &str,
        #[case] compiled_in: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(relative(path, compiled_in), expected);
    }

    proptest! {
        #[test]
        fn a_relative_path_stays(path in "[a-z./]{0,40}", compiled_in in "/[a-z]{0,5}") {
            let once = relative(&path, &compiled_in);
            prop_assert_eq!(relative(&once, &compiled_in), once);
        }
    }
}
