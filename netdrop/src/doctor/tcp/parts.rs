//! What TCP's checks look at: listeners, connections, ports.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use netdrop_common::tcp_state;

use crate::counters::inet_sockets::{self, InetSocket, Listed, Which};
use crate::counters::tcp_connections::{self, Connection};
use crate::counters::tcp_limits::TcpLimits;
use crate::counters::tcp_sockets::{States, TcpSockets};
use crate::doctor::{Part, Place, Unread};
use crate::model::Netns;
use crate::model::tcp::{PortPressure, TcpQueues};
use crate::tcp::queues::{NetnsQueues, PortsInUse as Counting};

/// So many sockets are looked at of each family, for their ports: twice as many as there are ports, and some 60 ms.
const MOST: usize = 131_072;

/// TCP's listeners.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listeners(pub Vec<InetSocket>);

impl Part for Listeners {
    const FROM: &'static str = "sock_diag (ss -ltmn)";

    fn read(_: &Place) -> Result<Self, Unread> {
        inet_sockets::read(Which::TcpListeners).map(Self).map_err(|error| Unread::io(Self::FROM, &error))
    }
}

/// TCP's connections that data may come in; of very many, some thousands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connections(pub Listed<Connection>);

impl Connections {
    /// As they were, to be asked for each of those at the end.
    pub fn earlier(&self) -> Earlier<'_> {
        let by_cookie = self.0.all.iter().map(|one| (one.socket.socket.cookie, one)).collect();
        Earlier { by_cookie, is_cut: self.0.is_cut }
    }
}

/// The connections at the start.
#[derive(Debug)]
pub struct Earlier<'a> {
    by_cookie: HashMap<u64, &'a Connection>,
    is_cut: bool,
}

impl Earlier<'_> {
    /// What `of` tells of the same connection at the start; zero of one that began since. Nothing where not all were listed: one that is
    /// missing may be old, and what it ever counted isn't of the window.
    pub fn was<T: Default>(&self, connection: &Connection, of: impl Fn(&Connection) -> T) -> Option<T> {
        match self.by_cookie.get(&connection.socket.socket.cookie) {
            Some(was) => Some(of(was)),
            None => (!self.is_cut).then(T::default),
        }
    }
}

impl Part for Connections {
    const FROM: &'static str = "sock_diag (ss -tmino)";

    fn read(_: &Place) -> Result<Self, Unread> {
        tcp_connections::read().map(Self).map_err(|error| Unread::io(Self::FROM, &error))
    }
}

/// Ports that connections take, and connections that are being opened.
#[derive(Debug, Clone, Default)]
pub struct PortsInUse {
    /// Where most ports are taken, first; a few.
    pub pressure: Vec<PortPressure>,
    /// The range, and what else is limited.
    pub limits: TcpLimits,
    /// Ports that somebody listens on.
    pub served: HashSet<u16>,
    /// Connections to these that wait for the first answer.
    pub asking: BTreeMap<SocketAddr, u32>,
    /// Connections to these of ours that wait for the last segment of the handshake.
    pub asked: BTreeMap<SocketAddr, u32>,
}

impl Part for PortsInUse {
    const FROM: &'static str = "sock_diag (ss -tan)";
    const AT_END: bool = true;

    fn read(place: &Place) -> Result<Self, Unread> {
        let failed = |error| Unread::io(Self::FROM, &error);
        let mut sockets = TcpSockets::open().map_err(failed)?;
        let mut ports = Self { limits: TcpLimits::read(&place.path("/proc")), ..Self::default() };
        sockets
            .list(States::LISTEN, |listener| {
                ports.served.insert(listener.local.port());
            })
            .map_err(failed)?;
        let mut counting = Counting::new(ports.limits, ports.served.clone());
        sockets
            .list_most(States::CONNECTED_OR_ASKED, MOST, |socket| match socket.state {
                tcp_state::SYN_RECV => *ports.asked.entry(socket.local).or_default() += 1,
                state => {
                    counting.add(&socket);
                    if state == tcp_state::SYN_SENT {
                        *ports.asking.entry(socket.remote).or_default() += 1;
                    }
                }
            })
            .map_err(failed)?;
        let (mut queues, mut all) = (NetnsQueues::new(Arc::new(Netns::default())), TcpQueues::default());
        queues.look_at_ports(counting);
        queues.add_to(&mut all);
        ports.pressure = all.pressure;
        Ok(ports)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::counters::tcp_connections::tests::made as connection;

    #[test]
    fn of_a_list_that_was_cut_none_is_taken_for_new() {
        let [mut old, other] = [7, 8].map(|inode| connection("10.0.0.1:80", "192.0.2.7:40000", inode));
        old.info.received = 99;
        let was = |is_cut, one| {
            let before = Connections(Listed { all: vec![old.clone()], is_cut });
            before.earlier().was(one, |one| one.info.received)
        };
        assert_eq!((was(false, &old), was(false, &other)), (Some(99), Some(0)));
        assert_eq!((was(true, &old), was(true, &other)), (Some(99), None));
    }

    #[test]
    fn our_own_ports_are_found() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let clients: Vec<_> =
            (0..3).map(|_| TcpStream::connect(server.local_addr().unwrap()).unwrap()).collect();
        let ports = PortsInUse::read(&Place::new("/")).unwrap();
        assert!(ports.served.contains(&server.local_addr().unwrap().port()));
        assert!(ports.limits.range.is_some() && !clients.is_empty());
        let to = server.local_addr().unwrap();
        // Others of this host may take more.
        if let Some(pair) = ports.pressure.iter().find(|pair| pair.remote.port == Some(to.port())) {
            assert!(pair.used >= 3, "{pair:?}");
        }
    }
}
