//! Reasons that only a module's BTF names, looked up when one is met.

use std::path::Path;
use std::sync::Arc;

use super::{Reasons, subsystem_number};
use crate::kernel::btf::Btf;
use crate::order::InOrder as _;

impl Reasons {
    /// As [`Reasons::name`]; a subsystem's reason without a name is searched for, once a subsystem, in the BTF of
    /// the loaded modules (`sys/kernel/btf/*` under `root`).
    ///
    /// Reads the kernel's BTF again (about 5 MB for a few milliseconds): a module's continues it.
    pub fn name_or_search(&mut self, reason: u32, root: &Path) -> Option<Arc<str>> {
        if let Some(name) = self.name(reason) {
            return Some(Arc::clone(name));
        }
        let number = subsystem_number(reason);
        let subsystem = self.subsystem(reason).map(Arc::clone)?;
        if number != 0 && self.searched.insert(number) {
            self.search(&subsystem, number, root);
        }
        self.name(reason).map(Arc::clone)
    }

    /// Searches the modules for the reasons of every subsystem that has none yet.
    pub fn search_all(&mut self, root: &Path) {
        let subsystems: Vec<_> = self.subsystems().map(|(number, name)| (number, Arc::clone(name))).collect();
        for (number, name) in subsystems {
            if !self.knows(number) && self.searched.insert(number) {
                self.search(&name, number, root);
            }
        }
    }

    fn knows(&self, subsystem: u16) -> bool {
        self.iter().any(|(reason, _)| subsystem_number(reason) == subsystem)
    }

    /// A subsystem bears its module's name (`mac80211_unusable`): such modules come first.
    fn search(&mut self, subsystem: &str, number: u16, root: &Path) {
        let folder = root.join("sys/kernel/btf");
        let Ok(entries) = std::fs::read_dir(&folder) else { return };
        let mut modules: Vec<String> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        modules.retain(|module| module != "vmlinux");
        modules.order_by_key(|module| !subsystem.starts_with(module.as_str()));
        if modules.is_empty() {
            return;
        }
        let Ok(bytes) = std::fs::read(folder.join("vmlinux")) else { return };
        let Ok(base) = Btf::parse(&bytes) else { return };
        for module in modules {
            let Ok(bytes) = std::fs::read(folder.join(module)) else { continue };
            let Ok(btf) = Btf::parse_split(&bytes, &base) else { continue };
            self.add_enums(&btf);
            if self.knows(number) {
                return;
            }
        }
    }
}
