//! The sockets, opened while the process may still do so.

use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io::ErrorKind};

use super::counters::Counters;
use super::{Address, HttpError, Secrets, Settings};

/// Who owns the socket, and its group, may connect.
const SOCKET_MODE: u32 = 0o660;

/// Open sockets, certificate and token: what needs no privileges any more.
#[derive(Debug)]
pub struct Bound {
    pub(super) sockets: Vec<Socket>,
    pub(super) secrets: Secrets,
    pub(super) settings: Settings,
    pub(super) counters: Arc<Counters>,
}

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// The path of a unix socket: its file goes with it.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // In a sandbox it may stay; the next start finds that nobody listens, and takes it.
        let _ = fs::remove_file(&self.0);
    }
}

/// Checks the settings, reads certificate and token, and opens the sockets.
///
/// # Errors
/// Names the address or file, the cause and the next step.
pub fn bind(settings: &Settings) -> Result<Bound, HttpError> {
    let secrets = Secrets::load(settings)?;
    let sockets = settings.listen.iter().map(open).collect::<Result<_, _>>()?;
    Ok(Bound { sockets, secrets, settings: settings.clone(), counters: Arc::default() })
}

impl Bound {
    /// Where it listens, with the ports that the kernel chose.
    pub fn addresses(&self) -> Vec<Address> {
        self.sockets.iter().map(Socket::address).collect()
    }

    /// A handle to read certificate and token again.
    pub fn secrets(&self) -> Secrets {
        self.secrets.clone()
    }

    /// What the server counts of itself.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }
}

fn open(address: &Address) -> Result<Socket, HttpError> {
    let opened = match address {
        Address::Tcp(address) => TcpListener::bind(address).map(Socket::Tcp),
        Address::Unix(path) => unix(path).map(|socket| Socket::Unix(socket, SocketFile(path.clone()))),
    };
    let opened = opened.and_then(Socket::without_blocking);
    opened.map_err(|error| HttpError::Bind { address: address.clone(), error })
}

impl Socket {
    pub(super) fn address(&self) -> Address {
        match self {
            Self::Tcp(listener) => {
                Address::Tcp(listener.local_addr().expect("a bound socket has an address (getsockname(2))"))
            }
            Self::Unix(_, file) => Address::Unix(file.0.clone()),
        }
    }

    fn without_blocking(self) -> io::Result<Self> {
        match &self {
            Self::Tcp(listener) => listener.set_nonblocking(true)?,
            Self::Unix(listener, _) => listener.set_nonblocking(true)?,
        }
        Ok(self)
    }
}

/// A socket that a daemon left behind is replaced; one on which somebody listens is not, and neither is any other file.
fn unix(path: &Path) -> io::Result<UnixListener> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket {
        match UnixStream::connect(path) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path)?,
            _ => return Err(ErrorKind::AddrInUse.into()),
        }
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen_on(address: Address) -> Result<Bound, HttpError> {
        bind(&Settings { listen: vec![address], ..Settings::default() })
    }

    #[test]
    fn an_address_in_use_is_named_with_a_way_out() {
        let first = listen_on("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.addresses()[0].clone();
        let error = listen_on(address.clone()).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()) && error.contains("ss -ltnp"), "{error}");
    }

    #[test]
    fn an_address_of_no_interface_is_named() {
        let settings =
            Settings { listen: vec!["192.0.2.1:1".parse().unwrap()], insecure: true, ..Settings::default() };
        let error = bind(&settings).unwrap_err().to_string();
        assert!(error.contains("192.0.2.1:1") && error.contains("ip address"), "{error}");
    }

    #[test]
    fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        // Dropping a listener leaves its file.
        drop(UnixListener::bind(&path).unwrap());
        let bound = listen_on(Address::Unix(path.clone())).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, SOCKET_MODE);
        let error = listen_on(Address::Unix(path.clone())).unwrap_err().to_string();
        assert!(error.contains("http.sock") && error.contains("in use"), "{error}");
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn another_file_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        fs::write(&path, "precious").unwrap();
        listen_on(Address::Unix(path.clone())).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn what_is_reachable_needs_protection() {
        let error = listen_on("0.0.0.0:0".parse().unwrap()).unwrap_err();
        assert!(matches!(error, HttpError::Open(_)), "{error}");
    }
}
