//! Where debug information may lie. Nothing is looked for elsewhere, and nothing is downloaded.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::build_id::BuildId;

/// Folders, and what is looked for in them.
#[derive(Debug, Clone)]
pub struct Places {
    /// `/`, outside tests.
    pub root: PathBuf,
    /// `uname -r`.
    pub release: String,
    /// The cache of debuginfod's clients; `None` where there can't be one.
    pub debuginfod: Option<PathBuf>,
}

impl Places {
    /// With the cache that this process' environment names.
    pub fn new(root: &Path, release: &str) -> Self {
        Self { root: root.to_owned(), release: release.to_owned(), debuginfod: debuginfod_cache() }
    }

    /// Files that may be the kernel's, likeliest first.
    pub fn of_kernel(&self, id: &BuildId) -> Vec<PathBuf> {
        let release = &self.release;
        let by_name = [
            format!("usr/lib/debug/boot/vmlinux-{release}"),
            format!("usr/lib/debug/lib/modules/{release}/vmlinux"),
            format!("usr/lib/debug/usr/lib/modules/{release}/vmlinux"),
            format!("usr/lib/debug/usr/lib/modules/{release}/vmlinux.debug"),
            format!("lib/modules/{release}/vmlinux"),
            format!("lib/modules/{release}/build/vmlinux"),
            format!("boot/vmlinux-{release}"),
        ];
        by_name.iter().map(|path| self.root.join(path)).chain(self.by_id(id)).collect()
    }

    /// Files that may be a module's, likeliest first.
    pub fn of_module(&self, module: &str, id: &BuildId) -> Vec<PathBuf> {
        let modules = format!("lib/modules/{}", self.release);
        let by_name = self.file_of(module).into_iter().flat_map(|file| {
            [
                format!("usr/lib/debug/{modules}/{file}.debug"),
                format!("usr/lib/debug/{modules}/{file}"),
                format!("usr/lib/debug/usr/{modules}/{file}.debug"),
                format!("usr/lib/debug/usr/{modules}/{file}"),
                format!("{modules}/{file}.debug"),
                // A module of one's own, not stripped.
                format!("{modules}/{file}"),
            ]
        });
        self.by_id(id).into_iter().chain(by_name.map(|path| self.root.join(path))).collect()
    }

    fn by_id(&self, id: &BuildId) -> Vec<PathBuf> {
        let debug = self.root.join("usr/lib/debug/.build-id").join(id.debug_path());
        let cached = self.debuginfod.as_ref().map(|cache| cache.join(id.to_string()).join("debuginfo"));
        [Some(debug), cached].into_iter().flatten().collect()
    }

    /// The path of a module's file below its release's folder, without its compression: `kernel/net/tipc/tipc.ko`.
    /// The kernel writes `_` in a module's name where its file may have `-` (modules.dep(5)).
    fn file_of(&self, module: &str) -> Option<String> {
        let list = self.root.join("lib/modules").join(&self.release).join("modules.dep");
        let list = fs::read_to_string(list).ok()?;
        list.lines().filter_map(|line| line.split_once(':')).find_map(|(path, _)| {
            let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
            let (stem, _compression) = file.split_once(".ko")?;
            (stem.replace('-', "_") == module).then(|| format!("{folder}/{stem}.ko"))
        })
    }
}

/// Where `debuginfod-find` keeps what it fetched (`debuginfod_find_debuginfo`(3), "CACHE").
fn debuginfod_cache() -> Option<PathBuf> {
    let folder = |variable| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let in_home = || Some(folder("HOME")?.join(".cache"));
    folder("DEBUGINFOD_CACHE_PATH")
        .or_else(|| Some(folder("XDG_CACHE_HOME").or_else(in_home)?.join("debuginfod_client")))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::build_id::tests::note;
    use super::*;

    fn places(root: &Path) -> Places {
        Places { root: root.into(), release: "6.1-t".into(), debuginfod: Some("/cache".into()) }
    }

    fn id() -> BuildId {
        BuildId::from_notes(&note(b"GNU", 3, &[0xab, 0xcd, 0xef])).unwrap()
    }

    #[test]
    fn the_kernel_is_looked_for_where_distributions_put_it() {
        let paths = places(Path::new("/")).of_kernel(&id());
        let paths: Vec<_> = paths.iter().map(|path| path.to_str().unwrap()).collect();
        insta::assert_snapshot!(paths.join("\n"), @r"
        /usr/lib/debug/boot/vmlinux-6.1-t
        /usr/lib/debug/lib/modules/6.1-t/vmlinux
        /usr/lib/debug/usr/lib/modules/6.1-t/vmlinux
        /usr/lib/debug/usr/lib/modules/6.1-t/vmlinux.debug
        /lib/modules/6.1-t/vmlinux
        /lib/modules/6.1-t/build/vmlinux
        /boot/vmlinux-6.1-t
        /usr/lib/debug/.build-id/ab/cdef.debug
        /cache/abcdef/debuginfo
        ");
    }

    #[rstest]
    #[case::compressed("nf_tables", Some("kernel/net/netfilter/nf_tables.ko"))]
    #[case::dashes("ip_vs_rr", Some("kernel/net/ip-vs-rr.ko"))]
    #[case::no_folder("own", Some("/own.ko"))]
    #[case::not_a_part_of_a_name("tables", None)]
    fn a_modules_file_is_found_in_the_list(#[case] module: &str, #[case] expected: Option<&str>) {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("lib/modules/6.1-t");
        fs::create_dir_all(&folder).unwrap();
        let list = "kernel/net/netfilter/nf_tables.ko.xz: kernel/lib/crc32c.ko.xz\nkernel/net/ip-vs-rr.ko:\nown.ko:\n";
        fs::write(folder.join("modules.dep"), list).unwrap();
        assert_eq!(places(root.path()).file_of(module).as_deref(), expected);
    }

    #[test]
    fn a_module_is_known_by_its_build_id_first() {
        let paths = places(Path::new("/none")).of_module("x", &id());
        assert_eq!(paths[0], Path::new("/none/usr/lib/debug/.build-id/ab/cdef.debug"));
    }
}
