//! Why the server can't serve.

use std::io;
use std::path::PathBuf;

use super::Address;

/// Why the server can't be started, or its secrets can't be read again.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// One half of a pair.
    #[error("http: `{have}` is set and `{lacks}` is not: TLS needs both, a certificate and its key")]
    Half {
        /// What is there.
        have: &'static str,
        /// What isn't.
        lacks: &'static str,
    },
    /// Everybody could read.
    #[error(
        "http: refused to listen on {0}: it is reachable from other machines, and who reads there learns addresses of this one's packets. Set tls_cert, tls_key and token_file; or insecure = true, if something else protects it"
    )]
    Open(Address),
    /// A limit that makes no sense.
    #[error("http: `{name}` {why}")]
    Limit {
        /// Which.
        name: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// The address can't be listened on.
    #[error("http: can't listen on {address}: {error}{}", next_step(error))]
    Bind {
        /// Where.
        address: Address,
        /// Why not.
        error: io::Error,
    },
    /// A file can't be read.
    #[error("http: can't read {what} {}: {error}", path.display())]
    File {
        /// Which of the settings names it.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A file has not what it should.
    #[error("http: {what} {} {why}", path.display())]
    Content {
        /// Which of the settings names it.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

fn next_step(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            " (another process listens there, see `ss -ltnp`; choose another with `listen`)"
        }
        io::ErrorKind::AddrNotAvailable => " (no interface has this address, see `ip address`)",
        io::ErrorKind::PermissionDenied => {
            " (ports below 1024 need CAP_NET_BIND_SERVICE; a unix socket needs a folder that can be written)"
        }
        io::ErrorKind::NotFound => " (the socket's folder doesn't exist)",
        _ => "",
    }
}
