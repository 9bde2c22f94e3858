//! From looks at a namespace's sockets to how deep its listeners' queues were, and where its ports are taken. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use netdrop_common::tcp_state;

use crate::counters::tcp_limits::TcpLimits;
use crate::counters::tcp_sockets::TcpSocket;
use crate::model::tcp::{Depth, ListenerRow, NetnsPorts, PortPressure, TcpQueues};
use crate::model::{Endpoint, Netns};
use crate::order::InOrder as _;

/// Listeners that are gone are kept while there are fewer than so many.
const MOST_LISTENERS: usize = 4096;
/// Destinations that are told.
const DESTINATIONS: usize = 5;

/// What was seen of one network namespace.
#[derive(Debug)]
pub struct NetnsQueues {
    ports: NetnsPorts,
    listeners: BTreeMap<SocketAddr, ListenerRow>,
    pressure: Vec<PortPressure>,
}

/// Where a connection's requests (`SYN_RECV`) were seen: how many by the address that they came to.
pub type Requests = HashMap<SocketAddr, u32>;

/// What takes ports: local address, destination.
type Pair = (IpAddr, SocketAddr);

/// Counts the ports that connections take: one look's sockets are given to [`PortsInUse::add`], one by one.
#[derive(Debug, Default)]
pub struct PortsInUse {
    limits: TcpLimits,
    served: HashSet<u16>,
    /// Ports in use, and how many in `TIME_WAIT`.
    by_pair: HashMap<Pair, (u32, u32)>,
}

impl PortsInUse {
    /// Connections count whose local port is one of the range and is not `served`: those of a listener take no port.
    pub fn new(limits: TcpLimits, served: HashSet<u16>) -> Self {
        Self { limits, served, by_pair: HashMap::new() }
    }

    /// One more connection.
    pub fn add(&mut self, socket: &TcpSocket) {
        let port = socket.local.port();
        let is_taken = self.limits.range.is_some_and(|(first, last)| (first..=last).contains(&port))
            && !self.served.contains(&port);
        if is_taken {
            let (used, time_wait) = self.by_pair.entry((socket.local.ip(), socket.remote)).or_default();
            *used += 1;
            *time_wait += u32::from(socket.state == tcp_state::TIME_WAIT);
        }
    }
}

impl NetnsQueues {
    /// Nothing yet.
    pub fn new(netns: Arc<Netns>) -> Self {
        let ports = NetnsPorts {
            netns,
            time_wait: None,
            time_wait_limit: None,
            range: None,
            reserved: 0,
            samples: [0; 3],
            failed: None,
        };
        Self { ports, listeners: BTreeMap::new(), pressure: Vec::new() }
    }

    /// It can't be looked at (any more).
    pub fn fail(&mut self, why: String) {
        self.ports.failed = Some(why);
        self.listeners.values_mut().for_each(|listener| listener.is_open = false);
    }

    /// A look at all listeners.
    pub fn look_at_listeners(&mut self, found: &[TcpSocket]) {
        self.ports.samples[0] += 1;
        let before = std::mem::take(&mut self.listeners);
        let mut now: BTreeMap<SocketAddr, (u32, u32)> = BTreeMap::new();
        for socket in found {
            let row = self.listeners.entry(socket.local).or_insert_with(|| listener(&self.ports, socket));
            row.sockets += 1;
            let (waiting, limit) = now.entry(socket.local).or_default();
            *waiting = waiting.saturating_add(socket.receive_queue);
            *limit = limit.saturating_add(socket.send_queue);
        }
        for (address, mut old) in before {
            if let Some(row) = self.listeners.get_mut(&address) {
                (row.accept, row.syn) = (old.accept, old.syn);
            } else if (old.accept.most > 0 || old.syn.most > 0) && self.listeners.len() < MOST_LISTENERS {
                (old.is_open, old.accept.now, old.syn.now) = (false, 0, 0);
                self.listeners.insert(address, old);
            }
        }
        for (address, (waiting, limit)) in now {
            if let Some(row) = self.listeners.get_mut(&address) {
                row.limit = limit;
                row.accept.add(waiting, waiting > limit);
            }
        }
    }

    /// A look at all requests, after one at the listeners.
    pub fn look_at_requests(&mut self, requests: &Requests) {
        self.ports.samples[1] += 1;
        let mut waiting: HashMap<SocketAddr, u32> = HashMap::new();
        for (to, count) in requests {
            if let Some(listener) = self.listener_of(*to) {
                *waiting.entry(listener).or_default() += count;
            }
        }
        for (address, row) in self.listeners.iter_mut().filter(|(_, row)| row.is_open) {
            let depth = waiting.get(address).copied().unwrap_or(0);
            row.syn.add(depth, depth > 0 && depth >= row.limit);
        }
    }

    /// Who listens there: on the address itself, on any of its family, on any IPv6 address, which may take IPv4 as well.
    fn listener_of(&self, to: SocketAddr) -> Option<SocketAddr> {
        let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let any = if to.is_ipv4() { &any[..] } else { &any[1..] };
        let addresses = std::iter::once(to.ip()).chain(any.iter().copied());
        addresses
            .map(|address| SocketAddr::new(address, to.port()))
            .find(|address| self.listeners.get(address).is_some_and(|row| row.is_open))
    }

    /// Ports that somebody listens on.
    pub fn served(&self) -> HashSet<u16> {
        self.listeners.values().filter(|row| row.is_open).map(|row| row.local.port()).collect()
    }

    /// A look at limits.
    pub fn look_at_limits(&mut self, limits: &TcpLimits) {
        let most = self.ports.time_wait.map_or(0, |(_, most)| most);
        self.ports.time_wait = limits.time_wait.map(|now| (now, most.max(now)));
        self.ports.time_wait_limit = limits.time_wait_limit;
        (self.ports.range, self.ports.reserved) = (limits.range, limits.reserved);
    }

    /// A look at all connections.
    pub fn look_at_ports(&mut self, ports: PortsInUse) {
        self.ports.samples[2] += 1;
        self.look_at_limits(&ports.limits);
        let available = self.ports.available();
        let mut pairs: Vec<_> = ports.by_pair.into_iter().collect();
        let order = |(pair, (used, _)): &(Pair, (u32, u32))| (Reverse(*used), *pair);
        if pairs.len() > DESTINATIONS {
            pairs.select_nth_unstable_by_key(DESTINATIONS, order);
            pairs.truncate(DESTINATIONS);
        }
        pairs.order_by_key(order);
        self.pressure = pairs
            .into_iter()
            .map(|((local, remote), (used, time_wait))| PortPressure {
                netns: Arc::clone(&self.ports.netns),
                local,
                remote: Endpoint { address: remote.ip(), port: Some(remote.port()) },
                used,
                time_wait,
                available,
            })
            .collect();
    }

    /// What was seen so far.
    pub fn add_to(&self, queues: &mut TcpQueues) {
        queues.namespaces.push(self.ports.clone());
        queues.listeners.extend(self.listeners.values().cloned());
        queues.listeners.order_by_key(|row| {
            let depth = |depth: &Depth| (depth.full, depth.most);
            Reverse(depth(&row.accept).max(depth(&row.syn)))
        });
        queues.pressure.extend(self.pressure.iter().cloned());
        queues.pressure.order_by_key(|pair| Reverse(pair.used));
        queues.pressure.truncate(DESTINATIONS);
    }
}

fn listener(ports: &NetnsPorts, socket: &TcpSocket) -> ListenerRow {
    ListenerRow {
        netns: Arc::clone(&ports.netns),
        local: socket.local,
        sockets: 0,
        inode: socket.inode,
        owner: None,
        limit: 0,
        accept: Depth::default(),
        syn: Depth::default(),
        is_open: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn socket(state: u8, local: &str, remote: &str, receive_queue: u32, send_queue: u32) -> TcpSocket {
        let (local, remote) = (address(local), address(remote));
        TcpSocket { state, local, remote, receive_queue, send_queue, inode: 7 }
    }

    fn listener(local: &str, waiting: u32, limit: u32) -> TcpSocket {
        socket(tcp_state::LISTEN, local, "0.0.0.0:0", waiting, limit)
    }

    fn here() -> NetnsQueues {
        NetnsQueues::new(Arc::new(Netns::default()))
    }

    fn seen(queues: &NetnsQueues) -> TcpQueues {
        let mut all = TcpQueues::default();
        queues.add_to(&mut all);
        all
    }

    #[test]
    fn a_queue_is_full_with_more_than_its_limit() {
        let mut queues = here();
        for waiting in [0, 3, 128, 129] {
            queues.look_at_listeners(&[listener("0.0.0.0:80", waiting, 128)]);
        }
        let row = &seen(&queues).listeners[0];
        let accept = row.accept;
        assert_eq!((accept.samples, accept.now, accept.most, accept.full, row.limit), (4, 129, 129, 1, 128));
        assert_eq!((row.sockets, row.inode, row.is_open), (1, 7, true));
    }

    #[test]
    fn listeners_with_one_address_are_one() {
        let mut queues = here();
        for _ in 0..2 {
            queues.look_at_listeners(&[listener("0.0.0.0:80", 0, 128), listener("0.0.0.0:80", 5, 128)]);
        }
        let listeners = seen(&queues).listeners;
        assert_eq!(listeners.len(), 1);
        assert_eq!((listeners[0].sockets, listeners[0].limit, listeners[0].accept.now), (2, 256, 5));
    }

    #[rstest::rstest]
    #[case::itself(&["10.0.0.1:80", "0.0.0.0:80"], "10.0.0.1:80", Some("10.0.0.1:80"))]
    #[case::any(&["10.0.0.2:80", "0.0.0.0:80"], "10.0.0.1:80", Some("0.0.0.0:80"))]
    #[case::ipv4_to_both(&["[::]:80"], "10.0.0.1:80", Some("[::]:80"))]
    #[case::ipv6(&["0.0.0.0:80", "[::]:80"], "[2001:db8::1]:80", Some("[::]:80"))]
    #[case::not_ipv6_to_ipv4(&["0.0.0.0:80"], "[2001:db8::1]:80", None)]
    #[case::another_port(&["0.0.0.0:81"], "10.0.0.1:80", None)]
    fn a_request_belongs_to_the_nearest_listener(
        #[case] listeners: &[&str],
        #[case] to: &str,
        #[case] expected: Option<&str>,
    ) {
        let mut queues = here();
        let found: Vec<_> = listeners.iter().map(|local| listener(local, 0, 2)).collect();
        queues.look_at_listeners(&found);
        queues.look_at_requests(&Requests::from([(address(to), 2)]));
        queues.look_at_requests(&Requests::new());
        for row in seen(&queues).listeners {
            let most = if Some(row.local) == expected.map(address) { 2 } else { 0 };
            assert_eq!((row.syn.most, row.syn.now, row.syn.samples), (most, 0, 2), "{}", row.local);
            assert_eq!(row.syn.full, u64::from(most > 0));
        }
    }

    #[test]
    fn a_listener_that_is_gone_stays_if_anything_waited_there() {
        let mut queues = here();
        queues.look_at_listeners(&[listener("0.0.0.0:80", 4, 128), listener("0.0.0.0:81", 0, 128)]);
        queues.look_at_listeners(&[]);
        let listeners = seen(&queues).listeners;
        assert_eq!(listeners.len(), 1);
        assert_eq!((listeners[0].accept.most, listeners[0].accept.now, listeners[0].is_open), (4, 0, false));
        assert_eq!(seen(&queues).namespaces[0].samples, [2, 0, 0]);
    }

    #[test]
    fn ports_are_counted_by_local_address_and_destination() {
        let limits = TcpLimits {
            time_wait: Some(2),
            time_wait_limit: Some(8192),
            range: Some((1000, 1999)),
            reserved: 10,
        };
        let mut ports = PortsInUse::new(limits, HashSet::from([1080]));
        let established = tcp_state::ESTABLISHED;
        for (state, local, remote) in [
            (established, "10.0.0.1:1000", "10.0.0.2:80"),
            (tcp_state::TIME_WAIT, "10.0.0.1:1999", "10.0.0.2:80"),
            (tcp_state::TIME_WAIT, "10.0.0.1:1001", "10.0.0.2:81"),
            (established, "10.0.0.1:2000", "10.0.0.2:80"),
            (established, "10.0.0.1:1080", "10.0.0.9:40000"),
        ] {
            ports.add(&socket(state, local, remote, 0, 0));
        }
        let mut queues = here();
        queues.look_at_ports(ports);
        let seen = seen(&queues);
        let rows: Vec<_> = seen
            .pressure
            .iter()
            .map(|pair| (pair.remote.port, pair.used, pair.time_wait, pair.available))
            .collect();
        assert_eq!(rows, [(Some(80), 2, 1, 990), (Some(81), 1, 1, 990)]);
        assert_eq!(seen.namespaces[0].time_wait, Some((2, 2)));
    }

    #[test]
    fn only_the_worst_destinations_are_told() {
        let limits = TcpLimits { range: Some((1, 65535)), ..TcpLimits::default() };
        let mut ports = PortsInUse::new(limits, HashSet::new());
        for destination in 1..=20_u16 {
            for port in 1..=destination {
                let remote = format!("10.0.0.2:{destination}");
                ports.add(&socket(tcp_state::ESTABLISHED, &format!("10.0.0.1:{port}"), &remote, 0, 0));
            }
        }
        let mut queues = here();
        queues.look_at_ports(ports);
        let used: Vec<_> = seen(&queues).pressure.iter().map(|pair| pair.used).collect();
        assert_eq!(used, [20, 19, 18, 17, 16]);
    }
}
