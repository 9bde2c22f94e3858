//! The names in a filter, resolved by this kernel.

use std::fs::File;
use std::io::BufReader;
use std::ops::Range;
use std::path::PathBuf;

use crate::filter::{FilterError, Resolver};
use crate::kernel::devices;
use crate::kernel::near::closest;
use crate::kernel::netns::Namespaces;
use crate::kernel::symbols::Symbols;
use crate::knowledge::{Class, class_of};
use crate::owner::census::{Census, Holders, Inhabited, NoContainer};

/// Asks the kernel whose file systems are mounted below `root`; each thing is read when it is first asked for.
#[derive(Debug)]
pub struct KernelResolver {
    root: PathBuf,
    namespaces: Option<Namespaces>,
    symbols: Option<Symbols>,
    census: Option<Census>,
}

impl KernelResolver {
    /// Nothing is read yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), namespaces: None, symbols: None, census: None }
    }

    fn namespaces(&mut self) -> &Namespaces {
        self.namespaces.get_or_insert_with(|| {
            let mut namespaces = Namespaces::new(&self.root);
            namespaces.refresh();
            namespaces
        })
    }

    fn symbols(&mut self) -> Result<&Symbols, FilterError> {
        match &mut self.symbols {
            Some(symbols) => Ok(symbols),
            unread => {
                let file = File::open(self.root.join("proc/kallsyms"))
                    .map_err(crate::kernel::symbols::SymbolsError::from)?;
                Ok(unread.insert(Symbols::read(BufReader::new(file))?))
            }
        }
    }

    fn census(&mut self) -> &mut Census {
        self.census.get_or_insert_with(|| Census::new(&self.root))
    }

    /// Every device that can be seen: `(namespace, index, name)`.
    fn all_devices(&mut self) -> Vec<(u32, u32, String)> {
        let namespaces = self.namespaces();
        let mut all = Vec::new();
        for (inode, _) in namespaces.iter() {
            let path = if namespaces.own() == Some(inode) { None } else { namespaces.path(inode) };
            let here = devices::list(path).unwrap_or_default();
            all.extend(here.into_iter().map(|(index, name)| (inode, index, name)));
        }
        all
    }
}

impl Resolver for KernelResolver {
    fn netns(&mut self, name: &str) -> Result<u32, FilterError> {
        Ok(self.namespaces().inode_of(name)?)
    }

    fn devices(&mut self, name: &str) -> Result<Vec<(u32, u32)>, FilterError> {
        let all = self.all_devices();
        let places: Vec<_> =
            all.iter().filter(|(.., one)| one == name).map(|(netns, index, _)| (*netns, *index)).collect();
        if places.is_empty() {
            let suggestion = closest(name, all.iter().map(|(.., one)| one.as_str())).map(str::to_owned);
            return Err(FilterError::Device { name: name.into(), suggestion });
        }
        Ok(places)
    }

    fn function(&mut self, name: &str) -> Result<Vec<Range<u64>>, FilterError> {
        Ok(self.symbols()?.ranges(name)?)
    }

    fn sites(&mut self) -> Result<Vec<(Range<u64>, Class)>, FilterError> {
        let class = |name: &str| Some(class_of(None, Some(name))).filter(|class| *class != Class::Unknown);
        Ok(self.symbols()?.select(class))
    }

    fn container(&mut self, name: &str) -> Result<Inhabited, FilterError> {
        self.census().container(name).map_err(|error| match error {
            NoContainer::Unknown(suggestion) => FilterError::Container { name: name.into(), suggestion },
            NoContainer::Ambiguous(candidates) => FilterError::Ambiguous { name: name.into(), candidates },
        })
    }

    fn holders(&mut self, name: &str) -> Holders {
        self.census().holders(name)
    }

    fn nearest_command(&mut self, name: &str) -> Option<String> {
        self.census().nearest_command(name)
    }
}
