//! What systemd is told (`sd_notify(3)`), where it asks to be told: `NOTIFY_SOCKET`, `WATCHDOG_USEC`.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::debug;

/// Whoever is told reads soon; a manager that hangs must not hold up the daemon, and is told less.
const PATIENCE: Duration = Duration::from_millis(100);

/// Tells systemd.
#[derive(Debug)]
pub struct Notify {
    manager: Option<SocketAddr>,
    watchdog: Option<Interval>,
}

impl Notify {
    /// Finds out what is wanted.
    pub fn new() -> Self {
        let beat = |limit: Duration| {
            // Twice as often as needed, as sd_watchdog_enabled(3) advises.
            let mut beat = interval(limit / 2);
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            beat
        };
        let watchdog = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()).map(beat);
        let manager = std::env::var_os("NOTIFY_SOCKET").and_then(|path| address(&path).ok());
        Self { manager, watchdog }
    }

    /// All is up.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// The settings are being read again; [`Notify::ready`] ends it.
    pub fn reloading(&self) {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            self.tell(&[NotifyState::Reloading, now]);
        }
    }

    /// A line for `systemctl status`.
    pub fn status(&self, status: &str) {
        self.tell(&[NotifyState::Status(status)]);
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// Waits until the watchdog is to be told that the loop goes on; for ever where there is none.
    pub async fn beat(&mut self) {
        match &mut self.watchdog {
            Some(beat) => _ = beat.tick().await,
            None => std::future::pending().await,
        }
    }

    /// The loop goes on.
    pub fn alive(&self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    fn tell(&self, state: &[NotifyState<'_>]) {
        if let Some(manager) = &self.manager
            && let Err(error) = send(manager, state)
        {
            debug!("systemd can't be told: {error}");
        }
    }
}

/// A path, or the name of an abstract socket behind an `@` (`sd_notify(3)`).
fn address(path: &OsStr) -> io::Result<SocketAddr> {
    match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(path),
    }
}

/// As `sd_notify::notify`, which waits for as long as the manager doesn't read.
fn send(manager: &SocketAddr, state: &[NotifyState<'_>]) -> io::Result<()> {
    let mut message = String::new();
    for line in state {
        let _ = writeln!(message, "{line}");
    }
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(manager)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    // A datagram goes whole or not at all.
    socket.send(message.as_bytes()).map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_manager_that_hangs_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notify = Notify { manager: address(path.as_os_str()).ok(), watchdog: None };
        notify.tell(&[NotifyState::Reloading, NotifyState::Status("again")]);
        // Until its queue has no more room (net.unix.max_dgram_qlen).
        let (started, mut tells) = (Instant::now(), 0);
        loop {
            let before = Instant::now();
            notify.alive();
            tells += 1;
            if before.elapsed() >= PATIENCE {
                break;
            }
            assert!(tells < 100_000, "it has room for everything");
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        let mut bytes = [0; 64];
        let length = manager.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"RELOADING=1\nSTATUS=again\n");
    }

    #[test]
    fn an_abstract_socket_has_a_name() {
        assert_eq!(address("@manager".as_ref()).unwrap().as_abstract_name(), Some(&b"manager"[..]));
        assert!(address(OsStr::from_bytes(&[b'x'; 200])).is_err(), "longer than a path may be");
    }
}
