//! The user to become. `/etc/passwd` is read as it is: a static binary has no other sources of names (nsswitch.conf(5)).

use std::fs;
use std::path::Path;

use super::Error;

/// Where there is no such user: the kernel's own overflow ids, those of `nobody` (`kernel.overflowuid`).
const NOBODY: User = User { uid: 65534, gid: 65534 };

/// Numbers, as the kernel takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

impl User {
    /// By name or as `UID:GID`; `None` where nobody is to be become.
    pub fn find(root: &Path, name: &str) -> Result<Option<Self>, Error> {
        if name.is_empty() {
            return Ok(None);
        }
        if let Some((uid, gid)) = name.split_once(':') {
            let numbers = uid.parse().ok().zip(gid.parse().ok());
            let (uid, gid) = numbers.ok_or_else(|| Error::User(name.into()))?;
            return Ok(Some(Self { uid, gid }));
        }
        let users = fs::read_to_string(root.join("etc/passwd")).unwrap_or_default();
        match users.lines().find_map(|line| user(line, name)) {
            Some(user) => Ok(Some(user)),
            None if name == super::Settings::default().user => Ok(Some(NOBODY)),
            None => Err(Error::User(name.into())),
        }
    }
}

/// `name:password:uid:gid:…`
fn user(line: &str, name: &str) -> Option<User> {
    let mut fields = line.split(':');
    if fields.next()? != name {
        return None;
    }
    Some(User { uid: fields.nth(1)?.parse().ok()?, gid: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", None)]
    #[case("daemon", Some((1, 2)))]
    #[case("7:8", Some((7, 8)))]
    #[case("netdrop", Some((65534, 65534)))]
    fn users_are_found(#[case] name: &str, #[case] expected: Option<(u32, u32)>) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/passwd"), "daemons:x:3:4::/:\nbroken\ndaemon:x:1:2:d:/:/bin/sh\n")
            .unwrap();
        let found = User::find(root.path(), name).unwrap();
        assert_eq!(found, expected.map(|(uid, gid)| User { uid, gid }));
    }

    #[rstest]
    #[case("nosuch")]
    #[case("1:x")]
    fn who_is_nobody_is_an_error(#[case] name: &str) {
        let root = tempfile::tempdir().unwrap();
        let error = User::find(root.path(), name).unwrap_err().to_string();
        assert!(error.contains(&format!("user = \"{name}\" is no user")), "{error}");
    }
}
