//! What a daemon knows by a number or an address is another thing's by and by: namespaces and modules come and go.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::ops::Deref;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{tun, tunnel};
use crate::daemon::Daemon;
use crate::lab::guest::Module;
use crate::lab::{Folder, Lab, Namespace, until};
use crate::runner::Bench;
use crate::scenario::System;

pub(super) const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const DROPS: &str = "netdrop_drops_total";
/// A port that nobody else sends to, where nobody listens.
pub(super) const PORT: u16 = 47_322;
const NOBODY: u32 = 65_534;
const COUNT: u64 = 5;

pub fn table() -> Vec<System> {
    vec![
        System::new("lasting-module-in-the-place-of-another", another_module),
        System::new("lasting-namespace-with-the-number-of-another", another_namespace),
    ]
}

/// A daemon with a folder for what it writes, and a socket for what it tells systemd.
pub(super) struct Served<'n> {
    pub daemon: Daemon<'n>,
    folder: Folder,
    notified: UnixDatagram,
}

impl<'n> Served<'n> {
    /// Of these settings; a log may be at `FOLDER/log`.
    pub fn start(bench: &Bench, namespace: &'n Namespace, settings: &str) -> Result<Self> {
        let folder = Folder::create()?;
        // Whom the daemon becomes where there is no user netdrop: the kernel's overflow user.
        chown(folder.file(""), Some(NOBODY), Some(NOBODY))?;
        let path = folder.file("notify");
        let notified = UnixDatagram::bind(&path)?;
        // As systemd's own: everybody may write.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777))?;
        let settings = settings.replace("FOLDER", folder.file("").trim_end_matches('/'));
        let address = SocketAddr::from(([127, 0, 0, 1], 13_767));
        let daemon = Daemon::start_with(bench, namespace, address, &settings, |command| {
            command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1000000");
        })?;
        Ok(Self { daemon, folder, notified })
    }

    /// Waits until systemd's watchdog is told that the daemon lives, from now on.
    pub fn lives(&self) -> Result<()> {
        let mut bytes = [0; 512];
        self.notified.set_nonblocking(true)?;
        while self.notified.recv(&mut bytes).is_ok() {}
        self.notified.set_nonblocking(false)?;
        self.notified.set_read_timeout(Some(PATIENCE))?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let length = self.notified.recv(&mut bytes).context("the watchdog hears nothing")?;
            if bytes[..length].starts_with(b"WATCHDOG=1") {
                return Ok(());
            }
        }
        anyhow::bail!("the watchdog hears other things alone")
    }

    /// The lines of its log so far.
    pub fn log(&self) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(self.folder.file("log"))?;
        // The last may be on its way.
        Ok(text.split_inclusive('\n').filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Ends it, and gives the folder that it wrote to.
    pub fn stop(self) -> Result<Folder> {
        self.daemon.stop()?;
        Ok(self.folder)
    }
}

impl<'n> Deref for Served<'n> {
    type Target = Daemon<'n>;

    fn deref(&self) -> &Self::Target {
        &self.daemon
    }
}

/// Waits until exactly so many are told; more are a failure.
#[expect(
    clippy::float_cmp,
    clippy::cast_precision_loss,
    reason = "counts of packets are whole, and far from 2^52"
)]
pub(super) fn told(daemon: &Daemon, metric: &str, labels: &[&str], wanted: u64) -> Result<()> {
    let mut last = 0.0;
    until("the drops to be told", PATIENCE, || {
        last = daemon.metric(metric, labels)?;
        ensure!(last <= wanted as f64, "more are told");
        Ok((last == wanted as f64).then_some(()))
    })
    .with_context(|| format!("{metric} {labels:?} is {last}, and {wanted} happened"))
}

/// Drops in the namespace.
pub(super) fn drops(namespace: &Namespace, count: u64) -> Result<()> {
    let socket = namespace.enter(|| Ok(UdpSocket::bind("127.0.0.1:0")?))?;
    for _ in 0..count {
        socket.send_to(b"hey", ("127.0.0.1", PORT))?;
    }
    Ok(())
}

/// One goes and another comes after the daemon has read the kernel's symbols, most often to the same place.
fn another_module(bench: &Bench) -> Result<()> {
    let modules = [Module::of_guest("vxlan")?, Module::of_guest("tun")?];
    let [vxlan, tun] = &modules;
    tun.unload()?;
    let home = Lab::alone()?;
    let served = Served::start(
        bench,
        &home.receiver,
        "[capture.only]\nport = ['9', '4789']\n[capture]\nrate = 1000\n",
    )?;
    let first = vxlan.place()?.context("it is loaded")?;
    expect(&served, tunnel::unknown_network(COUNT)?.send(), "vxlan_rcv", "vxlan", COUNT)?;
    vxlan.unload()?;
    tun.load()?;
    let second = tun.place()?.context("it was loaded")?;
    println!("        vxlan was at {first:#x}, tun is at {second:#x}");
    expect(&served, tun::refused_address(COUNT)?.send(), "tun_net_xmit", "tun", COUNT)?;
    vxlan.load()?;
    expect(&served, tunnel::unknown_network(COUNT)?.send(), "vxlan_rcv", "vxlan", 2 * COUNT)?;
    told(&served, DROPS, &[], 3 * COUNT)?;
    served.stop().map(drop)
}

/// After `sent`, all that the function of the module has dropped bears both their names.
fn expect(daemon: &Daemon, sent: Result<()>, function: &str, module: &str, count: u64) -> Result<()> {
    sent?;
    told(daemon, DROPS, &[&format!("function=\"{function}\"")], count)?;
    until("the drops in detail", PATIENCE, || {
        let answer = daemon.get(&format!("/api/v1/drops?function={function}"))?;
        let mut answer: Value = serde_json::from_str(&answer.body).with_context(|| answer.body.clone())?;
        let drops: Vec<Value> = serde_json::from_value(answer["drops"].take())?;
        let named = drops.iter().filter(|drop| drop["module"] == module).count() as u64;
        ensure!(named == drops.len() as u64, "of another module than {module}: {drops:?}");
        Ok((named == count).then_some(()))
    })
}

/// The kernel gives the number of a namespace that is gone to another one by and by. And one that the daemon has looked into does end.
fn another_namespace(bench: &Bench) -> Result<()> {
    let home = Lab::alone()?;
    let settings = format!("[metrics]\nlabels = ['reason', 'netns']\n[capture.only]\nport = ['{PORT}']\n");
    let served = Served::start(bench, &home.receiver, &settings)?;
    let mut gone: HashMap<u64, (String, u64)> = HashMap::new();
    let (former, told_before) = until("a number to be another's", PATIENCE * 2, || {
        let namespace = Namespace::create("one")?;
        namespace.ip(&[&format!("link add v0 type veth peer name p0 netns {}", home.receiver.name())])?;
        let count = named(&served, &namespace)?;
        let former = gone.insert(namespace.inode(), (namespace.name().to_owned(), count));
        drop(namespace);
        // Its links go with it.
        until("the namespace to end", PATIENCE, || {
            let links = home.receiver.devices()?;
            Ok((!links.iter().any(|(_, name)| name == "p0")).then_some(()))
        })?;
        Ok(former)
    })?;
    // Of those that the next one dropped, not one is said to be its.
    told(&served, DROPS, &[&format!("netns=\"{former}\"")], told_before)?;
    served.stop().map(drop)
}

/// Drops in the namespace until some bear its name; new ones are looked for once a second, and until then they have its number. Tells how
/// many bear its name.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of packets")]
fn named(daemon: &Daemon, namespace: &Namespace) -> Result<u64> {
    let sum =
        |label: &str| -> Result<u64> { Ok(daemon.metric(DROPS, &[&format!("netns=\"{label}\"")])? as u64) };
    let numbered = || sum(&namespace.inode().to_string());
    let before = numbered()?;
    let mut sent = 0;
    until(&format!("drops of {}", namespace.name()), PATIENCE, || {
        drops(namespace, COUNT)?;
        sent += COUNT;
        until("all to be told", PATIENCE, || {
            let all = sum(namespace.name())? + numbered()? - before;
            ensure!(all <= sent, "{all} of {sent}");
            Ok((all == sent).then_some(()))
        })
        .with_context(|| {
            format!("{} + {} of {sent}", sum(namespace.name()).unwrap_or(0), numbered().unwrap_or(0))
        })?;
        let named = sum(namespace.name())?;
        Ok((named > 0).then_some(named))
    })
}
