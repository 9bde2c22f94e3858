//! What an event only points to: whoever knows it is asked when a drop is named.

use std::sync::Arc;

use super::Enricher;
use crate::aggregate::Names;
use crate::decode::RawDrop;
use crate::kernel::netns::Namespaces;
use crate::model::tcp::{KnownBy, TcpOwner};
use crate::model::{CpuTask, Device, Netns, Owner, Reason, Site, Socket, Workload};

/// Who knows what an event only points to.
pub trait Beyond {
    /// What belongs to a drop.
    fn of(&mut self, raw: &RawDrop<'_>, place: Known<'_>) -> Beside;
    /// Whose a connection is: who has its socket, else the task that the kernel saw connect or close it.
    fn of_tcp(&mut self, _socket: Option<&Socket>, _task: Option<(CpuTask, KnownBy)>) -> Option<TcpOwner> {
        None
    }
    /// What runs in the network namespace with this inode number, from memory; `None` where that isn't known.
    fn in_netns(&mut self, inode: u32) -> Option<Arc<Workload>>;
}

/// What is known of a drop's place by then.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Where in the code.
    pub site: &'a Site,
    /// Ways into namespaces.
    pub namespaces: &'a Namespaces,
}

/// What is known of a drop besides its event.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// Its socket, where the event doesn't have it.
    pub socket: Option<Socket>,
    /// Who has its socket.
    pub owner: Option<Arc<Owner>>,
    /// Its call chain, innermost first.
    pub chain: Option<Arc<[u64]>>,
}

/// Knows nothing.
impl Beyond for () {
    fn of(&mut self, _raw: &RawDrop<'_>, _place: Known<'_>) -> Beside {
        Beside::default()
    }

    fn in_netns(&mut self, _inode: u32) -> Option<Arc<Workload>> {
        None
    }
}

/// The kernel's names, and of network namespaces what runs in them.
#[derive(Debug)]
pub struct Named<'a, B> {
    /// Knows the names.
    pub enricher: &'a mut Enricher,
    /// Knows what runs where.
    pub beyond: &'a mut B,
}

impl<B: Beyond> Names for Named<'_, B> {
    fn site(&mut self, address: u64) -> Arc<Site> {
        self.enricher.site(address)
    }

    fn reason(&mut self, number: u32) -> Arc<Reason> {
        self.enricher.reason(number)
    }

    fn device(&mut self, netns: u32, ifindex: u32) -> Arc<Device> {
        self.enricher.device(netns, ifindex)
    }

    fn netns(&mut self, inode: u32) -> Arc<Netns> {
        let netns = self.enricher.netns(inode);
        match self.beyond.in_netns(inode) {
            Some(workload) => Arc::new(Netns { workload, ..(*netns).clone() }),
            None => netns,
        }
    }
}
