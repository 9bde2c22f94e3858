//! Lines to a local service, a datagram each: what it doesn't take in time is counted, never waited for.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Destination;

/// A service that is busy gets so much time; the thread that writes waits, nobody else.
const PATIENCE: Duration = Duration::from_millis(100);

/// Turns a line of JSON, without its end, into a datagram; appends it.
pub type Dress = Box<dyn FnMut(&[u8], &mut Vec<u8>) + Send>;

/// Sends each line that it is given.
pub struct Datagrams {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    dress: Dress,
    /// Lines that were not taken.
    lost: Arc<AtomicU64>,
    message: Vec<u8>,
}

impl Datagrams {
    /// To the socket at `path`. It need not be there yet: services come and go.
    pub(super) fn new(path: &Path, dress: Dress, lost: Arc<AtomicU64>) -> Self {
        Self { path: path.to_owned(), socket: None, dress, lost, message: Vec::new() }
    }

    fn send(&mut self) -> io::Result<()> {
        let socket = match &self.socket {
            Some(socket) => socket,
            None => self.socket.insert(connect(&self.path)?),
        };
        socket.send(&self.message).map(drop)
    }

    /// Once more by a new connection, where the service was started again; not where it is just busy.
    fn deliver(&mut self) {
        let busy =
            |error: &io::Error| matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        let sent = self.send().or_else(|error| {
            if busy(&error) {
                return Err(error);
            }
            self.socket = None;
            self.send()
        });
        if sent.is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

impl Write for Datagrams {
    /// Takes whole lines.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.message.clear();
            (self.dress)(line, &mut self.message);
            self.deliver();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Destination for Datagrams {}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(path: &Path) -> (Datagrams, Arc<AtomicU64>) {
        let lost = Arc::<AtomicU64>::default();
        let dress: Dress = Box::new(|line, out| out.extend_from_slice(line));
        (Datagrams::new(path, dress, Arc::clone(&lost)), lost)
    }

    fn received(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn each_line_is_a_datagram_also_after_the_service_was_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (mut datagrams, lost) = plain(&path);
        datagrams.write_all(b"nobody\n").unwrap();
        assert_eq!(lost.load(Ordering::Relaxed), 1);
        for _ in 0..2 {
            let service = UnixDatagram::bind(&path).unwrap();
            datagrams.write_all(b"a\nb\n").unwrap();
            assert_eq!([received(&service), received(&service)], ["a", "b"]);
            std::fs::remove_file(&path).unwrap();
        }
        assert_eq!(lost.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_service_that_does_not_read_costs_lines_and_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let _service = UnixDatagram::bind(&path).unwrap();
        let (mut datagrams, lost) = plain(&path);
        // More than net.unix.max_dgram_qlen has room for, by default 10 and on no system near this many.
        let mut sent = 0;
        while lost.load(Ordering::Relaxed) == 0 && sent < 10_000 {
            datagrams.write_all(b"x\n").unwrap();
            sent += 1;
        }
        assert_eq!(lost.load(Ordering::Relaxed), 1);
    }
}
