//! `--by`: what rows of events are told apart by.

use std::sync::Arc;

use clap::ValueEnum;

use crate::model::tcp::TcpEvent;
use crate::model::{Endpoint, Owner, OwnerName, Workload};

/// One thing to tell events apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dimension {
    /// Local and remote address and port
    Flow,
    /// Remote address
    Remote,
    /// Local address
    Local,
    /// Local port
    Port,
    /// Remote port
    RemotePort,
    /// The process that has the socket, or had it
    Owner,
    /// The container, pod or unit of the owner, else of the namespace
    Container,
    /// The route's device
    Device,
    /// The network namespace
    Netns,
    /// What kind it is: what made TCP send again; of resets whether it was sent, why, in which state
    Type,
}

/// A set of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct By(u16);

impl By {
    /// Whether rows differ by it.
    pub const fn has(self, dimension: Dimension) -> bool {
        self.0 & 1 << dimension as u16 != 0
    }

    /// Whether it is this one alone.
    pub const fn is_only(self, dimension: Dimension) -> bool {
        self.0 == 1 << dimension as u16
    }

    /// What a row is of that `event` belongs to; `what` is the event's type.
    pub(super) fn key<T>(self, event: &TcpEvent, what: T) -> Key<T> {
        let port = |endpoint: Option<Endpoint>| endpoint.and_then(|endpoint| endpoint.port);
        let address =
            |endpoint: Option<Endpoint>| endpoint.map(|endpoint| Endpoint { port: None, ..endpoint });
        let flow = self.has(Dimension::Flow);
        let owner = event.owner.as_ref().map(|owner| &*owner.owner);
        let device = event.device.as_ref().filter(|_| self.has(Dimension::Device));
        // A device's index means something in its namespace only.
        let in_netns = flow || device.is_some() || self.has(Dimension::Netns);
        Key {
            what: self.has(Dimension::Type).then_some(what),
            local: if flow {
                event.local
            } else {
                address(event.local).filter(|_| self.has(Dimension::Local))
            },
            remote: if flow {
                event.remote
            } else {
                address(event.remote).filter(|_| self.has(Dimension::Remote))
            },
            local_port: port(event.local).filter(|_| self.has(Dimension::Port) && !flow),
            remote_port: port(event.remote).filter(|_| self.has(Dimension::RemotePort) && !flow),
            owner: owner.filter(|_| self.has(Dimension::Owner)).and_then(Owner::first),
            workload: workload(event, owner).filter(|_| self.has(Dimension::Container)),
            ifindex: device.map_or(0, |device| device.index),
            netns: event.netns.as_ref().filter(|_| in_netns).map_or(0, |netns| netns.inode),
        }
    }
}

/// Where the owner is at home, else what runs in the namespace.
fn workload(event: &TcpEvent, owner: Option<&Owner>) -> Option<Arc<Workload>> {
    let of_netns = event.netns.as_ref().map(|netns| &netns.workload);
    let known = [owner.map(|owner| &owner.workload), of_netns].into_iter().flatten();
    known.into_iter().find(|workload| !workload.is_empty()).map(Arc::clone)
}

impl FromIterator<Dimension> for By {
    fn from_iter<I: IntoIterator<Item = Dimension>>(dimensions: I) -> Self {
        Self(dimensions.into_iter().fold(0, |set, each| set | 1 << each as u16))
    }
}

/// What makes a row one row: what it isn't told apart by is absent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key<T> {
    /// The type.
    pub what: Option<T>,
    /// This host's address, of a flow with its port.
    pub local: Option<Endpoint>,
    /// The other side's.
    pub remote: Option<Endpoint>,
    /// The port alone.
    pub local_port: Option<u16>,
    /// The port alone.
    pub remote_port: Option<u16>,
    /// Who has the socket.
    pub owner: Option<OwnerName>,
    /// Where that is at home.
    pub workload: Option<Arc<Workload>>,
    /// Index of the device; 0 without.
    pub ifindex: u32,
    /// Inode of the namespace; 0 without.
    pub netns: u32,
}

impl<T> Default for Key<T> {
    fn default() -> Self {
        Self {
            what: None,
            local: None,
            remote: None,
            local_port: None,
            remote_port: None,
            owner: None,
            workload: None,
            ifindex: 0,
            netns: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{endpoint, event};
    use super::*;
    use crate::model::tcp::TcpKind;

    fn key(dimensions: &[Dimension]) -> Key<u8> {
        let by: By = dimensions.iter().copied().collect();
        by.key(&event(TcpKind::ResetReceived { state: 1 }), 7)
    }

    #[test]
    fn a_row_has_what_it_is_told_apart_by_alone() {
        let flow = Key {
            local: Some(endpoint("10.0.0.1:45678")),
            remote: Some(endpoint("10.0.0.2:80")),
            ..Key::default()
        };
        assert_eq!(key(&[Dimension::Flow]), flow);
        assert_eq!(key(&[Dimension::Flow, Dimension::Port, Dimension::Remote]), flow);
        assert_eq!(key(&[Dimension::RemotePort]), Key { remote_port: Some(80), ..Key::default() });
        assert_eq!(key(&[Dimension::Port]), Key { local_port: Some(45678), ..Key::default() });
        let address = Endpoint { port: None, ..endpoint("10.0.0.2:80") };
        assert_eq!(key(&[Dimension::Remote]), Key { remote: Some(address), ..Key::default() });
        let owner = OwnerName { command: "curl".into(), pid: 4242 };
        let of_type = Key { owner: Some(owner), what: Some(7), ..Key::default() };
        assert_eq!(key(&[Dimension::Type, Dimension::Owner]), of_type);
        assert_eq!(key(&[]), Key::default());
    }
}
