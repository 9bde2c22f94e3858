//! The names that a run's lines tell, under the kernel's own numbers where the lines have them.

use std::collections::HashMap;
use std::sync::Arc;

use super::line::Whence;
use crate::aggregate::Names;
use crate::model::{CountKey, Device, Netns, Protocol, Reason, Site, Trap};

/// Every name once; of those that change, the latest.
#[derive(Debug, Default)]
pub struct Book {
    sites: HashMap<u64, Arc<Site>>,
    /// Functions without an address, as rows by function have them: numbers that are no kernel addresses.
    functions: HashMap<String, u64>,
    /// The lines tell no numbers of traps either.
    traps: HashMap<Trap, u64>,
    reasons: HashMap<u32, Arc<Reason>>,
    /// The lines tell no reason's number.
    reason_numbers: HashMap<String, u32>,
    devices: HashMap<(u32, u32), Arc<Device>>,
    namespaces: HashMap<u32, Arc<Netns>>,
}

/// The names of what a drop was counted under.
pub struct Place {
    pub site: Arc<Site>,
    pub reason: Option<Arc<Reason>>,
    pub device: Option<Arc<Device>>,
    pub netns: Option<Arc<Netns>>,
}

impl Book {
    /// The names behind a key.
    pub fn names(&mut self, key: &CountKey) -> Place {
        Place {
            site: self.site(key.address),
            reason: key.reason.map(|number| self.reason(number)),
            device: (key.ifindex != 0).then(|| self.device(key.netns, key.ifindex)),
            netns: (key.netns != 0).then(|| self.netns(key.netns)),
        }
    }

    /// Takes the names of a line; gives what it was counted under.
    pub fn key(&mut self, whence: &Whence<'_>, protocol: Protocol) -> CountKey {
        let netns = whence.netns.as_ref().map_or(0, |(inode, _)| *inode);
        let ifindex = whence.device.as_ref().map_or(0, |(index, _)| *index);
        if let Some((inode, name)) = &whence.netns {
            let known = self.namespaces.get(inode);
            let workload = &whence.workload;
            let says_more = |known: &Arc<Netns>| {
                (name.is_some() && known.name.as_deref() != name.as_deref())
                    || (!workload.is_empty() && *known.workload != *workload)
            };
            if known.is_none_or(says_more) {
                let name = name.as_deref().map(str::to_owned);
                let workload = Arc::new(workload.clone());
                self.namespaces.insert(*inode, Arc::new(Netns { inode: *inode, name, workload }));
            }
        }
        if let Some((index, name)) = &whence.device {
            let known = self.devices.get(&(netns, *index));
            if known.is_none_or(|known| name.is_some() && known.name.as_deref() != name.as_deref()) {
                let name = name.as_deref().map(str::to_owned);
                self.devices.insert((netns, *index), Arc::new(Device { index: *index, name }));
            }
        }
        CountKey {
            address: self.address(whence),
            reason: self.reason_number(whence),
            ifindex,
            netns,
            protocol,
        }
    }

    fn address(&mut self, whence: &Whence<'_>) -> u64 {
        let Some(site) = &whence.site else { return 0 };
        if let Some(trap) = &site.trap {
            return self.trap_number(trap);
        }
        let function = site.function.as_deref();
        let address = match (site.address, function) {
            (Some(address), _) => address,
            (None, None) => return 0,
            (None, Some(function)) => match self.functions.get(function) {
                Some(number) => *number,
                None => self.functions.len() as u64 + 1,
            },
        };
        let known = self.sites.get(&address);
        // A module's symbols may have been read later.
        let is_named = known.is_some_and(|known| function.is_none() || known.function.as_deref() == function);
        // Rows tell no lines.
        let known_source = known.and_then(|known| known.source.clone());
        if !is_named || (site.source.is_some() && known_source.is_none()) {
            let function = function.map(str::to_owned);
            if site.address.is_none() {
                self.functions.insert(function.clone().unwrap_or_default(), address);
            }
            let module = site.module.as_deref().map(str::to_owned);
            let source = site.source.clone().or(known_source);
            self.sites.insert(
                address,
                Arc::new(Site { address, function, offset: site.offset, module, source, trap: None }),
            );
        }
        address
    }

    /// Neither an address of code nor a function's number.
    fn trap_number(&mut self, trap: &Trap) -> u64 {
        const FIRST: u64 = 1 << 62;
        if let Some(number) = self.traps.get(trap) {
            return *number;
        }
        let number = FIRST + self.traps.len() as u64;
        self.traps.insert(trap.clone(), number);
        let site = Site { address: number, trap: Some(trap.clone()), ..Site::default() };
        self.sites.insert(number, Arc::new(site));
        number
    }

    fn reason_number(&mut self, whence: &Whence<'_>) -> Option<u32> {
        let reason = whence.reason.as_ref()?;
        if let Some(number) = self.reason_numbers.get(&*reason.name) {
            return Some(*number);
        }
        let number = u32::try_from(self.reasons.len()).unwrap_or(u32::MAX);
        let (name, subsystem) = (reason.name.to_string(), reason.subsystem.to_string());
        self.reason_numbers.insert(name.clone(), number);
        self.reasons.insert(number, Arc::new(Reason { number, name, class: reason.class, subsystem }));
        Some(number)
    }
}

impl Names for Book {
    fn site(&mut self, address: u64) -> Arc<Site> {
        let known = self.sites.get(&address).cloned();
        known.unwrap_or_else(|| Arc::new(Site { address, ..Site::default() }))
    }

    fn reason(&mut self, number: u32) -> Arc<Reason> {
        Arc::clone(self.reasons.get(&number).expect("the numbers of reasons are this book's own"))
    }

    fn device(&mut self, netns: u32, ifindex: u32) -> Arc<Device> {
        let known = self.devices.get(&(netns, ifindex)).cloned();
        known.unwrap_or_else(|| Arc::new(Device { index: ifindex, name: None }))
    }

    fn netns(&mut self, inode: u32) -> Arc<Netns> {
        let known = self.namespaces.get(&inode).cloned();
        known.unwrap_or_else(|| Arc::new(Netns { inode, ..Netns::default() }))
    }
}
