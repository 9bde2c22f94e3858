//! From listening sockets to requests: who is let in, and for how long.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::TcpUserTimeout;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::counters::{CONNECTION, Counters, HANDSHAKE_FAILED, REFUSED};
use super::guard::Door;
use super::listen::{Bound, Socket};
use super::patience::Patient;
use super::router::routes;
use super::{HttpError, Secrets, Served, Settings};

/// The head of a request: more is refused with 431. hyper takes no less than 8 KiB.
const HEAD_BYTES: usize = 16 << 10;
/// Its headers.
const HEADERS: usize = 64;
/// Time that open connections have to end.
const FAREWELL: Duration = Duration::from_secs(1);
/// Time after which another connection is tried when the process has no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// A stream of bytes, whatever carries it.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// What every connection needs.
#[derive(Clone)]
struct Server {
    secrets: Secrets,
    settings: Arc<Settings>,
    counters: Arc<Counters>,
    slots: Arc<Semaphore>,
    /// Closed when the server ends.
    ending: watch::Receiver<()>,
}

pub(super) async fn run(
    bound: Bound,
    served: Served,
    shutdown: impl Future<Output = ()>,
) -> Result<(), HttpError> {
    let Bound { sockets, secrets, settings, counters } = bound;
    let (end, ending) = watch::channel(());
    let door = Door { secrets: secrets.clone(), counters: Arc::clone(&counters), only_local_names: false };
    let routes = routes(served, &settings, ending.clone());
    let for_tcp = door.before(routes.clone(), settings.is_local());
    let for_unix = door.before(routes, false);
    let slots = Arc::new(Semaphore::new(settings.max_connections));
    let host = Server { secrets, settings: Arc::new(settings), counters, slots, ending };
    let mut listeners = JoinSet::new();
    // Their files go when all is over.
    let mut files = Vec::new();
    for socket in sockets {
        let address = socket.address();
        let failed = |error| HttpError::Bind { address, error };
        match socket {
            Socket::Tcp(listener) => {
                let listener = TcpListener::from_std(listener).map_err(failed)?;
                listeners.spawn(host.clone().accept_tcp(listener, for_tcp.clone()));
            }
            Socket::Unix(listener, file) => {
                files.push(file);
                let listener = UnixListener::from_std(listener).map_err(failed)?;
                listeners.spawn(host.clone().accept_unix(listener, for_unix.clone()));
            }
        }
    }
    drop(host);
    shutdown.await;
    drop(end);
    // Whoever is not done by then is aborted with its set.
    let _ = timeout(FAREWELL, async { while listeners.join_next().await.is_some() {} }).await;
    Ok(())
}

impl Server {
    async fn accept_tcp(self, listener: TcpListener, router: Router) {
        let mut connections = JoinSet::new();
        let mut ending = self.ending.clone();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        self.set_up(&stream);
                        self.welcome(stream, self.secrets.tls(), &router, &mut connections);
                    }
                    Err(error) => pause(&error).await,
                },
                Some(_) = connections.join_next() => {}
                _ = ending.changed() => break,
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    /// Without TLS: nobody else can listen to it.
    async fn accept_unix(self, listener: UnixListener, router: Router) {
        let mut connections = JoinSet::new();
        let mut ending = self.ending.clone();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.welcome(stream, None, &router, &mut connections),
                    Err(error) => pause(&error).await,
                },
                Some(_) = connections.join_next() => {}
                _ = ending.changed() => break,
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    /// Answers wait for nothing, and a client whose machine has gone is given up like one that doesn't read.
    fn set_up(&self, stream: &TcpStream) {
        let limit = u32::try_from(self.settings.write_timeout.as_millis()).unwrap_or(u32::MAX);
        let set = stream.set_nodelay(true);
        let set = set.and_then(|()| Ok(setsockopt(stream, TcpUserTimeout, &limit)?));
        if let Err(error) = set {
            debug!("http: an option of a connection can't be set: {error}");
        }
    }

    /// Serves the connection in a task, or closes it at once.
    fn welcome(
        &self,
        stream: impl Stream,
        tls: Option<tokio_rustls::TlsAcceptor>,
        router: &Router,
        connections: &mut JoinSet<()>,
    ) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            self.counters.count(REFUSED);
            return;
        };
        let (server, router) = (self.clone(), router.clone());
        connections.spawn(async move {
            match tls {
                None => server.serve(stream, router).await,
                Some(tls) => match timeout(server.settings.header_timeout, tls.accept(stream)).await {
                    Ok(Ok(stream)) => server.serve(stream, router).await,
                    _ => server.counters.count(HANDSHAKE_FAILED),
                },
            }
            drop(slot);
        });
    }

    async fn serve(mut self, stream: impl Stream, router: Router) {
        self.counters.count(CONNECTION);
        let io = TokioIo::new(Patient::new(stream, self.settings.write_timeout));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.settings.header_timeout)
            .max_buf_size(HEAD_BYTES)
            .max_headers(HEADERS)
            .serve_connection(io, TowerToHyperService::new(router));
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            _ = self.ending.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            debug!("http: a connection ended: {error}");
        }
    }
}

/// A client that has gone before it was accepted is no matter. Without descriptors, trying at once would only turn in circles.
async fn pause(error: &io::Error) {
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    warn!("http: can't accept connections: {error}");
    sleep(PAUSE).await;
}
