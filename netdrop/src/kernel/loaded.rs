//! Which modules the kernel has loaded, and where: enough to tell that symbols were read before a change.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::io::Read as _;
use std::path::Path;

use super::privileged;

/// A line has some 60 bytes, and a kernel some hundred modules.
const LONGEST: u64 = 1 << 20;

/// The modules at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded(u64);

impl Loaded {
    /// Reads `/proc/modules` (proc(5)) below `root`: some 50 µs. None where there is no such file: a kernel without modules.
    pub fn read(root: &Path) -> Option<Self> {
        let file = privileged::open(&root.join("proc/modules")).ok()?;
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text).ok()?;
        Some(Self::parse(&text))
    }

    /// `name size references users state address`: a module's references change while it stays what it is.
    fn parse(text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        for line in text.lines() {
            let mut words = line.split(' ');
            (words.next(), words.next(), words.nth(3)).hash(&mut hasher);
        }
        Self(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const TUN: &str = "tun 61440 0 - Live 0xffffffffc0a00000";

    #[rstest]
    #[case::the_same("tun 61440 0 - Live 0xffffffffc0a00000", true)]
    #[case::in_use("tun 61440 2 vhost_net, Live 0xffffffffc0a00000", true)]
    #[case::elsewhere("tun 61440 0 - Live 0xffffffffc0b00000", false)]
    #[case::another_in_its_place("vrf 61440 0 - Live 0xffffffffc0a00000", false)]
    #[case::another_build("tun 65536 0 - Live 0xffffffffc0a00000", false)]
    #[case::one_more("tun 61440 0 - Live 0xffffffffc0a00000\nvrf 4096 0 - Live 0x0", false)]
    #[case::none("", false)]
    #[case::nonsense("tun", false)]
    fn a_change_of_the_modules_is_told(#[case] text: &str, #[case] same: bool) {
        assert_eq!(Loaded::parse(text) == Loaded::parse(TUN), same);
    }

    #[test]
    fn without_the_file_nothing_is_known() {
        assert_eq!(Loaded::read(Path::new("/nowhere")), None);
    }
}
