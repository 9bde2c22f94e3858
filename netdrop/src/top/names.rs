//! The names that drops and summaries brought, for the rows that are summed from details.

use std::collections::HashMap;
use std::sync::Arc;

use crate::aggregate::Names;
use crate::model::{Device, Drop, Netns, Reason, Row, Site};

/// Sites that are remembered; a kernel has some hundreds that are met.
const SITES: usize = 4096;

/// Sites and reasons by the kernel's numbers.
#[derive(Debug, Default)]
pub struct Met {
    sites: HashMap<u64, Arc<Site>>,
    reasons: HashMap<u32, Arc<Reason>>,
}

impl Met {
    /// Remembers those of a row, also in place of others: a line may be known meanwhile.
    pub fn row(&mut self, row: &Row) {
        if let Some(site) = &row.site {
            self.make_room();
            self.sites.insert(site.address, Arc::clone(site));
        }
        if let Some(reason) = &row.reason {
            self.reasons.insert(reason.number, Arc::clone(reason));
        }
    }

    /// Remembers those of a drop.
    pub fn drop(&mut self, drop: &Drop<'_>) {
        if !self.sites.contains_key(&drop.site.address) {
            self.make_room();
            self.sites.insert(drop.site.address, Arc::new(drop.site.clone()));
        }
        if let Some(reason) = drop.reason
            && !self.reasons.contains_key(&reason.number)
        {
            self.reasons.insert(reason.number, Arc::new(reason.clone()));
        }
    }

    fn make_room(&mut self) {
        if self.sites.len() >= SITES {
            self.sites.clear();
        }
    }
}

impl Names for Met {
    fn site(&mut self, address: u64) -> Arc<Site> {
        let met = self.sites.get(&address).cloned();
        met.unwrap_or_else(|| Arc::new(Site { address, ..Site::default() }))
    }

    fn reason(&mut self, number: u32) -> Arc<Reason> {
        let unknown = || Reason {
            number,
            name: format!("{number:#x}"),
            class: crate::knowledge::Class::Unknown,
            subsystem: String::new(),
        };
        self.reasons.get(&number).cloned().unwrap_or_else(|| Arc::new(unknown()))
    }

    fn device(&mut self, _: u32, ifindex: u32) -> Arc<Device> {
        Arc::new(Device { index: ifindex, name: None })
    }

    fn netns(&mut self, inode: u32) -> Arc<Netns> {
        Arc::new(Netns { inode, ..Netns::default() })
    }
}
