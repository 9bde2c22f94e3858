//! Capability sets of the calling thread (capabilities(7)).

use std::collections::HashSet;

use caps::{CapSet, Capability};
use nix::libc;

use super::user::User;
use super::{Error, refused};

use crate::order::InOrder as _;

/// Becomes the user and keeps these capabilities of those that there are, and none else; gives what is left.
///
/// The thread must be the only one: the kernel's sets are a thread's own.
pub fn reduce(user: Option<User>, keep: &[Capability]) -> Result<Vec<Capability>, Error> {
    let refuse =
        |what| move |error: caps::errors::CapsError| Error::Refused { what, error: error.to_string().into() };
    let had = caps::read(None, CapSet::Permitted).map_err(refuse("capabilities can't be read"))?;
    let keep: HashSet<Capability> = keep.iter().copied().filter(|one| had.contains(one)).collect();
    if had.contains(&Capability::CAP_SETPCAP) {
        for other in caps::all().difference(&keep) {
            // Kernels know fewer than the library does: dropping one of those fails, and means nothing.
            let _ = caps::drop(None, CapSet::Bounding, *other);
        }
    }
    if let Some(user) = user {
        become_user(user, &had)?;
    }
    caps::clear(None, CapSet::Ambient).map_err(refuse("ambient capabilities can't be cleared"))?;
    caps::set(None, CapSet::Inheritable, &HashSet::new()).map_err(refuse("capabilities can't be dropped"))?;
    caps::set(None, CapSet::Effective, &keep).map_err(refuse("capabilities can't be dropped"))?;
    caps::set(None, CapSet::Permitted, &keep).map_err(refuse("capabilities can't be dropped"))?;
    let mut kept: Vec<_> = keep.into_iter().collect();
    kept.order_by_key(ToString::to_string);
    Ok(kept)
}

/// Without `CAP_SETUID` and `CAP_SETGID` a process stays who it is: systemd has made it the right one (`User=`), or a container
/// has kept it root without root's power.
fn become_user(User { uid, gid }: User, had: &HashSet<Capability>) -> Result<(), Error> {
    use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

    if !had.contains(&Capability::CAP_SETUID) || !had.contains(&Capability::CAP_SETGID) {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    // SAFETY: the call takes numbers only.
    if unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) } != 0 {
        return Err(refused("capabilities can't be kept across the change of user")(nix::Error::last()));
    }
    setgroups(&[]).map_err(refused("groups can't be left"))?;
    setresgid(gid, gid, gid).map_err(refused("the group can't be changed"))?;
    setresuid(uid, uid, uid).map_err(refused("the user can't be changed"))?;
    Ok(())
}

/// Nothing that is executed gets more than this process has (`PR_SET_NO_NEW_PRIVS`).
pub fn no_new_privileges() -> Result<(), Error> {
    // SAFETY: the call takes numbers only.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == 0 {
        return Ok(());
    }
    Err(refused("no_new_privs can't be set")(nix::Error::last()))
}
