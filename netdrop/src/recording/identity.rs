//! What rows of different runs have in common.

use crate::model::{Endpoint, OwnerName, Protocol, Row, Trap, Workload};

/// A row's names, by which it is known again in another run. Numbers differ from boot to boot and from machine to machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    other: bool,
    function: Option<String>,
    /// Offset and module; the address where there is no function.
    place: Option<(u64, Option<String>)>,
    trap: Option<Trap>,
    reason: Option<String>,
    device: Option<String>,
    netns: Option<String>,
    protocol: Option<Protocol>,
    flow: (Option<Endpoint>, Option<Endpoint>, Option<u16>),
    owner: Option<OwnerName>,
    workload: Option<Workload>,
}

impl Identity {
    /// The names of a row.
    pub fn of(row: &Row) -> Self {
        let named = |name: &Option<String>, number: u32| name.clone().unwrap_or_else(|| format!("#{number}"));
        let site = row.site.as_deref();
        Self {
            other: row.other,
            function: site.and_then(|site| site.function.clone()).or_else(|| row.function.clone()),
            place: site.filter(|site| site.trap.is_none()).map(|site| match site.function {
                Some(_) => (site.offset, site.module.clone()),
                None => (site.address, None),
            }),
            trap: site.and_then(|site| site.trap.clone()),
            reason: row.reason.as_ref().map(|reason| reason.name.clone()),
            device: row.device.as_ref().map(|device| named(&device.name, device.index)),
            netns: row.netns.as_ref().map(|netns| named(&netns.name, netns.inode)),
            protocol: row.protocol,
            flow: (row.source, row.destination, row.port),
            owner: row.owner.clone(),
            workload: row.workload.as_deref().cloned(),
        }
    }
}
