//! How the static binary is linked: without what it never needs.

use std::process::Command;

use anyhow::Result;

use crate::workspace;

/// The first glibc whose static programs relocate themselves by `DT_RELR`; those of older ones would crash.
const PACKED_RELOCATIONS_SINCE: (u32, u32) = (2, 36);

/// What walks up the stack for a backtrace, which errors take where `RUST_BACKTRACE` is set: without tables it aborts (libgcc's
/// unwind-dw2.c, `uw_init_context_1`). In its place stands a function that does nothing, so that backtraces are empty.
const WALKER: &str = "_Unwind_Backtrace";
const NOTHING: &str = "getpagesize";

/// `RUSTFLAGS` for a static binary.
pub fn static_flags() -> Result<String> {
    // Cargo runs the compiler, and this the linker, in the workspace's root. Without tables of unwinding there is
    // nothing to index.
    let mut flags = format!(
        "-C target-feature=+crt-static -C link-arg=-Wl,-T,xtask/static.ld,--no-eh-frame-hdr \
         -C link-arg=-Wl,--wrap={WALKER},--defsym=__wrap_{WALKER}={NOTHING}"
    );
    let glibc = workspace::stdout(Command::new("getconf").arg("GNU_LIBC_VERSION"))?;
    if glibc_version(&glibc).is_some_and(|version| version >= PACKED_RELOCATIONS_SINCE) {
        flags += " -C link-arg=-Wl,-z,pack-relative-relocs";
    }
    Ok(flags)
}

/// Of `glibc 2.36`.
fn glibc_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.strip_prefix("glibc ")?.trim_end().split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (text, packed) in [
            ("glibc 2.36\n", true),
            ("glibc 2.100", true),
            ("glibc 3.0", true),
            ("glibc 2.9", false),
            ("", false),
        ] {
            let version = glibc_version(text);
            assert_eq!(version.is_some_and(|version| version >= PACKED_RELOCATIONS_SINCE), packed, "{text}");
        }
    }
}
