//! Namespaces that are bind-mounted somewhere: the `nsfs` lines of `/proc/self/mountinfo` (proc(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A network namespace and where it is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub inode: u32,
    pub point: PathBuf,
}

impl Mount {
    /// `NAME` for those of `ip netns` and CNI, `docker:ID` for docker's, else the file's name.
    pub(super) fn name(&self) -> String {
        let file =
            self.point.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let docker = self.point.parent().is_some_and(|folder| folder.ends_with(Path::new("docker/netns")));
        if docker { format!("docker:{file}") } else { file }
    }
}

/// The network namespaces among the mounts; lines of another form are passed over.
pub(super) fn namespaces(mountinfo: &[u8]) -> impl Iterator<Item = Mount> {
    mountinfo.split(|byte| *byte == b'\n').filter_map(mount)
}

/// `36 35 0:4 net:[4026532281] /run/netns/blue rw shared:19 - nsfs nsfs rw`
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let root = str::from_utf8(fields.nth(3)?).ok()?;
    let point = fields.next()?;
    fields.find(|field| *field == b"-")?;
    if fields.next()? != b"nsfs" {
        return None;
    }
    let inode = super::number(root.strip_prefix("net:")?)?;
    Some(Mount { inode, point: PathBuf::from(OsString::from_vec(unescape(point))) })
}

/// Blanks and backslashes are written in octal: `\040`.
pub(crate) fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let octal = (*first == b'\\').then(|| tail.get(..3)).flatten();
        let byte = octal.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        plain.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[3..] } else { tail };
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("36 35 0:4 net:[4026532281] /run/netns/blue rw shared:19 - nsfs nsfs rw", Some((4_026_532_281, "blue")))]
    #[case("36 35 0:4 net:[7] /var/run/netns/cni-1a2b rw - nsfs nsfs rw", Some((7, "cni-1a2b")))]
    #[case("36 35 0:4 net:[7] /run/docker/netns/3f2a rw - nsfs nsfs rw", Some((7, "docker:3f2a")))]
    #[case(r"36 35 0:4 net:[7] /run/netns/a\040b\134c rw - nsfs nsfs rw", Some((7, r"a b\c")))]
    #[case(r"36 35 0:4 net:[7] /run/netns/odd\9 rw - nsfs nsfs rw", Some((7, r"odd\9")))]
    #[case("36 35 0:4 mnt:[7] /run/snapd/ns/x rw - nsfs nsfs rw", None)]
    #[case("36 35 0:4 net:[7] /run/netns/fake rw - tmpfs tmpfs rw", None)]
    #[case("36 35 0:4 net:[x] /run/netns/x rw - nsfs nsfs rw", None)]
    #[case("36 35", None)]
    #[case("", None)]
    fn namespace_is_read(#[case] line: &str, #[case] expected: Option<(u32, &str)>) {
        let found = mount(line.as_bytes()).map(|mount| (mount.inode, mount.name()));
        assert_eq!(found, expected.map(|(inode, name)| (inode, name.to_owned())));
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            namespaces(&bytes).for_each(|mount| drop(mount.name()));
            let _ = unescape(&bytes);
        }
    }
}
