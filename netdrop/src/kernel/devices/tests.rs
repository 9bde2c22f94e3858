use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// Own namespace 7; process 5 in namespace 8.
fn namespaces() -> (tempfile::TempDir, Namespaces) {
    let root = tempfile::tempdir().unwrap();
    for (process, inode) in [("self", 7), ("5", 8)] {
        let folder = root.path().join("proc").join(process).join("ns");
        std::fs::create_dir_all(&folder).unwrap();
        symlink(format!("net:[{inode}]"), folder.join("net")).unwrap();
    }
    let mut namespaces = Namespaces::new(root.path());
    namespaces.refresh();
    (root, namespaces)
}

#[expect(clippy::unnecessary_wraps, reason = "it stands in for a listing that can fail")]
fn two_namespaces(path: Option<&Path>) -> io::Result<Vec<(u32, String)>> {
    Ok(match path {
        None => vec![(1, "lo".into()), (2, "eth0".into())],
        Some(_) => vec![(2, "veth1".into())],
    })
}

#[test]
fn an_index_means_another_device_in_another_namespace() {
    let (_root, namespaces) = namespaces();
    let mut devices = Devices::with(two_namespaces);
    let now = Instant::now();
    let mut name = |netns, index| devices.name(netns, index, &namespaces, now);
    assert_eq!(name(7, 2).as_deref(), Some("eth0"));
    assert_eq!(name(8, 2).as_deref(), Some("veth1"));
    assert_eq!(name(0, 1).as_deref(), Some("lo"), "a kernel without namespaces");
    assert_eq!(name(9, 2), None, "an unknown namespace");
    assert_eq!(name(7, 3), None);
}

#[test]
fn a_miss_storm_asks_once_a_second() {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let mut devices = Devices::with(|_| {
        ASKED.fetch_add(1, Ordering::Relaxed);
        Ok(vec![(1, "lo".into())])
    });
    let (_root, namespaces) = namespaces();
    let start = Instant::now();
    for millisecond in 0..3000 {
        assert_eq!(devices.name(7, 99, &namespaces, start + Duration::from_millis(millisecond)), None);
    }
    assert_eq!(ASKED.load(Ordering::Relaxed), 3);
    devices.name(7, 1, &namespaces, start + Duration::from_secs(31));
    assert_eq!(ASKED.load(Ordering::Relaxed), 3, "known names are believed for a while");
    devices.name(7, 1, &namespaces, start + Duration::from_secs(33));
    assert_eq!(ASKED.load(Ordering::Relaxed), 4, "and then asked for again");
}

#[test]
fn a_refused_listing_leaves_devices_unnamed() {
    let (_root, namespaces) = namespaces();
    let mut devices = Devices::with(|_| Err(io::ErrorKind::PermissionDenied.into()));
    assert_eq!(devices.name(8, 2, &namespaces, Instant::now()), None);
}

/// Needs no privileges: every Linux has a loopback device.
#[test]
fn the_own_namespace_has_a_loopback_device() {
    let names = list(None).unwrap();
    assert!(names.iter().any(|(_, name)| name == "lo"), "{names:?}");
}

#[test]
fn a_namespace_that_is_gone_is_an_error() {
    assert!(list(Some("/nowhere/ns/net".as_ref())).is_err());
    assert!(list(Some("/dev/null".as_ref())).is_err());
}
