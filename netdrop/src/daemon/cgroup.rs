//! A cgroup of netdrop's own for a command: all sockets that the command and its children make belong to it, and the kernel
//! tells them by it, however short they live.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::owner::own_cgroup;

/// A v2 cgroup below the one that netdrop runs in, so that its limits hold for the command as well. Removed when this is dropped;
/// what still runs in it goes up to netdrop's.
#[derive(Debug)]
pub struct Cgroup {
    folder: PathBuf,
    id: u64,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No cgroup v2.
    #[error(
        "no cgroup v2 hierarchy is mounted, by which the sockets of a command are told; mount one (`mount -t cgroup2 none /sys/fs/cgroup/unified`) or use --scope netns"
    )]
    Unmounted,
    /// The folder can't be made.
    #[error("can't make the cgroup {}: {error}; use --scope netns or system", folder.display())]
    Make {
        /// Which.
        folder: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

impl Cgroup {
    /// Makes it, on the system whose file systems are mounted below `root`.
    ///
    /// # Errors
    /// Where there is no cgroup v2, or it may not be changed.
    pub fn create(root: &Path) -> Result<Self, CgroupError> {
        let folder = own_cgroup(root).ok_or(CgroupError::Unmounted)?;
        let folder = folder.join(format!("netdrop-run-{}", std::process::id()));
        let made = fs::create_dir(&folder).and_then(|()| fs::metadata(&folder));
        match made {
            // The id of a cgroup is the inode number of its folder (kernfs).
            Ok(metadata) => Ok(Self { folder, id: metadata.ino() }),
            Err(error) => Err(CgroupError::Make { folder, error }),
        }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The kernel's number for it.
    pub fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let members = |folder: &Path| folder.join("cgroup.procs");
        if let (Ok(left), Some(parent)) = (fs::read_to_string(members(&self.folder)), self.folder.parent()) {
            for pid in left.lines() {
                let _ = fs::write(members(parent), pid);
            }
        }
        let _ = fs::remove_dir(&self.folder);
    }
}
